/**
 * Levels of the microphone and of the voice, and the time from the end of speech to the first sound of the answer.
 *
 * Meter feeds both streams to one worklet, so both levels share a clock. TurnClock (pure) turns levels and the server's
 * turn events into "heard after so many ms": mouth to loudspeaker as this page sees it, without the delay of the sound
 * device itself. Without AudioWorklet (an insecure address) there are no levels, and nothing else suffers.
 */

const LOUD = 0.008; // -42 dBFS: speech close to a microphone is well above, a quiet room below
const OVER_NOISE = 4; // speech is at least 12 dB over the room
const VOICE = 0.004; // -48 dBFS: the answer's first sound
const GAP_SECONDS = 0.06; // the voice must have been silent so long before it can be heard to begin
const STEADY_SECONDS = 0.05; // a microphone still loud this close to the server's verdict is noise, not speech
const PLAUSIBLE_SECONDS = 4; // the server never waits longer before it hands over a turn
const PATIENCE_SECONDS = 30; // an answer later than this is not measured

export class TurnClock {
  constructor() {
    this.room = LOUD;
    this.lastLoud = -Infinity;
    this.lastVoice = -Infinity;
    /** @type {{at: number, since: "mouth"|"stopped"}|null} */
    this.armed = null;
  }

  /**
   * The server says that the user has finished, or the user sent a text.
   * @param {number} time seconds @param {boolean} spoken
   */
  turnEnded(time, spoken) {
    const ago = time - this.lastLoud;
    const mouth = spoken && ago > STEADY_SECONDS && ago < PLAUSIBLE_SECONDS;
    this.armed = mouth ? { at: this.lastLoud, since: "mouth" } : { at: time, since: "stopped" };
  }

  /**
   * @param {{time: number, mic: number, voice: number}} levels
   * @returns {{ms: number, since: "mouth"|"stopped"}|null} at the first sound of an answer
   */
  receive({ time, mic, voice }) {
    this.room = mic < this.room ? this.room * 0.8 + mic * 0.2 : this.room + (mic - this.room) * 0.001;
    if (mic > Math.max(LOUD, this.room * OVER_NOISE)) this.lastLoud = time;
    const begins = voice > VOICE && time - this.lastVoice > GAP_SECONDS;
    if (voice > VOICE) this.lastVoice = time;
    if (!this.armed || !begins) return null;
    const { at, since } = this.armed;
    this.armed = null;
    return time - at < PATIENCE_SECONDS ? { ms: Math.round((time - at) * 1000), since } : null;
  }
}

export class Meter {
  /** @param {(levels: {time: number, mic: number, voice: number, peak: number}) => void} onLevels */
  constructor(onLevels) {
    this.onLevels = onLevels;
    /** @type {AudioContext|null} */
    this.context = null;
    /** @type {Promise<AudioWorkletNode|null>|null} */
    this.node = null;
    /** @type {(MediaStreamAudioSourceNode|undefined)[]} */
    this.sources = [];
  }

  /** Call in a click, else the browser keeps the context suspended. */
  async start() {
    if (!globalThis.AudioContext) return;
    this.context ??= new AudioContext({ latencyHint: "interactive" });
    this.node ??= this.build(this.context);
    await this.context.resume();
  }

  /** @param {AudioContext} context @returns {Promise<AudioWorkletNode|null>} */
  async build(context) {
    if (!context.audioWorklet) return null;
    await context.audioWorklet.addModule(new URL("./level-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(context, "levels", {
      numberOfInputs: 2,
      numberOfOutputs: 1,
      channelCount: 1,
      channelCountMode: "explicit",
    });
    node.port.onmessage = ({ data }) => this.onLevels(data);
    node.connect(context.destination); // silent; some browsers run only what leads to the destination
    return node;
  }

  /** Seconds on the clock of the levels. */
  get time() {
    return this.context?.currentTime ?? 0;
  }

  /** @param {MediaStream|null} stream */
  setMicrophone(stream) {
    return this.setInput(0, stream);
  }

  /** @param {MediaStream|null} stream */
  setVoice(stream) {
    return this.setInput(1, stream);
  }

  /** @param {0|1} index @param {MediaStream|null} stream */
  async setInput(index, stream) {
    const node = await this.node;
    if (!node || !this.context) return;
    this.sources[index]?.disconnect();
    this.sources[index] = stream?.getAudioTracks().length ? this.context.createMediaStreamSource(stream) : undefined;
    this.sources[index]?.connect(node, 0, index);
  }
}

/** Level 0..1 as a person judges loudness: -54 dBFS is 0, -12 dBFS is 1. @param {number} rms */
export function loudness(rms) {
  const decibels = 20 * Math.log10(Math.max(rms, 1e-6));
  return Math.min(1, Math.max(0, (decibels + 54) / 42));
}
