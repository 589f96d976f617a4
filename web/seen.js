/**
 * Shows what the last answer was based on: the report in words with the age of its picture, boxes over the self-view.
 *
 * Boxes come as shares of the picture; a self-view that is mirrored mirrors their places, not their names. They stay
 * until the next question. Decides nothing.
 */

/** @typedef {import("./state.js").Seen} Seen */

export class SeenView {
  /** @param {HTMLElement} words @param {HTMLElement} boxes  an element as large as the self-view */
  constructor(words, boxes) {
    this.words = words;
    this.boxes = boxes;
    /** @type {Seen|null} */
    this.shown = null;
  }

  /** @param {Seen|null} seen @param {boolean} mirrored */
  render(seen, mirrored) {
    if (seen === this.shown) return;
    this.shown = seen;
    this.words.hidden = seen === null;
    this.words.textContent = seen ? seenWords(seen) : "";
    const things = seen?.source === "camera" ? seen.things : [];
    this.boxes.replaceChildren(...things.map((thing) => framed(thing, mirrored)));
  }
}

/** The report with the age of its picture. @param {Seen} seen @returns {string} */
export function seenWords({ source, age_ms, report }) {
  if (source === "message") return `In your picture: ${report}.`;
  const age = age_ms < 0 ? "just after you asked" : `${(age_ms / 1000).toFixed(1)} s before you finished asking`;
  return `Seen ${age}: ${report}.`;
}

/** @param {Seen["things"][number]} thing @param {boolean} mirrored */
function framed({ name, box: [left, top, right, bottom] }, mirrored) {
  const element = document.createElement("div");
  const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)}%`;
  element.style.left = percent(mirrored ? 1 - right : left);
  element.style.top = percent(top);
  element.style.width = percent(right - left);
  element.style.height = percent(bottom - top);
  element.append(Object.assign(document.createElement("span"), { textContent: name }));
  return element;
}
