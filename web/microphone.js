/**
 * What is wrong with the microphone, judged by its levels alone. Pure.
 *
 *   levels (every 10.7 ms) ─► MicrophoneCheck ─► null │ "silent"    nothing but zeros: a virtual device, a switch, a wrong choice
 *                                                     │ "quiet"     something speaks, but too far below what the server can use
 *                                                     └ "clipping"  it is driven into its limit: distorted
 *
 * A quiet room is not zeros. While the microphone is off (muted, or no call) nothing is judged.
 */

/** @typedef {"silent"|"quiet"|"clipping"} Trouble */
/** @typedef {{time: number, mic: number, peak: number}} Levels  seconds; RMS and peak, 0..1 */

const SILENT_SECONDS = 5; // of zeros without one exception
const LIMIT = 0.99; // a peak at full scale
const CLIPS_SECONDS = 0.3; // of windows at the limit, within RECENT_SECONDS
const CLEAN_SECONDS = 5; // without one: it does not clip any more
const TOO_QUIET = 0.003; // -50 dBFS RMS: speech close to a microphone is 10 to 30 dB above
const OVER_ROOM = 4; // speech is at least 12 dB over the room
const RISE = 0.005; // of the room in a window: what stays for half a second is no speech
const QUIET_SECONDS = Object.freeze([2, 1]); // of such weak speech, within RECENT_SECONDS: begins, ends
const CLEAR_SECONDS = 0.2; // of speech that is loud enough
const RECENT_SECONDS = 15;

export class MicrophoneCheck {
  constructor() {
    this.reset();
  }

  /** Another microphone, or another call. */
  reset() {
    /** @type {Trouble|null} */
    this.trouble = null;
    /** @type {number|null} */
    this.zeroSince = null;
    this.room = TOO_QUIET;
    this.last = 0;
    this.weak = 0; // seconds, which fade within RECENT_SECONDS
    this.clear = 0;
    this.clipped = 0;
    this.clippedAt = -Infinity;
  }

  /**
   * @param {Levels} levels @param {boolean} on  the microphone is meant to give sound
   * @returns {Trouble|null} what is wrong now
   */
  receive({ time, mic, peak }, on) {
    const step = Math.min(Math.max(time - this.last, 0), 0.1);
    this.last = time;
    if (!on) {
      this.zeroSince = null;
      return (this.trouble = null);
    }
    if (peak === 0) {
      this.zeroSince ??= time;
      return (this.trouble = time - this.zeroSince >= SILENT_SECONDS ? "silent" : null);
    }
    this.zeroSince = null;
    this.count(mic, peak, step);
    if (peak >= LIMIT) this.clippedAt = time;
    if (time - this.clippedAt > CLEAN_SECONDS) this.clipped = 0;
    return (this.trouble = this.judge());
  }

  /** @param {number} mic @param {number} peak @param {number} step */
  count(mic, peak, step) {
    const fade = 1 - step / RECENT_SECONDS;
    const speaks = mic > this.room * OVER_ROOM;
    this.room = mic < this.room ? this.room * 0.8 + mic * 0.2 : this.room + (mic - this.room) * RISE;
    this.weak = this.weak * fade + (speaks && mic < TOO_QUIET ? step : 0);
    this.clear = this.clear * fade + (mic >= TOO_QUIET ? step : 0);
    this.clipped = this.clipped * fade + (peak >= LIMIT ? step : 0);
  }

  /** @returns {Trouble|null} */
  judge() {
    if (this.clipped >= CLIPS_SECONDS || (this.clipped && this.trouble === "clipping")) return "clipping";
    const quiet = this.weak >= QUIET_SECONDS[Number(this.trouble === "quiet")];
    return quiet && this.clear < CLEAR_SECONDS ? "quiet" : null;
  }
}

/**
 * The trouble in words: title and hint. @param {Trouble} trouble @param {string} name  of the microphone
 * @returns {[string, string]}
 */
export function troubleWords(trouble, name) {
  const which = name ? `“${name}”` : "The microphone";
  const where = "choose another under “Devices and settings”";
  if (trouble === "silent")
    return ["No sound from the microphone", `${which} gives only silence. Check its switch, or ${where}.`];
  if (trouble === "quiet")
    return ["The microphone is very quiet", `${which} is hardly heard. Speak closer to it, turn it up, or ${where}.`];
  return ["The microphone is too loud", `${which} distorts. Move away from it, turn it down, or ${where}.`];
}
