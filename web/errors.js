/**
 * What went wrong, in words, with what to do about it.
 *
 * Browser errors and HTTP replies come in; a Failure with one of the kinds below goes out, and explain() turns it into a
 * Notice for the page. No error is shown raw. Nothing here retries: call.js does.
 *
 *   Failure ─┬─ insecure · no-microphone · refused · busy                 the microphone
 *            ├─ no-camera · camera-refused · camera-busy · camera-unseen  the camera (the call goes on)
 *            ├─ screen-refused · screen-busy · screen-unsupported · screen-ended · screen-unseen
 *            │                                                            the screen (the call goes on)
 *            ├─ no-picture · picture-large · picture-unreadable · no-still · many-pictures
 *            │                                                            a picture (not sent)
 *            ├─ gone · full · key-needed · key-wrong · rejected · broken  the server's reply to the offer
 *            ├─ no-path · silent · lost                                   the connection
 *            └─ unsupported · sound-blocked · unplugged · cancelled       the browser, the user
 */

/** @typedef {import("./state.js").Notice} Notice */

/** @type {Record<string, [title: string, advice: string, actions: string[]]>} */
const WORDS = {
  insecure: [
    "This address cannot use your microphone",
    "Browsers give the microphone only to https addresses, and to localhost. Open this page at its https address, or as http://localhost on the machine that runs it. You can type meanwhile.",
    ["type"],
  ],
  "no-microphone": [
    "No microphone found",
    "Plug one in or switch it on, then try again. You can also type.",
    ["retry", "type"],
  ],
  refused: [
    "The microphone is blocked",
    "Allow it for this page: select the icon beside the address, set Microphone to Allow, then try again. You can also type.",
    ["retry", "type"],
  ],
  busy: [
    "The microphone is in use",
    "Another program holds it, or the system blocks it. Close that program, then try again. You can also type.",
    ["retry", "type"],
  ],
  "no-camera": [
    "No camera found",
    "Plug one in or switch it on, then turn the camera on again. The call goes on without it.",
    ["dismiss"],
  ],
  "camera-refused": [
    "The camera is blocked",
    "Allow it for this page: select the icon beside the address and set Camera to Allow. The call goes on without it.",
    ["dismiss"],
  ],
  "camera-busy": [
    "The camera is in use",
    "Another program holds it. Close that program, then turn the camera on again.",
    ["dismiss"],
  ],
  "camera-unseen": [
    "The camera is not seen",
    "The server cannot read the pictures that this browser sends. The call goes on without them.",
    ["dismiss"],
  ],
  "screen-unseen": [
    "The screen is not seen",
    "The server cannot read the pictures that this browser sends. The call goes on without them.",
    ["dismiss"],
  ],
  "screen-refused": [
    "The screen is not shared",
    "Nothing was chosen, or the browser or the system does not allow it. Press Screen to choose again.",
    ["dismiss"],
  ],
  "screen-busy": [
    "The screen cannot be captured",
    "The system does not let the browser read it. Choose another window or tab, or send a screenshot as a picture.",
    ["dismiss"],
  ],
  "screen-unsupported": [
    "This browser cannot share the screen",
    "Send a screenshot as a picture instead.",
    ["dismiss"],
  ],
  "screen-ended": [
    "The screen is no longer shared",
    "Sharing was stopped in the browser, or the window was closed. The call goes on.",
    ["dismiss"],
  ],
  "no-picture": [
    "This is not a picture",
    "Send a JPEG, PNG, WebP or GIF. Of a document, send a picture of the page: a screenshot, for example.",
    ["dismiss"],
  ],
  "picture-large": ["The picture is too large", "Send a smaller one, or a part of it.", ["dismiss"]],
  "picture-unreadable": [
    "The picture cannot be read",
    "It is damaged, empty, or of a kind that this browser does not know. Send it as JPEG, PNG, WebP or GIF.",
    ["dismiss"],
  ],
  "no-still": ["There is no picture yet", "The camera has not shown anything so far. Try again in a moment.", ["dismiss"]],
  "many-pictures": ["Not all pictures were sent", "Send at most four at once.", ["dismiss"]],
  gone: [
    "The server does not answer",
    "Check that Vivavoce is running and that this device is online, then try again.",
    ["retry"],
  ],
  full: ["The server is full", "All places for calls are taken.", ["retry"]],
  "key-needed": ["This server asks for a key", "Enter the key that its owner gave you.", ["key"]],
  "key-wrong": ["The key was not accepted", "Check it with the server's owner and enter it again.", ["key"]],
  rejected: ["The server refused the call", "", ["retry"]],
  broken: [
    "The server failed",
    "It could not set up the call. Try again; if it happens again, its log tells why.",
    ["retry"],
  ],
  "no-path": [
    "No sound can get through",
    "The server answers, but the audio connection fails. A firewall or VPN may block UDP between this device and the server. Try another network, or ask the server's owner which UDP ports to open.",
    ["retry"],
  ],
  silent: [
    "The server does not start the session",
    "It accepted the call and then said nothing. Try again; if it happens again, its log tells why.",
    ["retry"],
  ],
  lost: [
    "The connection is lost",
    "Several attempts to call the server again have failed. Check the network, then try again. The captions stay here.",
    ["retry"],
  ],
  unsupported: [
    "This browser cannot make calls",
    "It has no WebRTC, or it is switched off. Use a current Chrome, Edge, Firefox or Safari.",
    [],
  ],
  "sound-blocked": ["The browser holds back the sound", "It wants one click first.", ["sound"]],
  unplugged: [
    "The microphone is gone",
    "It was unplugged or switched off. Choose another one in the settings, or type.",
    ["dismiss"],
  ],
};

/** Something the user should know. */
export class Failure extends Error {
  /**
   * @param {string} kind  key of WORDS, or "cancelled" @param {string} [detail]  the server's own words
   * @param {number|null} [retryAfter]  seconds, when the server named them
   */
  constructor(kind, detail = "", retryAfter = null) {
    super(detail ? `${kind}: ${detail}` : kind);
    this.kind = kind;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

/** @param {Failure} failure @returns {Notice} */
export function explain(failure) {
  const [title, advice, actions] = WORDS[failure.kind] ?? ["Something went wrong", "Try again.", ["retry"]];
  const full = failure.kind === "full";
  const sentences = [failure.detail && sentence(failure.detail), full && failure.detail ? "" : advice];
  if (full) sentences.push(failure.retryAfter ? `Try again in ${span(failure.retryAfter)}.` : "Try again in a minute.");
  return { kind: failure.kind, title, advice: sentences.filter(Boolean).join(" "), actions };
}

/**
 * @param {unknown} error  what getUserMedia or getDisplayMedia threw @param {"microphone"|"camera"|"screen"} device
 * @returns {Failure}
 */
export function mediaFailure(error, device) {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  const camera = device === "camera";
  if (device === "screen") {
    const refused = ["NotAllowedError", "SecurityError", "AbortError", "InvalidStateError"].includes(name);
    return new Failure(refused ? "screen-refused" : "screen-busy");
  }
  if (name === "NotAllowedError" || name === "SecurityError") return new Failure(camera ? "camera-refused" : "refused");
  if (name === "NotFoundError" || name === "OverconstrainedError")
    return new Failure(camera ? "no-camera" : "no-microphone");
  return new Failure(camera ? "camera-busy" : "busy");
}

/**
 * @param {{status: number, headers: {get(name: string): string|null}, text(): Promise<string>}} response  a reply that is not 2xx
 * @param {boolean} keyGiven
 * @returns {Promise<Failure>}
 */
export async function replyFailure(response, keyGiven) {
  const detail = messageIn(await response.text());
  const seconds = Number(response.headers.get("Retry-After"));
  const retryAfter = Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : null;
  if (response.status === 401 || response.status === 403) return new Failure(keyGiven ? "key-wrong" : "key-needed");
  if (response.status === 503 || response.status === 429) return new Failure("full", detail, retryAfter);
  if (response.status === 502 || response.status === 504) return new Failure("gone");
  return response.status >= 500
    ? new Failure("broken", detail)
    : new Failure("rejected", detail || `It answered ${response.status}`);
}

/** The `error.message` of a JSON error body, or "". @param {string} body */
function messageIn(body) {
  try {
    const message = JSON.parse(body)?.error?.message;
    return typeof message === "string" ? message : "";
  } catch {
    return ""; // a proxy's HTML page says nothing to the user
  }
}

/** @param {string} text */
const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** @param {number} seconds */
const span = (seconds) =>
  seconds < 90 ? `${seconds} ${seconds === 1 ? "second" : "seconds"}` : `${Math.round(seconds / 60)} minutes`;
