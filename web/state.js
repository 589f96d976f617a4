/**
 * What the page knows about the call: reduce(state, event) -> state. The core of the page, pure, tested without a browser.
 *
 * Events are the server's (OpenAI Realtime, plus `vivavoce.*`) as they arrive on the data channel, and the page's own
 * facts, named `page.*`. Nothing here draws, sends or reads a clock. Unknown events change nothing.
 *
 *   idle ──► connecting ──► live ──► ended        live: listening ─► hearing ─► thinking
 *                 ▲          │ ▲                             ▲────── speaking ◄──────┘      floor(state) tells which
 *                 └─ ended   ▼ │
 *                         reconnecting ──► ended
 */

import * as talk from "./conversation.js";

/** @typedef {"idle"|"connecting"|"live"|"reconnecting"|"ended"} Phase */
/** @typedef {"idle"|"connecting"|"listening"|"hearing"|"thinking"|"speaking"|"reconnecting"|"ended"} Floor */
/** @typedef {{kind: string, title: string, advice: string, actions: string[]}} Notice */
/** @typedef {{ms: number, since: "mouth"|"stopped"}} Heard  time to the first sound, and counted from what */
/** @typedef {{turn: number, marks: Record<string, number>, heard: Heard|null}} Latency */
/** @typedef {{name: string, box: [left: number, top: number, right: number, bottom: number]}} Thing  shares of the picture */
/** @typedef {{source: "camera"|"message", age_ms: number, report: string, things: Thing[]}} Seen */
/** @typedef {{type: string, [field: string]: any}} Fact */

/**
 * @typedef {object} State
 * @property {Phase} phase
 * @property {boolean} hearing  the server hears speech
 * @property {boolean} awaiting  a turn was handed over and no response has begun
 * @property {string|null} response  id of the response being made
 * @property {string|null} speaking  id of the response being played
 * @property {boolean} muted
 * @property {{kind: import("./microphone.js").Trouble, name: string}|null} trouble  with the microphone, and its name
 * @property {boolean} typing  the call has no microphone
 * @property {boolean} recorded  the server records the call
 * @property {boolean} captioned  the server sends live captions, so plain transcription deltas would repeat them
 * @property {number} turn  counts the user's turns
 * @property {boolean} spoken  one of them, in this call, was spoken
 * @property {Latency|null} latency  of the last turn measured
 * @property {Seen|null} seen  what the last answer was based on, until the next question
 * @property {{attempt: number, of: number}|null} retry
 * @property {Notice|null} notice
 * @property {talk.Conversation} talk
 */

const QUIET = { hearing: false, awaiting: false, response: null, speaking: null };

/** @type {State} */
export const INITIAL = Object.freeze({
  phase: "idle",
  ...QUIET,
  muted: false,
  trouble: null,
  typing: false,
  recorded: false,
  captioned: false,
  turn: 0,
  spoken: false,
  latency: null,
  seen: null,
  retry: null,
  notice: null,
  talk: talk.EMPTY,
});

/** The `event_id` with which a picture is sent: its caption goes if the server refuses it. */
const PICTURE_EVENT = /^picture_(.+)$/;

// Errors that answer our own precautions and mean nothing to the user.
const HARMLESS = new Set([
  "response_cancel_not_active",
  "conversation_already_has_active_response",
  "item_create_duplicate_item_id",
]);

/** Who holds the floor, in one word. @param {State} state @returns {Floor} */
export function floor(state) {
  if (state.phase !== "live") return state.phase;
  if (state.hearing) return "hearing";
  if (state.speaking !== null) return "speaking";
  return state.awaiting || state.response !== null ? "thinking" : "listening";
}

/** @param {State} state @param {Fact} event @returns {State} */
export function reduce(state, event) {
  const step = Object.hasOwn(STEPS, event.type) ? STEPS[event.type] : undefined;
  return step ? { ...state, ...step(state, event) } : state;
}

/** The answer's first sound in ms after the end of speech, or null if it was not measured. @param {Latency} latency */
export function heardMs(latency) {
  if (!latency.heard) return null;
  return latency.heard.since === "mouth" ? latency.heard.ms : latency.heard.ms + (latency.marks.endpoint ?? 0);
}

/** @type {Record<string, (state: State, event: Fact) => Partial<State>>} */
const STEPS = {
  // The page's own facts.
  "page.connecting": (s, { typing = false, keep = false }) => ({
    ...INITIAL,
    phase: "connecting",
    muted: s.muted,
    typing,
    ...(keep ? { turn: s.turn, latency: s.latency, talk: talk.freeze(s.talk) } : {}),
  }),
  "page.connected": ({ talk: t }) => ({ phase: "live", retry: null, notice: null, awaiting: talk.unanswered(t) }),
  "page.lost": (s, { attempt, of }) => ({
    phase: "reconnecting",
    ...QUIET,
    retry: { attempt, of },
    talk: talk.freeze(s.talk),
  }),
  "page.paused": (_, { attempt, of }) => ({ phase: "reconnecting", retry: { attempt, of } }), // the call waits
  "page.resumed": () => ({ phase: "live", retry: null, notice: null }),
  "page.ended": (s, { notice = s.notice }) => ({
    phase: "ended",
    recorded: false,
    seen: null,
    ...QUIET,
    retry: null,
    notice,
    talk: talk.freeze(s.talk),
  }),
  "page.muted": (_, { on }) => ({ muted: on }),
  "page.microphone": (_, { kind, name }) => ({ trouble: kind ? { kind, name } : null }),
  "page.typed": (s, { id, text }) => ({
    awaiting: true,
    turn: s.turn + 1,
    seen: null,
    talk: talk.place(s.talk, { id, role: "user", text, live: false }),
  }),
  "page.pictured": (s, { id, picture }) => ({ talk: talk.place(s.talk, { id, role: "user", picture, live: false }) }),
  "page.showed": (s) => ({ seen: s.seen?.source === "camera" ? null : s.seen }), // boxes fit one source only
  "page.noticed": (_, { notice }) => ({ notice }),
  "page.waited": (s) => (s.response === null ? { awaiting: false } : {}),
  "page.heard": heard,

  // The connection.
  "session.created": (s) => ({ talk: { ...s.talk, base: s.talk.captions.length } }),
  "vivavoce.recording.started": () => ({ recorded: true }),
  "vivavoce.closing": (_, { message }) => ({ notice: serverNotice("closing", "The server ended the call", message) }),
  error: serverError,

  // The user's speech.
  "input_audio_buffer.speech_started": (s, { item_id = null }) => ({
    hearing: true,
    seen: null,
    talk: s.talk.draft?.id === item_id ? s.talk : { ...s.talk, draft: { id: item_id, text: "", tail: "" } },
  }),
  "input_audio_buffer.speech_stopped": (s) => ({
    hearing: false,
    talk: s.talk.draft && !s.talk.draft.text && !s.talk.draft.tail ? { ...s.talk, draft: null } : s.talk,
  }),
  "input_audio_buffer.committed": committed,
  "input_audio_buffer.cleared": (s) => ({ hearing: false, talk: { ...s.talk, draft: null } }),
  "vivavoce.transcript.partial": partial,
  "conversation.item.input_audio_transcription.delta": (s, { item_id, delta }) =>
    s.captioned ? {} : { talk: talk.extend(s.talk, item_id, "user", delta) },
  "conversation.item.input_audio_transcription.completed": (s, { item_id, transcript }) => ({
    talk: talk.place(dropDraft(s.talk, item_id), {
      id: item_id,
      role: "user",
      text: transcript.trim(),
      tail: "",
      live: false,
    }),
  }),
  "conversation.item.input_audio_transcription.failed": (s, { item_id }) => ({
    talk: talk.place(dropDraft(s.talk, item_id), { id: item_id, role: "user", live: false, flaw: "unclear" }),
  }),

  // The conversation.
  "conversation.item.added": (s, { item, previous_item_id }) => ({
    talk: talk.receive(s.talk, item, previous_item_id, false),
  }),
  "conversation.item.done": (s, { item, previous_item_id }) => ({
    talk: talk.receive(s.talk, item, previous_item_id, true),
  }),
  "conversation.item.deleted": (s, { item_id }) => ({ talk: talk.remove(s.talk, item_id) }),
  "conversation.item.truncated": (s, { item_id }) => ({
    talk: talk.change(s.talk, item_id, { flaw: "cut", live: false }),
  }),
  "vivavoce.heard": (s, { item_id, text, heard_chars }) => ({
    talk: talk.place(s.talk, { id: item_id, role: "assistant", text, heard: heard_chars, flaw: "cut", live: false }),
  }),

  // The assistant's answer.
  "response.created": (_, { response }) =>
    response.conversation_id === null ? {} : { response: response.id, awaiting: false },
  "response.output_audio_transcript.delta": (s, { item_id, delta }) => ({
    talk: talk.extend(s.talk, item_id, "assistant", delta),
  }),
  "response.output_audio_transcript.done": (s, { item_id, transcript }) => ({
    talk: finish(s.talk, item_id, transcript),
  }),
  "response.output_text.delta": (s, { item_id, delta }) => ({ talk: talk.extend(s.talk, item_id, "assistant", delta) }),
  "response.output_text.done": (s, { item_id, text }) => ({ talk: finish(s.talk, item_id, text) }),
  "response.done": responseDone,
  "output_audio_buffer.started": (_, { response_id }) => ({ speaking: response_id, awaiting: false }),
  "output_audio_buffer.stopped": silent,
  "output_audio_buffer.cleared": silent,
  "vivavoce.seen": (_, { source, age_ms, report, things }) => ({ seen: { source, age_ms, report, things } }),
  "vivavoce.turn.latency": (s, { marks }) => ({
    latency: { turn: s.turn, marks, heard: s.latency?.turn === s.turn ? s.latency.heard : null },
  }),
};

/** @param {State} s @param {Fact} event @returns {Partial<State>} */
function committed(s, { item_id }) {
  const draft = s.talk.draft ? { ...s.talk.draft, id: s.talk.draft.id ?? item_id } : null;
  return { hearing: false, awaiting: true, turn: s.turn + 1, spoken: true, talk: { ...s.talk, draft } };
}

/** @param {State} s @param {Fact} event @returns {Partial<State>} */
function partial(s, { item_id = null, stable, tail }) {
  const known = item_id === null ? undefined : talk.find(s.talk, item_id);
  if (known?.live) return { captioned: true, talk: talk.change(s.talk, known.id, { text: stable, tail }) };
  if (known) return {};
  return {
    captioned: true,
    talk: { ...s.talk, draft: { id: item_id ?? s.talk.draft?.id ?? null, text: stable, tail } },
  };
}

/** @param {State} s @param {Fact} event @returns {Partial<State>} */
function responseDone(s, { response }) {
  const mine = s.response === response.id ? { response: null } : {};
  if (response.status !== "failed") return mine;
  const message = response.status_details?.error?.message ?? "";
  return {
    ...mine,
    awaiting: false,
    notice: serverNotice("response-failed", "The answer failed", message || "Please ask again."),
  };
}

/** @param {State} s @param {Fact} event @returns {Partial<State>} */
function silent(s, { response_id }) {
  return s.speaking === response_id || response_id === undefined ? { speaking: null } : {};
}

/** @param {State} s @param {Fact} event @returns {Partial<State>} */
function serverError(s, { error }) {
  if (HARMLESS.has(error.code) || String(error.event_id ?? "").startsWith("replay_")) return {};
  const refused = PICTURE_EVENT.exec(error.event_id ?? "");
  if (!refused) return { notice: serverNotice("server-error", "The server reported a problem", error.message) };
  const notice = serverNotice("picture-refused", "The server does not take the picture", error.message);
  return { notice, talk: talk.remove(s.talk, refused[1]) };
}

/** @param {State} s @param {Fact} event @returns {Partial<State>} */
function heard(s, { ms, since }) {
  const marks = s.latency?.turn === s.turn ? s.latency.marks : {};
  return { latency: { turn: s.turn, marks, heard: { ms, since } } };
}

/**
 * The full text, unless it is already known how much of it was heard.
 * @param {talk.Conversation} t @param {string} id @param {string} text
 */
function finish(t, id, text) {
  const known = talk.find(t, id);
  if (known && known.heard !== null) return t;
  return talk.place(t, { id, role: "assistant", text, live: false });
}

/** @param {talk.Conversation} t @param {string} id @returns {talk.Conversation} */
const dropDraft = (t, id) => (t.draft?.id === id ? { ...t, draft: null } : t);

/** @param {string} kind @param {string} title @param {string} advice @returns {Notice} */
const serverNotice = (kind, title, advice) => ({ kind, title, advice, actions: ["dismiss"] });
