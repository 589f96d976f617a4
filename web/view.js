/**
 * Shows everything of the state except the captions and the waterfall: words, buttons, notice, announcements.
 *
 * `<body data-state>` holds the floor, for the style sheet and for tests. A screen reader hears a state only when it has
 * lasted a moment, because a turn passes through several in a blink. Decides nothing.
 */

import { split } from "./conversation.js";
import { troubleWords } from "./microphone.js";
import { floor } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Floor} Floor */

const SETTLED_MS = 350;

/** @type {Record<Floor, [title: string, hint: string]>} */
const WORDS = {
  idle: ["Ready when you are", "Press Talk, then just speak."],
  connecting: ["Connecting", "If the browser asks, allow the microphone."],
  listening: ["Listening", "Speak, or cut in at any moment."],
  hearing: ["Hearing you", "Take your time."],
  thinking: ["Thinking", "The answer is on its way."],
  speaking: ["Speaking", "Speak to cut in."],
  reconnecting: ["Connection lost", ""],
  ended: ["Call ended", "Press Talk for a new one."],
};

/** @type {Record<string, string>} */
const ACTIONS = {
  retry: "Try again",
  type: "Type instead",
  key: "Enter key",
  sound: "Turn on sound",
  dismiss: "Close",
};

/** Words for a state: title and hint. @param {State} state @returns {[string, string]} */
export function words(state) {
  const now = floor(state);
  if (now === "reconnecting" && state.retry)
    return [WORDS[now][0], `Trying again: ${state.retry.attempt} of ${state.retry.of}. The captions are kept.`];
  if (now === "ended" && state.notice)
    return ["Not connected", state.talk.captions.length ? "What has been said stays here." : ""];
  if (now === "connecting" && state.typing) return ["Connecting", "Your message is sent as soon as the call is up."];
  if (now === "listening" && state.typing)
    return ["Ready for your message", "This call has no microphone: type below."];
  if (now === "listening" && state.muted) return ["Microphone off", "Press Mute again to be heard."];
  if (now === "listening" && state.trouble) return troubleWords(state.trouble.kind, state.trouble.name);
  return WORDS[now];
}

/** @typedef {Record<"status"|"hint"|"announcer"|"captioner"|"talk"|"talkLabel"|"mute"|"notice", HTMLElement>} ViewParts */

export class View {
  /** @param {ViewParts} parts */
  constructor(parts) {
    this.parts = parts;
    /** @type {State["notice"]} */
    this.notice = null;
    /** @type {Set<string>} */
    this.told = new Set();
    this.tellCaptions = false;
    this.announced = "";
    this.timer = 0;
  }

  /** @param {State} state */
  render(state) {
    const { status, hint, mute } = this.parts;
    const [title, advice] = words(state);
    document.body.dataset.state = floor(state);
    document.body.dataset.muted = String(state.muted);
    document.body.dataset.recorded = String(state.recorded);
    document.body.dataset.trouble = state.trouble?.kind ?? "";
    if (status.textContent !== title) status.textContent = title;
    if (hint.textContent !== advice) hint.textContent = advice;
    mute.setAttribute("aria-pressed", String(state.muted));
    this.renderTalk(state.phase);
    this.renderNotice(state);
    this.announce(state.phase === "reconnecting" ? `${title}. ${advice}` : title);
    this.tell(state);
  }

  /** @param {State["phase"]} phase */
  renderTalk(phase) {
    const pending = phase === "connecting" || phase === "reconnecting";
    const label = pending ? "Cancel" : phase === "live" ? "End" : "Talk";
    this.parts.talkLabel.textContent = label;
    this.parts.talk.setAttribute(
      "aria-label",
      label === "End" ? "End call" : label === "Cancel" ? "Cancel call" : "Talk",
    );
  }

  /** @param {State} state */
  renderNotice({ notice }) {
    if (notice === this.notice) return;
    this.notice = notice;
    const box = this.parts.notice;
    box.dataset.kind = notice?.kind ?? "";
    box.replaceChildren();
    if (!notice) return;
    const buttons = notice.actions.map((action) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: ACTIONS[action] });
      button.dataset.action = action;
      return button;
    });
    const row = Object.assign(document.createElement("div"), { className: "actions" });
    row.append(...buttons);
    box.append(
      Object.assign(document.createElement("h2"), { textContent: notice.title }),
      Object.assign(document.createElement("p"), { textContent: notice.advice }),
      ...(buttons.length ? [row] : []),
    );
  }

  /** @param {string} text */
  announce(text) {
    if (text === this.announced) return;
    this.announced = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.parts.announcer.textContent = text), SETTLED_MS);
  }

  /** Finished captions for the screen reader, if the user wants them read. @param {State} state */
  tell({ talk }) {
    for (const caption of talk.captions) {
      if (caption.live || caption.role === "hidden" || this.told.has(caption.id)) continue;
      this.told.add(caption.id);
      const [heard] = split(caption);
      if (!this.tellCaptions || !heard) continue;
      const line = Object.assign(document.createElement("p"), {
        textContent: `${caption.role === "user" ? "You" : "Vivavoce"}: ${heard}`,
      });
      this.parts.captioner.replaceChildren(line);
    }
  }
}
