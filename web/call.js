/**
 * The life of a call: dial, keep, redial when the connection is lost, end.
 *
 *   start() ─► dial ─► live ─ lost ─► wait, dial with the ticket (up to 5 times in 30 s) ─► live, where it was
 *                │                          ├─ the ticket is refused ─► dial anew ─► live
 *                │                          └─ none worked ─► ended("lost")
 *                └─ Failure ─► ended(words)
 *
 * What happens is told as `page.*` facts through `dispatch`; server events pass through unchanged. With its ticket the
 * same call goes on: the server sends what was missed, and says again what was not heard. Without it a new call is told
 * what was said before (conversation.js, replay). Nothing here draws.
 */

import { replay, unanswered } from "./conversation.js";
import { explain, Failure } from "./errors.js";

/** @typedef {import("./peer.js").Peer} Peer */
/** @typedef {import("./peer.js").Ticket} Ticket */
/** @typedef {{microphone: MediaStreamTrack|null, video: MediaStreamTrack|null}} Tracks */

/** Seconds before each attempt to reconnect: at once for another network, patient for a restart; 30 s in all. */
export const RETRY_SECONDS = Object.freeze([0, 1, 4, 9, 15]);

const UNSENT_LIMIT = 50; // events that wait for the call to go on

const WORTH_RETRYING = new Set(["gone", "full", "broken", "no-path", "silent"]);

export class Call {
  /**
   * @param {object} parts
   * @param {(tracks: Tracks, signal: AbortSignal, onLost: (ticket: Ticket|null) => void, ticket: Ticket|null)
   *   => Promise<Peer>} parts.dial
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
    /** @type {(() => void)|null}  ends a call that waits on the server */
    this.abandon = null;
    /** @type {object[]} */
    this.unsent = [];
    /** @type {() => void} */
    this.wake = () => {};
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
      await this.connect(signal, null);
    } catch (error) {
      this.failed(error, signal);
    }
  }

  /** The user ends the call, or cancels an attempt. */
  end() {
    this.drop();
    this.dispatch({ type: "page.ended", notice: null });
  }

  /** Sends a client event, now or when the call goes on. @param {object} event */
  send(event) {
    if (this.peer) this.peer.send(event);
    else if (this.unsent.length < UNSENT_LIMIT) this.unsent.push(event);
  }

  /** The browser is on another network: the next attempt is due, and silence tells more. */
  networkChanged() {
    this.peer?.networkChanged();
    this.wake();
  }

  /** @param {AbortSignal} signal @param {Ticket|null} ticket */
  async connect(signal, ticket) {
    if (signal.aborted) throw new Failure("cancelled");
    const peer = await this.dial(this.tracks(), signal, (left) => this.lost(left), ticket);
    if (signal.aborted) {
      peer.hangUp();
      throw new Failure("cancelled");
    }
    this.peer = peer;
    this.abandon = null;
    const unsent = this.unsent.splice(0);
    if (ticket) {
      for (const event of unsent) peer.send(event);
      return this.dispatch({ type: "page.resumed" });
    }
    const talk = this.talk();
    for (const event of replay(talk)) peer.send(event);
    if (unanswered(talk)) peer.send({ type: "response.create" });
    this.dispatch({ type: "page.connected" });
  }

  /** @param {Ticket|null} [ticket] */
  async lost(ticket = null) {
    const left = this.peer;
    this.peer = null;
    this.unsent = [];
    if (ticket) this.abandon = () => left?.tellGoodbye();
    if (this.closing) return this.dispatch({ type: "page.ended" }); // the server said so; its words are on the page
    const { signal } = (this.attempt = new AbortController());
    for (const [index, seconds] of RETRY_SECONDS.entries()) {
      const type = ticket ? "page.paused" : "page.lost";
      this.dispatch({ type, attempt: index + 1, of: RETRY_SECONDS.length });
      await this.pause(seconds, signal);
      try {
        return await this.connect(signal, ticket);
      } catch (error) {
        if (ticket && error instanceof Failure && error.kind === "rejected") {
          ticket = this.abandon = null; // the call is over: a new one is told what was said
          continue;
        }
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

  /** @param {number} seconds @param {AbortSignal} signal */
  pause(seconds, signal) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
      signal.addEventListener("abort", this.wake);
    });
  }

  drop() {
    this.unsent = [];
    this.attempt?.abort();
    this.peer?.hangUp();
    this.peer = null;
    this.abandon?.();
    this.abandon = null;
  }
}

