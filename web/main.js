/**
 * Wires the page: what the user does and what the server says become facts, facts become state, state is shown.
 *
 *   click, key, device ─┐                         ┌─► view, transcript, waterfall, orb
 *   call, peer (server) ─┴─► dispatch ─► reduce ──┤
 *   meter (levels) ─► orb, level bar, TurnClock,  └─► timers and marks that follow from a fact (afterwards)
 *
 * The only module with listeners on document and window, and the only one that holds the state. Tests may import
 * dispatch and current; there is nothing on window.
 */

import { AsHeard } from "./as-heard.js";
import { Call } from "./call.js";
import { Devices } from "./devices.js";
import { explain, Failure } from "./errors.js";
import { loudness, Meter, TurnClock } from "./meter.js";
import { MicrophoneCheck } from "./microphone.js";
import { Orb } from "./orb.js";
import { Peer } from "./peer.js";
import { AT_ONCE, filesIn, pictureOf, stillOf } from "./pictures.js";
import { SeenView } from "./seen.js";
import { floor, INITIAL, reduce } from "./state.js";
import { Transcript } from "./transcript.js";
import { VideoSource } from "./video.js";
import { View } from "./view.js";
import { Waterfall } from "./waterfall.js";

const CALLS_URL = "/v1/realtime/calls?extras=true";
const KEY_NAME = "vivavoce.key"; // sessionStorage: gone with the tab
const PATIENCE_MS = 10_000; // a turn without any answer is given up: it was noise, or nothing to answer
const METER_SECONDS = 0.1;

/** @template {HTMLElement} T @param {string} id @param {new () => T} type @returns {T} */
function part(id, type) {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`index.html has no ${type.name} with id ${id}`);
}
/** @param {string} id */
const html = (id) => part(id, HTMLElement);

const level = html("level");
const voice = part("voice", HTMLAudioElement);
const preview = part("preview", HTMLVideoElement);
const files = part("picture-files", HTMLInputElement);
const message = part("message", HTMLInputElement);
const keyDialog = part("key-dialog", HTMLDialogElement);
const keyInput = part("key", HTMLInputElement);
const shortcuts = part("shortcuts", HTMLInputElement);
const talkButton = html("talk");

const orb = new Orb(part("orb", HTMLCanvasElement));
const transcript = new Transcript(html("captions"), html("scroller"));
const waterfall = new Waterfall(html("latency"));
const view = new View({
  status: html("status"),
  hint: html("hint"),
  announcer: html("announcer"),
  captioner: html("captioner"),
  talk: talkButton,
  talkLabel: html("talk-label"),
  mute: html("mute"),
  notice: html("notice"),
});
const seenView = new SeenView(html("seen"), html("boxes"));
const clock = new TurnClock();
const check = new MicrophoneCheck();
const meter = new Meter(measured);
const devices = new Devices({
  microphones: part("microphones", HTMLSelectElement),
  cameras: part("cameras", HTMLSelectElement),
  onMicrophone: microphoneChanged,
  onCameras: (ids) => video.list(ids),
  inCall: () => state.phase === "live",
  onFailure: (failure) => dispatch({ type: "page.noticed", notice: explain(failure) }),
});
const video = new VideoSource({
  cameras: part("cameras", HTMLSelectElement),
  turn: html("turn"),
  onChange: videoChanged,
  onOpened: () => devices.list(),
  onFailure: (failure) => dispatch({ type: "page.noticed", notice: explain(failure) }),
});
const call = new Call({
  dispatch,
  dial,
  talk: () => state.talk,
  tracks: () => ({ microphone: state.typing ? null : devices.microphone, video: video.track }),
});

const asHeard = new AsHeard(html("as-heard"), {
  fetch: (signal) => call.peer?.asHeard(signal),
  onPlaying: (on) => devices.microphone && (devices.microphone.enabled = !on && !state.muted),
});

/** @type {import("./state.js").State} */
let state = INITIAL;
let meterShown = 0;
render();
devices.list();

/** The state as it is now. */
export function current() {
  return state;
}

/** Applies one fact and shows the result. @param {import("./state.js").Fact} fact */
export function dispatch(fact) {
  state = reduce(state, fact);
  render();
  afterwards(fact);
}

function render() {
  view.render(state);
  transcript.render(state.talk);
  waterfall.render(state.latency);
  seenView.render(state.seen, video.mirrored);
  orb.setFloor(floor(state));
  asHeard.render(state.spoken && state.phase === "live", floor(state) === "listening", state.turn);
}

/** @param {import("./state.js").Fact} fact */
function afterwards(fact) {
  if (fact.type === "vivavoce.closing") call.expectClosing();
  if (fact.type === "page.ended") release();
  if (fact.type === "page.connected" || fact.type === "page.resumed") showVideo();
  if (fact.type !== "input_audio_buffer.committed" && fact.type !== "page.typed") return;
  clock.turnEnded(meter.time, fact.type !== "page.typed");
  const { turn } = state;
  setTimeout(
    () => state.turn === turn && floor(state) === "thinking" && dispatch({ type: "page.waited" }),
    PATIENCE_MS,
  );
}

/** @type {import("./call.js").Call["dial"]} */
function dial(tracks, signal, onLost, ticket) {
  const key = sessionStorage.getItem(KEY_NAME) ?? "";
  return Peer.dial({ url: CALLS_URL, key, ...tracks, ticket, onEvent: dispatch, onVoice: play, onLost }, signal);
}

/** @param {boolean} typing */
function start(typing) {
  meter.start(); // within the click, as browsers demand
  const keep = state.phase === "live" || state.notice !== null; // after a failure the talk goes on
  return call.start({ typing, keep, prepare: typing ? async () => {} : prepare });
}

async function prepare() {
  await devices.openMicrophone();
  if (state.phase !== "connecting") await release(); // cancelled while the browser asked
}

async function release() {
  await Promise.all([devices.release(), video.off()]);
}

/** @param {MediaStream} stream */
async function play(stream) {
  voice.srcObject = stream;
  meter.setVoice(stream);
  try {
    await voice.play();
  } catch (error) {
    const blocked = error instanceof DOMException && error.name === "NotAllowedError";
    if (blocked) dispatch({ type: "page.noticed", notice: explain(new Failure("sound-blocked")) });
  }
}

/** @param {{time: number, mic: number, voice: number, peak: number}} levels */
function measured(levels) {
  const on = state.phase === "live" && !state.muted && !asHeard.playing && devices.microphone !== null;
  const trouble = check.receive(levels, on);
  if (trouble !== (state.trouble?.kind ?? null))
    dispatch({ type: "page.microphone", kind: trouble, name: devices.microphone?.label ?? "" });
  const heard = clock.receive(levels);
  if (heard && state.phase === "live") dispatch({ type: "page.heard", ...heard });
  const mic = state.muted ? 0 : loudness(levels.mic);
  orb.setLevels(mic, loudness(levels.voice));
  if (levels.time - meterShown < METER_SECONDS) return;
  meterShown = levels.time;
  level.style.setProperty("--level", mic.toFixed(2));
  level.setAttribute("aria-valuenow", String(Math.round(mic * 100)));
}

/** @param {MediaStreamTrack|null} track */
function microphoneChanged(track) {
  check.reset();
  if (track) track.enabled = !state.muted;
  meter.setMicrophone(track && new MediaStream([track]));
  if (state.typing && track)
    start(false); // the call had no microphone line: call again, the captions are told anew
  else call.peer?.setMicrophone(track);
}

function videoChanged() {
  const { track, source } = video;
  html("camera").setAttribute("aria-pressed", String(source === "camera"));
  html("screen").setAttribute("aria-pressed", String(source === "screen"));
  html("self-view").hidden = track === null;
  preview.dataset.mirrored = String(video.mirrored);
  preview.ariaLabel = source === "screen" ? "Your screen" : "Your camera";
  preview.srcObject = track && new MediaStream([track]);
  dispatch({ type: "page.showed" });
  showVideo();
}

/** Shows the server what the user shows; a call that is just up may have begun with another track. */
function showVideo() {
  call.peer?.setVideo(video.track);
  if (!video.track || !call.peer || call.peer.seesVideo) return;
  dispatch({ type: "page.noticed", notice: explain(new Failure(`${video.source}-unseen`)) });
}

function toggleMute() {
  dispatch({ type: "page.muted", on: !state.muted });
  if (devices.microphone) devices.microphone.enabled = !state.muted && !asHeard.playing;
}

/** @param {string} text */
function type(text) {
  if (state.phase !== "live" && state.phase !== "reconnecting") start(true);
  const id = newId();
  const item = { id, type: "message", role: "user", content: [{ type: "input_text", text }] };
  if (state.response) call.send({ type: "response.cancel" });
  if (state.speaking) call.send({ type: "output_audio_buffer.clear" });
  call.send({ type: "conversation.item.create", item });
  call.send({ type: "response.create" });
  dispatch({ type: "page.typed", id, text }); // before the call is up, it is told with what was said before
}

/** A file held over the page, or dropped anywhere on it: else the browser would leave the page. @param {Event} event */
function dragged(event) {
  if (!(event instanceof DragEvent) || !event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  html("talk-panel").dataset.dropping = String(event.type === "dragenter" || event.type === "dragover");
  if (event.type === "drop") sendFiles(filesIn(event.dataTransfer));
}

const newId = () => `item_${crypto.getRandomValues(new BigUint64Array(1))[0].toString(36)}`;

/**
 * Sends a picture. It asks for no answer: the user asks about it, aloud or in writing.
 * @param {string} picture  a data URI
 */
function sendPicture(picture) {
  if (state.phase === "idle" || state.phase === "ended") start(true);
  const id = newId();
  const item = { id, type: "message", role: "user", content: [{ type: "input_image", image_url: picture }] };
  dispatch({ type: "page.pictured", id, picture }); // before the call is up, it is told with what was said before
  call.send({ type: "conversation.item.create", event_id: `picture_${id}`, item });
}

/** @param {() => string|Promise<string>} take  gives a data URI, or throws a Failure */
async function tryPicture(take) {
  try {
    sendPicture(await take());
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    dispatch({ type: "page.noticed", notice: explain(error) });
  }
}

/** @param {File[]} given */
async function sendFiles(given) {
  for (const file of given.slice(0, AT_ONCE)) await tryPicture(() => pictureOf(file));
  if (given.length > AT_ONCE) dispatch({ type: "page.noticed", notice: explain(new Failure("many-pictures")) });
}

/** @type {Record<string, () => void>} */
const ACTIONS = {
  retry: () => start(state.typing),
  type: () => {
    dispatch({ type: "page.noticed", notice: null });
    message.focus();
  },
  key: () => keyDialog.showModal(),
  sound: () => {
    meter.start();
    voice.play().then(() => dispatch({ type: "page.noticed", notice: null }));
  },
  dismiss: () => {
    dispatch({ type: "page.noticed", notice: null });
    talkButton.focus();
  },
};

talkButton.addEventListener("click", ({ detail }) => {
  if (detail > 1) return; // the second half of a double click
  if (state.phase === "idle" || state.phase === "ended") start(false);
  else call.end();
});
html("mute").addEventListener("click", toggleMute);
html("camera").addEventListener("click", () => video.toggleCamera());
html("screen").addEventListener("click", () => video.toggleScreen());
html("screen").hidden = Boolean(navigator.mediaDevices && !navigator.mediaDevices.getDisplayMedia); // phones
html("still").addEventListener("click", () => tryPicture(() => stillOf(preview)));
html("picture").addEventListener("click", () => files.click());
files.addEventListener("change", () => {
  const chosen = [...(files.files ?? [])];
  files.value = ""; // the same file can be chosen again
  sendFiles(chosen);
});
document.addEventListener("paste", (event) => {
  const pasted = filesIn(event.clipboardData);
  if (!pasted.length) return; // text goes where it belongs
  event.preventDefault();
  sendFiles(pasted);
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) window.addEventListener(kind, dragged);
html("notice").addEventListener("click", ({ target }) => {
  const action = target instanceof HTMLElement ? target.dataset.action : undefined;
  if (action) ACTIONS[action]();
});
html("typing").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = message.value.trim();
  message.value = "";
  if (text) type(text);
});
keyDialog.addEventListener("close", () => {
  const key = keyInput.value.trim();
  keyInput.value = "";
  if (keyDialog.returnValue !== "use" || !key) return;
  sessionStorage.setItem(KEY_NAME, key);
  start(state.typing);
});
part("mirror", HTMLInputElement).addEventListener("change", ({ target }) => {
  asHeard.wanted = target instanceof HTMLInputElement && target.checked;
  render();
});
part("tell", HTMLInputElement).addEventListener("change", ({ target }) => {
  view.tellCaptions = target instanceof HTMLInputElement && target.checked;
});
document.addEventListener("keydown", (event) => {
  const busy = event.target instanceof Element && event.target.closest("input, select, textarea, dialog");
  if (busy || !shortcuts.checked || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "m" || event.key === "M") toggleMute();
  if (event.key === "Escape" && ["connecting", "live", "reconnecting"].includes(state.phase)) call.end();
});
window.addEventListener("pagehide", () => call.drop());
window.addEventListener("online", () => call.networkChanged());
/** @type {{connection?: EventTarget}} */ (navigator).connection?.addEventListener("change", () => call.networkChanged());
