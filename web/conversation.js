/**
 * The captions of a call, in the server's order: pure functions over plain data, so that a test needs no browser.
 *
 * Facts come in from state.js (an item was added, words arrived, so many characters were heard); a new Conversation
 * goes out. Nothing is changed in place: a caption that is the same object has the same content, which is how
 * transcript.js knows what to redraw. Nothing here draws, sends or reads a clock.
 */

/**
 * @typedef {object} Caption
 * @property {string} id
 * @property {"user"|"assistant"|"hidden"} role  hidden: tools and system items, kept only for their place
 * @property {string} text  words that stand
 * @property {string} tail  words that may still change (the user's, while recognition runs)
 * @property {boolean} live  more may come
 * @property {string} picture  data URI of the picture that the user sent, "" without one
 * @property {number|null} heard  characters (code points) heard before the cut; null: not cut, or not known where
 * @property {""|"cut"|"unclear"} flaw  cut off in mid-reply, or speech that could not be understood
 */
/**
 * @typedef {object} Conversation
 * @property {readonly Caption[]} captions
 * @property {number} base  captions of earlier connections; the server's "first" is the one after them
 * @property {{id: string|null, text: string, tail: string}|null} draft  what the user is saying right now
 */

/** @type {Conversation} */
export const EMPTY = Object.freeze({ captions: Object.freeze([]), base: 0, draft: null });

/** What stands for a picture that is no longer kept. */
const PICTURE_GONE = "(a picture)";
const CAPTION_LIMIT = 500; // an hour of quick talk; older ones leave the page
const PICTURE_LIMIT = 12; // pictures kept, of up to 240 KB each; of older ones the caption says only that there was one
const REPLAY_LIMIT = 20; // captions told to a new connection: enough context, quick to send

/** @param {Conversation} talk @param {string} id */
export const find = (talk, id) => talk.captions.find((caption) => caption.id === id);

/**
 * Adds a caption after `previous` (null: first of this connection; undefined or unknown: last). A known id stays in place.
 * @param {Conversation} talk @param {Partial<Caption> & {id: string}} fields @param {string|null} [previous]
 * @returns {Conversation}
 */
export function place(talk, fields, previous) {
  return fewPictures(placed(talk, fields, previous));
}

/** @param {Conversation} talk @param {Partial<Caption> & {id: string}} fields @param {string|null} [previous] */
function placed(talk, fields, previous) {
  if (find(talk, fields.id)) return change(talk, fields.id, fields);
  /** @type {Caption} */
  const caption = { role: "user", text: "", tail: "", live: true, picture: "", heard: null, flaw: "", ...fields };
  const captions = [...talk.captions];
  const before = previous === null ? talk.base - 1 : captions.findIndex((other) => other.id === previous);
  const known = previous === null || before >= 0;
  captions.splice(known ? before + 1 : captions.length, 0, caption);
  const surplus = Math.max(0, captions.length - CAPTION_LIMIT);
  return { ...talk, captions: captions.slice(surplus), base: Math.max(0, talk.base - surplus) };
}

/** The talk with its newest pictures only. @param {Conversation} talk @returns {Conversation} */
function fewPictures(talk) {
  const surplus = talk.captions.filter((caption) => caption.picture).slice(0, -PICTURE_LIMIT);
  if (!surplus.length) return talk;
  const captions = talk.captions.map((caption) =>
    surplus.includes(caption) ? { ...caption, picture: "", text: caption.text || PICTURE_GONE } : caption,
  );
  return { ...talk, captions };
}

/**
 * Changes some fields of one caption; an unknown id changes nothing.
 * @param {Conversation} talk @param {string} id @param {Partial<Caption>} fields @returns {Conversation}
 */
export function change(talk, id, fields) {
  if (!find(talk, id)) return talk;
  const captions = talk.captions.map((caption) => (caption.id === id ? { ...caption, ...fields } : caption));
  return { ...talk, captions };
}

/** @param {Conversation} talk @param {string} id @returns {Conversation} */
export function remove(talk, id) {
  const at = talk.captions.findIndex((caption) => caption.id === id);
  if (at < 0) return talk;
  const base = at < talk.base ? talk.base - 1 : talk.base;
  return { ...talk, base, captions: talk.captions.filter((caption) => caption.id !== id) };
}

/**
 * Words of an item's content parts.
 * @param {{content?: {text?: string, transcript?: string|null}[]}} item
 */
export function wordsOf(item) {
  const parts = item.content ?? [];
  return parts
    .map((part) => part.text ?? part.transcript ?? "")
    .filter(Boolean)
    .join(" ");
}

/**
 * A finished or growing item of the server. What is known better (a draft, the heard part) is kept.
 * @param {Conversation} talk
 * @param {{id: string, type: string, role?: string, status?: string, content?: any[]}} item
 * @param {string|null|undefined} previous @param {boolean} finished
 * @returns {Conversation}
 */
export function receive(talk, item, previous, finished) {
  const role = item.type === "message" && (item.role === "user" || item.role === "assistant") ? item.role : "hidden";
  const known = find(talk, item.id);
  const words = wordsOf(item);
  if (role !== "user") {
    const fields = known?.heard === null || !known ? { text: words || known?.text || "" } : {};
    const live = finished ? false : (known?.live ?? true);
    return place(talk, { id: item.id, role, live, ...fields }, previous);
  }
  if (known) return words ? change(talk, item.id, { text: words, tail: "", live: false }) : talk;
  const draft = talk.draft && (talk.draft.id === item.id || talk.draft.id === null) ? talk.draft : null;
  const fields = words ? { text: words, live: false } : { text: draft?.text ?? "", tail: draft?.tail ?? "" };
  return place({ ...talk, draft: draft ? null : talk.draft }, { id: item.id, role, ...fields }, previous);
}

/**
 * More words of an item that is still being spoken or written.
 * @param {Conversation} talk @param {string} id @param {"user"|"assistant"} role @param {string} delta
 */
export function extend(talk, id, role, delta) {
  const known = find(talk, id);
  if (!known) return place(talk, { id, role, text: delta });
  return known.live ? change(talk, id, { text: known.text + delta }) : talk;
}

/**
 * Splits an answer into what was heard and what was not. Characters are code points, as the server counts them.
 * @param {Caption} caption @returns {[string, string]}
 */
export function split(caption) {
  if (caption.heard === null) return [caption.text, ""];
  const characters = Array.from(caption.text);
  return [characters.slice(0, caption.heard).join(""), characters.slice(caption.heard).join("")];
}

/**
 * The connection is gone: what was under way ends here; half a sentence of the user is kept as a caption.
 * @param {Conversation} talk @returns {Conversation}
 */
export function freeze(talk) {
  const { draft } = talk;
  const words = draft ? (draft.text + draft.tail).trim() : "";
  const kept =
    draft && words ? place(talk, { id: draft.id ?? `kept_${talk.captions.length}`, text: words, flaw: "cut" }) : talk;
  const captions = kept.captions.map((caption) =>
    caption.live
      ? {
          ...caption,
          live: false,
          text: caption.text + caption.tail,
          tail: "",
          flaw: caption.flaw || /** @type {const} */ ("cut"),
        }
      : caption,
  );
  return { captions, base: captions.length, draft: null };
}

/**
 * Client events that tell a new connection what was said before, under the same ids and only as far as it was heard.
 * @param {Conversation} talk @returns {object[]}
 */
export function replay(talk) {
  const told = talk.captions.filter((caption) => caption.role !== "hidden" && (split(caption)[0].trim() || caption.picture));
  return told.slice(-REPLAY_LIMIT).map((caption) => ({
    type: "conversation.item.create",
    event_id: `${caption.picture ? "picture" : "replay"}_${caption.id}`, // a picture refused is worth a word
    item: {
      id: caption.id,
      type: "message",
      role: caption.role,
      content: contentOf(caption),
    },
  }));
}

/**
 * A caption as parts of a message: its picture, its words. @param {Caption} caption
 * @returns {object[]}
 */
function contentOf(caption) {
  const text = split(caption)[0].trim();
  const words = text ? [{ type: caption.role === "user" ? "input_text" : "output_text", text }] : [];
  return caption.picture ? [{ type: "input_image", image_url: caption.picture }, ...words] : words;
}

/** True when the last complete words are the user's: a new connection should answer them. @param {Conversation} talk */
export function unanswered(talk) {
  const last = talk.captions.filter((caption) => caption.role !== "hidden" && caption.text.trim()).at(-1);
  return last !== undefined && last.role === "user" && last.flaw === "";
}
