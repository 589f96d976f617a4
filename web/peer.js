/**
 * One connection to the server: offer and answer, the data channel `oai-events`, tracks both ways.
 *
 *   dial() ─ offer ─► POST calls ─ answer ─► ICE, DTLS ─► channel open ─► session.created
 *            ─► session.update ─► session.updated ─► ready        each step has its own Failure; the whole a deadline
 *
 * Server events leave through `onEvent`, the voice through `onVoice`, the end of a ready connection through `onLost`
 * (once, never after close()). A Peer is used once: call.js makes a new one to reconnect.
 */

import { Failure, replyFailure } from "./errors.js";

/**
 * @typedef {object} DialOptions
 * @property {string} url  where to POST the offer
 * @property {string} key  API key or client secret; "" for none
 * @property {MediaStreamTrack|null} microphone  null: this call only listens
 * @property {MediaStreamTrack|null} camera
 * @property {(event: {type: string, [field: string]: any}) => void} onEvent
 * @property {(voice: MediaStream) => void} onVoice
 * @property {() => void} onLost
 */

const DEADLINE_MS = 15_000; // offer to session.updated
const GATHERING_MS = 1_000; // local candidates; the server learns of missing ones from our first packet
const SILENCE_MS = 4_000; // "disconnected" often heals by itself within this time

const SESSION = {
  type: "realtime",
  audio: {
    input: { transcription: { model: "default" }, turn_detection: { type: "semantic_vad" }, noise_reduction: null },
  },
};

export class Peer {
  /** @param {DialOptions} options */
  constructor(options) {
    this.options = options;
    this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.channel = this.pc.createDataChannel("oai-events");
    this.audio = this.pc.addTransceiver(options.microphone ?? "audio", {
      direction: options.microphone ? "sendrecv" : "recvonly",
    });
    // Offered from the start, so that switching the camera on needs no second offer.
    this.video = this.pc.addTransceiver(options.camera ?? "video", { direction: "sendonly" });
    /** @type {string|null} */
    this.hangupUrl = null;
    this.closed = false;
    /** @type {"posting"|"connecting"|"starting"|"ready"} */
    this.stage = "posting";
    /** @type {(failure: Failure) => void} */
    this.fail = () => {};
    /** @type {() => void} */
    this.ready = () => {};
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.silence = undefined;
  }

  /** @param {DialOptions} options @param {AbortSignal} signal @returns {Promise<Peer>} rejects with a Failure */
  static async dial(options, signal) {
    if (!globalThis.RTCPeerConnection) throw new Failure("unsupported");
    const peer = new Peer(options);
    try {
      await peer.connect(signal);
      return peer;
    } catch (error) {
      peer.hangUp();
      throw error;
    }
  }

  /** @param {AbortSignal} signal */
  async connect(signal) {
    const ready = new Promise((resolve, reject) => {
      this.ready = () => resolve(undefined);
      this.fail = reject;
    });
    const stop = () => this.fail(new Failure("cancelled"));
    const deadline = setTimeout(() => this.fail(new Failure(this.overdue())), DEADLINE_MS);
    signal.addEventListener("abort", stop);
    this.listen();
    try {
      if (signal.aborted) throw new Failure("cancelled");
      await Promise.all([this.negotiate(signal), ready]);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener("abort", stop);
    }
  }

  listen() {
    this.pc.addEventListener("track", ({ track, streams }) => {
      if (track.kind === "audio") this.options.onVoice(streams[0] ?? new MediaStream([track]));
    });
    this.pc.addEventListener("connectionstatechange", () => this.follow(this.pc.connectionState));
    this.channel.addEventListener("close", () => this.lose());
    this.channel.addEventListener("message", ({ data }) => this.receive(JSON.parse(data)));
  }

  /** @param {AbortSignal} signal */
  async negotiate(signal) {
    await this.pc.setLocalDescription(await this.pc.createOffer());
    await gathered(this.pc);
    const answer = await this.post(this.pc.localDescription?.sdp ?? "", signal);
    if (this.closed) return;
    this.stage = "connecting";
    try {
      await this.pc.setRemoteDescription({ type: "answer", sdp: answer });
    } catch (error) {
      throw new Failure("broken", `Its answer cannot be used: ${error instanceof Error ? error.message : ""}`);
    }
  }

  /** @param {string} offer @param {AbortSignal} signal @returns {Promise<string>} the answer */
  async post(offer, signal) {
    const headers = { "Content-Type": "application/sdp", ...this.authorization() };
    let response;
    try {
      response = await fetch(this.options.url, { method: "POST", body: offer, headers, signal });
    } catch {
      throw new Failure(signal.aborted ? "cancelled" : "gone");
    }
    if (!response.ok) throw await replyFailure(response, this.options.key !== "");
    const location = response.headers.get("Location");
    if (location) this.hangupUrl = `${new URL(location, response.url)}/hangup`;
    return response.text();
  }

  /** @param {{type: string}} event */
  receive(event) {
    this.options.onEvent(event);
    if (event.type === "session.created") {
      this.stage = "starting";
      this.send({ type: "session.update", session: SESSION });
    } else if (event.type === "session.updated" && this.stage === "starting") {
      this.stage = "ready";
      this.ready();
    }
  }

  /** @param {RTCPeerConnectionState} state */
  follow(state) {
    clearTimeout(this.silence);
    if (state === "disconnected") this.silence = setTimeout(() => this.lose(), SILENCE_MS);
    if (state === "failed" || state === "closed") this.lose();
  }

  lose() {
    if (this.closed) return;
    if (this.stage !== "ready") return this.fail(new Failure(this.stage === "connecting" ? "no-path" : "silent"));
    this.close();
    this.options.onLost();
  }

  overdue() {
    if (this.stage === "posting") return "gone";
    return this.pc.connectionState === "connected" ? "silent" : "no-path";
  }

  /** Sends a client event; dropped when the channel is not open. @param {object} event */
  send(event) {
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify(event));
  }

  /** @param {MediaStreamTrack|null} track */
  setMicrophone(track) {
    return this.audio.sender.replaceTrack(track);
  }

  /** @param {MediaStreamTrack|null} track */
  setCamera(track) {
    return this.video.sender.replaceTrack(track);
  }

  /** Tells the server that the call is over, then closes. Works while the tab is being closed. */
  hangUp() {
    if (this.hangupUrl && !this.closed) {
      // Not sendBeacon, which cannot carry the key; whether it arrives matters little: the closing below says it too.
      fetch(this.hangupUrl, { method: "POST", keepalive: true, headers: this.authorization() }).catch(() => {});
    }
    this.close();
  }

  close() {
    this.closed = true;
    clearTimeout(this.silence);
    this.channel.close();
    this.pc.close();
  }

  /** @returns {Record<string, string>} */
  authorization() {
    return this.options.key ? { Authorization: `Bearer ${this.options.key}` } : {};
  }
}

/** Resolves when all local candidates are known, or after GATHERING_MS. @param {RTCPeerConnection} pc */
function gathered(pc) {
  return new Promise((resolve) => {
    const done = () => pc.iceGatheringState === "complete" && resolve(undefined);
    pc.addEventListener("icegatheringstatechange", done);
    setTimeout(() => resolve(undefined), GATHERING_MS);
    done();
  });
}
