/**
 * Where the time of the last turn went: a table whose rows are also bars. stages() is pure; Waterfall draws.
 *
 * Marks are ms after the end of speech, from the server; `heard` is this page's own measure. A stage begins where the one
 * before it, in time, ended: some run before the end of the turn is certain, so their order varies.
 */

import { heardMs } from "./state.js";

/** @typedef {import("./state.js").Latency} Latency */
/** @typedef {{name: string, label: string, from: number, to: number}} Stage  ms after the end of speech */

/** @type {Record<string, string>} */
const LABELS = {
  endpoint: "You had finished",
  transcript: "Words recognised",
  first_text: "Answer begun",
  first_audio: "First sound made",
  sent: "Sent to you",
  heard: "Heard here",
};

/** @param {Latency} latency @returns {Stage[]} in order of time */
export function stages(latency) {
  const heard = heardMs(latency);
  const marks = Object.entries({ ...latency.marks, ...(heard === null ? {} : { heard }) });
  const known = marks.filter(([name, at]) => Object.hasOwn(LABELS, name) && Number.isFinite(at));
  const order = Object.keys(LABELS);
  known.sort(([a, at], [b, bt]) => at - bt || order.indexOf(a) - order.indexOf(b));
  let from = 0;
  return known.map(([name, at]) => {
    const stage = { name, label: LABELS[name], from: Math.min(from, at), to: at };
    from = Math.max(0, at);
    return stage;
  });
}

/** One sentence for the head of the table. @param {Latency} latency */
export function summary(latency) {
  const heard = heardMs(latency);
  if (heard !== null) return `You heard the answer ${milliseconds(heard)} after you stopped.`;
  const sent = latency.marks.sent ?? latency.marks.first_audio;
  return sent === undefined ? "" : `The answer left the server ${milliseconds(sent)} after you stopped.`;
}

export class Waterfall {
  /** @param {HTMLElement} section  holds .summary and a tbody */
  constructor(section) {
    this.section = section;
    /** @type {Latency|null} */
    this.shown = null;
  }

  /** @param {Latency|null} latency */
  render(latency) {
    if (latency === this.shown) return;
    this.shown = latency;
    const rows = latency ? stages(latency) : [];
    this.section.hidden = rows.length === 0;
    const start = Math.min(0, ...rows.map((row) => row.from));
    const end = Math.max(1, ...rows.map((row) => row.to));
    /** @type {HTMLElement} */ (this.section.querySelector(".summary")).textContent = latency ? summary(latency) : "";
    this.section.querySelector("tbody")?.replaceChildren(...rows.map((row) => draw(row, start, end)));
  }
}

/** @param {Stage} stage @param {number} start @param {number} end  ends of the axis, ms */
function draw(stage, start, end) {
  const row = document.createElement("tr");
  row.dataset.mark = stage.name;
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: stage.label });
  const track = document.createElement("td");
  const bar = document.createElement("span");
  const share = 100 / (end - start);
  bar.className = "bar";
  bar.style.setProperty("margin-inline-start", `${(stage.from - start) * share}%`);
  bar.style.setProperty("inline-size", `max(2px, ${(stage.to - stage.from) * share}%)`);
  track.append(bar);
  track.setAttribute("aria-hidden", "true");
  const number = Object.assign(document.createElement("td"), {
    className: "number",
    textContent: milliseconds(stage.to),
  });
  row.append(head, track, number);
  return row;
}

/** @param {number} ms */
const milliseconds = (ms) => `${Math.round(ms)} ms`;
