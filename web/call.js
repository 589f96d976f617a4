/**
 * The life of a call: dial, keep, redial when the connection is lost, end.
 *
 *   start() ─► dial ─► live ─ lost ─► wait, dial (up to 5 times in 30 s) ─► live
 *                │                          └─ none worked ─► ended("lost")
 *                └─ Failure ─► ended(words)
 *
 * What happens is told as `page.*` facts through `dispatch`; server events pass through unchanged. A new connection is
 * told what was said before (conversation.js, replay), so the talk goes on. Nothing here draws.
 */

import { replay, unanswered } from "./conversation.js";
import { explain, Failure } from "./errors.js";

/** @typedef {import("./peer.js").Peer} Peer */
/** @typedef {{microphone: MediaStreamTrack|null, camera: MediaStreamTrack|null}} Tracks */

/** Seconds before each attempt to reconnect: quick for a hiccup, patient for a restart; 30 s in all. */
export const RETRY_SECONDS = Object.freeze([0.5, 2, 4.5, 8, 15]);

const WORTH_RETRYING = new Set(["gone", "full", "broken", "no-path", "silent"]);

export class Call {
  /**
   * @param {object} parts
   * @param {(tracks: Tracks, signal: AbortSignal, onLost: () => void) => Promise<Peer>} parts.dial
   * @param {(fact: {type: string, [field: string]: any}) => void} parts.dispatch
   * @param {() => import("./conversation.js").Conversation} parts.talk  the captions so far
   * @param {() => Tracks} parts.tracks  the tracks in use at this moment
   */
  constructor({ dial, dispatch, talk, tracks }) {
    this.dial = dial;
    this.dispatch = dispatch;
    this.talk = talk;
    this.tracks = tracks;
    /** @type {Peer|null} */
    this.peer = null;
    /** @type {AbortController|null} */
    this.attempt = null;
    this.closing = false;
  }

  /**
   * Begins a call.
   * @param {object} how
   * @param {boolean} how.typing  without a microphone
   * @param {boolean} how.keep  go on with the talk so far
   * @param {() => Promise<void>} how.prepare  opens the microphone
   */
  async start({ typing, keep, prepare }) {
    this.drop();
    this.closing = false;
    const { signal } = (this.attempt = new AbortController());
    this.dispatch({ type: "page.connecting", typing, keep });
    try {
      await prepare();
      await this.connect(signal);
    } catch (error) {
      this.failed(error, signal);
    }
  }

  /** The user ends the call, or cancels an attempt. */
  end() {
    this.drop();
    this.dispatch({ type: "page.ended", notice: null });
  }

  /** Sends a client event if there is a live connection. @param {object} event */
  send(event) {
    this.peer?.send(event);
  }

  /** @param {AbortSignal} signal */
  async connect(signal) {
    if (signal.aborted) throw new Failure("cancelled");
    const peer = await this.dial(this.tracks(), signal, () => this.lost());
    if (signal.aborted) {
      peer.hangUp();
      throw new Failure("cancelled");
    }
    this.peer = peer;
    const talk = this.talk();
    for (const event of replay(talk)) peer.send(event);
    if (unanswered(talk)) peer.send({ type: "response.create" });
    this.dispatch({ type: "page.connected" });
  }

  async lost() {
    this.peer = null;
    if (this.closing) return this.dispatch({ type: "page.ended" }); // the server said so; its words are on the page
    const { signal } = (this.attempt = new AbortController());
    for (const [index, seconds] of RETRY_SECONDS.entries()) {
      this.dispatch({ type: "page.lost", attempt: index + 1, of: RETRY_SECONDS.length });
      await pause(seconds, signal);
      try {
        return await this.connect(signal);
      } catch (error) {
        if (!(error instanceof Failure) || !WORTH_RETRYING.has(error.kind)) return this.failed(error, signal);
      }
    }
    this.failed(new Failure("lost"), signal);
  }

  /** @param {unknown} error @param {AbortSignal} signal */
  failed(error, signal) {
    if (signal.aborted) return; // ended by the user, who knows
    this.drop();
    if (!(error instanceof Failure)) throw error;
    this.dispatch({ type: "page.ended", notice: explain(error) });
  }

  /** The server announced that it will close: its closing is then no loss to repair. */
  expectClosing() {
    this.closing = true;
  }

  drop() {
    this.attempt?.abort();
    this.peer?.hangUp();
    this.peer = null;
  }
}

/** @param {number} seconds @param {AbortSignal} signal */
function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}
