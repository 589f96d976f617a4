/**
 * One connection to the server: offer and answer, the data channel `oai-events`, tracks both ways.
 *
 *   dial() ─ offer ─► POST calls ─ answer ─► ICE, DTLS ─► channel open ─► session.created
 *            ─► session.update ─► session.updated ─► ready        each step has its own Failure; the whole a deadline
 *   dial(ticket) ─ offer ─► ... channel open ─► missed events ─► vivavoce.call.resumed ─► ready     the call goes on
 *
 * Server events leave through `onEvent`, the voice through `onVoice`, the end of a ready connection through `onLost`
 * (once, never after close()). A Peer is used once: call.js makes a new one to reconnect, with the old one's ticket().
 */

import { Failure, replyFailure } from "./errors.js";

/**
 * @typedef {object} DialOptions
 * @property {string} url  where to POST the offer
 * @property {string} key  API key or client secret; "" for none
 * @property {MediaStreamTrack|null} microphone  null: this call only listens
 * @property {MediaStreamTrack|null} video  the camera or the screen
 * @property {Ticket|null} [ticket]  of the connection that was lost: the same call goes on
 * @property {(event: {type: string, [field: string]: any}) => void} onEvent
 * @property {(voice: MediaStream) => void} onVoice
 * @property {(ticket: Ticket|null) => void} onLost
 */

/**
 * What a call can be resumed with: its token, the last event that came, and what was played last, as an RTP timestamp.
 * @typedef {{token: string, received: string, played: number|null}} Ticket
 */

const DEADLINE_MS = 15_000; // offer to session.updated
const RESUME_MS = 5_000; // offer to vivavoce.call.resumed: better a second attempt than a long wait for the first
const NO_SOUND_MS = 1_500; // the server sends 50 packets a second, also while nobody speaks
const CHANGED_MS = 700; // the same, when the browser has just told of another network
const LOOK_MS = 250;
const GATHERING_MS = 1_000; // local candidates; the server learns of missing ones from our first packet
const BUFFERED_MS = 300; // what the browser may still hold of a voice that was cut: jitter buffer and sound device
const SILENCE_MS = 2_000; // "disconnected" often heals by itself within this time

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
    // Offered from the start, so that switching the camera or the screen on needs no second offer.
    this.video = this.pc.addTransceiver(options.video ?? "video", { direction: "sendonly" });
    /** @type {string|null} */
    this.callUrl = null;
    this.closed = false;
    /** @type {"posting"|"connecting"|"starting"|"ready"} */
    this.stage = "posting";
    /** @type {(failure: Failure) => void} */
    this.fail = () => {};
    /** @type {() => void} */
    this.ready = () => {};
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.silence = undefined;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.hush = undefined;
    /** @type {ReturnType<typeof setInterval>|undefined} */
    this.watch = undefined;
    this.token = "";
    this.received = options.ticket?.received ?? "";
    this.packets = -1;
    this.packetAt = 0;
    this.networkAt = -Infinity;
  }

  /** @param {DialOptions} options @param {AbortSignal} signal @returns {Promise<Peer>} rejects with a Failure */
  static async dial(options, signal) {
    if (!globalThis.RTCPeerConnection) throw new Failure("unsupported");
    const peer = new Peer(options);
    try {
      await peer.connect(signal);
      return peer;
    } catch (error) {
      if (options.ticket && !signal.aborted) peer.close(); // the call still waits, for the next attempt
      else peer.hangUp();
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
    const limit = this.options.ticket ? RESUME_MS : DEADLINE_MS;
    const deadline = setTimeout(() => this.fail(new Failure(this.overdue())), limit);
    signal.addEventListener("abort", stop);
    this.listen();
    try {
      if (signal.aborted) throw new Failure("cancelled");
      await Promise.all([this.negotiate(signal), ready]);
      this.watch = setInterval(() => this.look(), LOOK_MS);
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
      response = await fetch(this.address(), { method: "POST", body: offer, headers, signal });
    } catch {
      throw new Failure(signal.aborted ? "cancelled" : "gone");
    }
    if (!response.ok) throw await replyFailure(response, this.options.key !== "");
    const location = response.headers.get("Location");
    if (location) this.callUrl = String(new URL(location, response.url));
    return response.text();
  }

  /** @param {{type: string, event_id?: string, token?: any}} event */
  receive(event) {
    this.received = event.event_id ?? this.received;
    if (event.type === "vivavoce.call.resumable") this.token = event.token;
    this.options.onEvent(event);
    if (event.type === "output_audio_buffer.cleared") this.dropVoice();
    if (event.type === "output_audio_buffer.started") this.playVoice();
    if (event.type === "session.created") {
      this.stage = "starting";
      this.send({ type: "session.update", session: SESSION });
    } else if (event.type === "session.updated" && this.stage === "starting") {
      this.stage = "ready";
      this.ready();
    } else if (event.type === "vivavoce.call.resumed") {
      this.stage = "ready";
      this.ready();
    }
  }

  /** The voice was cut: what the browser still holds of it is not played. */
  dropVoice() {
    clearTimeout(this.hush);
    this.audio.receiver.track.enabled = false;
    this.hush = setTimeout(() => this.playVoice(), BUFFERED_MS);
  }

  playVoice() {
    clearTimeout(this.hush);
    this.audio.receiver.track.enabled = true;
  }

  /** What the call can be resumed with, or null. @returns {Ticket|null} */
  ticket() {
    if (!this.token) return null;
    const [source] = this.audio.receiver.getSynchronizationSources();
    return { token: this.token, received: this.received, played: source?.rtpTimestamp ?? null };
  }

  /** Where to POST the offer. */
  address() {
    const { url, ticket } = this.options;
    if (!ticket) return url;
    const query = new URLSearchParams({ resume: ticket.token, received: ticket.received });
    if (ticket.played !== null) query.set("played", String(ticket.played));
    return `${url}${url.includes("?") ? "&" : "?"}${query}`;
  }

  /** The browser says that the network is another one: silence means more than it usually does. */
  networkChanged() {
    this.networkAt = performance.now();
  }

  /** Looks whether sound still comes; it tells of a lost connection long before ICE does. */
  async look() {
    const report = await this.audio.receiver.getStats();
    const now = performance.now();
    for (const entry of report.values()) {
      if (entry.type !== "inbound-rtp" || entry.packetsReceived === this.packets) continue;
      this.packets = entry.packetsReceived;
      this.packetAt = now;
    }
    const limit = now - this.networkAt < NO_SOUND_MS ? CHANGED_MS : NO_SOUND_MS;
    if (this.packets >= 0 && now - this.packetAt > limit) this.lose();
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
    const ticket = this.ticket();
    this.close();
    this.options.onLost(ticket);
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

  /** Whether the server takes pictures: it may have rejected them in its answer. */
  get seesVideo() {
    return this.video.currentDirection !== "stopped";
  }

  /** @param {MediaStreamTrack|null} track */
  setVideo(track) {
    return this.seesVideo ? this.video.sender.replaceTrack(track) : undefined;
  }

  /** Tells the server that the call is over, then closes. Works while the tab is being closed. */
  hangUp() {
    if (!this.closed) this.tellGoodbye();
    this.close();
  }

  /** Tells the server that the call is over, be there a connection or not. */
  tellGoodbye() {
    if (!this.callUrl) return;
    // Not sendBeacon, which cannot carry the key; whether it arrives matters little: closing, or a time limit, says it too.
    fetch(`${this.callUrl}/hangup`, { method: "POST", keepalive: true, headers: this.authorization() }).catch(() => {});
  }

  /** The user's last turn as the codec hears it: a WAV file. @param {AbortSignal} signal @returns {Promise<Response>} */
  asHeard(signal) {
    return fetch(`${this.callUrl}/as-heard`, { headers: this.authorization(), signal });
  }

  close() {
    this.closed = true;
    clearTimeout(this.silence);
    clearTimeout(this.hush);
    clearInterval(this.watch);
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
