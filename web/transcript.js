/**
 * Shows the conversation: one list item per caption, redrawn only when its caption changed.
 *
 * What was cut is struck out, and said in words for those who do not see the stroke. The list stays at its end while
 * the user is there, and leaves them alone when they have scrolled up to read.
 */

import { split } from "./conversation.js";

/** @typedef {import("./conversation.js").Caption} Caption */
/** @typedef {import("./conversation.js").Conversation} Conversation */

const NAMES = { user: "You", assistant: "Vivavoce", hidden: "" };
const NEAR_END_PX = 48;

export class Transcript {
  /** @param {HTMLElement} list  an <ol> @param {HTMLElement} scroller */
  constructor(list, scroller) {
    this.list = list;
    this.scroller = scroller;
    /** @type {Map<string, {caption: Caption, element: HTMLElement}>} */
    this.shown = new Map();
    this.atEnd = true;
    list.addEventListener("load", () => this.follow(), true); // a picture gets its height when it is decoded
  }

  follow() {
    if (this.atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** @param {Conversation} talk */
  render(talk) {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    const wanted = visible(talk).map((caption) => this.element(caption));
    for (const [index, element] of wanted.entries()) {
      if (this.list.children[index] !== element) this.list.insertBefore(element, this.list.children[index] ?? null);
    }
    while (this.list.children.length > wanted.length) this.list.lastElementChild?.remove();
    for (const [id, { element }] of this.shown) if (!element.isConnected) this.shown.delete(id);
    this.follow();
  }

  /** @param {Caption} caption */
  element(caption) {
    const known = this.shown.get(caption.id);
    if (known?.caption === caption) return known.element;
    const element = known?.element ?? document.createElement("li");
    draw(element, caption);
    this.shown.set(caption.id, { caption, element });
    return element;
  }
}

/** Captions with something to show; what is being said right now comes last. @param {Conversation} talk @returns {Caption[]} */
function visible(talk) {
  const shown = talk.captions.filter(
    (caption) =>
      caption.role !== "hidden" && (caption.text || caption.tail || caption.picture || caption.live || caption.flaw === "unclear"),
  );
  if (!talk.draft) return shown;
  const { id, text, tail } = talk.draft;
  return [...shown, { id: id ?? "draft", role: "user", text, tail, live: true, picture: "", heard: null, flaw: "" }];
}

/** @param {HTMLElement} element @param {Caption} caption */
function draw(element, caption) {
  element.dataset.role = caption.role;
  element.dataset.item = caption.id;
  element.dataset.live = String(caption.live);
  const name = make("span", "name", `${NAMES[caption.role]}`);
  const words = make("p", "words");
  const [heard, unheard] = split(caption);
  words.append(heard);
  if (caption.tail) words.append(make("span", "tail", caption.tail));
  if (unheard.trim()) words.append(struck(unheard));
  if (!heard && !caption.tail && !unheard && !caption.picture)
    words.append(make("span", "tail", caption.flaw === "unclear" ? "Not understood" : "…"));
  if (caption.flaw === "cut" && !unheard.trim()) words.append(make("span", "note", " (cut off)"));
  element.replaceChildren(name, ...(caption.picture ? [thumbnail(caption.picture)] : []), words);
  words.hidden = !words.textContent;
}

/** @param {string} picture  a data URI */
function thumbnail(picture) {
  return Object.assign(document.createElement("img"), {
    className: "thumbnail",
    alt: "Picture that you sent",
    src: picture,
  });
}

/** @param {string} unheard */
function struck(unheard) {
  const element = document.createElement("s");
  element.append(
    make("span", "hidden", " Not heard: "),
    unheard,
    make("span", "hidden", " (end of what was not heard)"),
  );
  return element;
}

/** @param {string} tag @param {string} className @param {string} [text] */
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
