/**
 * The picture of the call: two voices as strings around the talk button. Yours moves with the microphone, the
 * assistant's with its own sound; while it thinks, one wave runs round both.
 *
 * Takes the floor and the levels, draws on a canvas, decides nothing. Still when nothing goes on, and for those who
 * asked their system for less motion: then the shape alone tells the state, as the words below always do.
 */

/** @typedef {import("./state.js").Floor} Floor */
/** @typedef {{you: number, it: number, wave: number}} Pose  how far each voice swings at rest, and the running wave */

/** @type {Record<Floor, Pose>} */
const POSES = {
  idle: { you: 0.16, it: 0.16, wave: 0 },
  connecting: { you: 0.05, it: 0.05, wave: 0.5 },
  listening: { you: 0.2, it: 0.08, wave: 0 },
  hearing: { you: 0.34, it: 0.05, wave: 0 },
  thinking: { you: 0.04, it: 0.06, wave: 0.8 },
  speaking: { you: 0.05, it: 0.34, wave: 0 },
  reconnecting: { you: 0.03, it: 0.03, wave: 0.5 },
  ended: { you: 0.03, it: 0.03, wave: 0 },
};
/** Which voice has the colour. @type {Record<Floor, [you: number, it: number]>} */
const STRENGTHS = {
  idle: [0.55, 0.7],
  connecting: [0.3, 0.3],
  listening: [0.75, 0.35],
  hearing: [1, 0.25],
  thinking: [0.3, 0.75],
  speaking: [0.3, 1],
  reconnecting: [0.25, 0.25],
  ended: [0.3, 0.3],
};
const STILL = new Set(["idle", "ended"]);
const STRINGS = 4; // a voice
const STEPS = 108; // points round a string
const FRAME = 1 / 31; // seconds: 30 pictures a second look alike, and a laptop without a GPU has other things to do
const TURN = 2 * Math.PI;

export class Orb {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {Floor} */
    this.floor = "idle";
    this.levels = { mic: 0, voice: 0 };
    this.pose = { ...POSES.idle };
    this.strength = [...STRENGTHS.idle];
    this.running = false;
    this.drawn = 0; // seconds
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.calm.addEventListener("change", () => this.wake());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.wake());
    new ResizeObserver(() => this.wake()).observe(canvas);
  }

  /** @param {Floor} floor */
  setFloor(floor) {
    if (floor === this.floor) return;
    this.floor = floor;
    this.wake();
  }

  /** Levels 0..1. @param {number} mic @param {number} voice */
  setLevels(mic, voice) {
    this.levels = { mic, voice };
  }

  wake() {
    if (this.running) return;
    this.running = true;
    requestAnimationFrame((now) => this.frame(now / 1000));
  }

  /** @param {number} now seconds */
  frame(now) {
    const still = this.calm.matches;
    if (!still && now - this.drawn < FRAME) {
      requestAnimationFrame((next) => this.frame(next / 1000));
      return;
    }
    this.drawn = now;
    const settled = this.approach(still ? 1 : 0.22);
    this.draw(still ? 0 : now);
    const rest = still || (STILL.has(this.floor) && settled);
    if (rest) this.running = false;
    else requestAnimationFrame((next) => this.frame(next / 1000));
  }

  /** Moves the pose a share of the way to where the floor and the levels want it. @param {number} share */
  approach(share) {
    const target = { ...POSES[this.floor] };
    if (share < 1 && this.floor !== "thinking") {
      target.you += this.floor === "speaking" ? 0.3 * this.levels.mic : 0.75 * this.levels.mic;
      target.it += 0.75 * this.levels.voice;
    }
    let distance = 0;
    for (const key of /** @type {(keyof Pose)[]} */ (["you", "it", "wave"])) {
      const step = target[key] - this.pose[key];
      this.pose[key] += step * (step > 0 ? Math.min(1, share * 2.5) : share); // quick to rise, slow to fall
      distance += Math.abs(step);
    }
    for (const index of [0, 1]) this.strength[index] += (STRENGTHS[this.floor][index] - this.strength[index]) * share;
    return distance < 0.01;
  }

  /** @param {number} now seconds */
  draw(now) {
    const { canvas, context } = this;
    const size = canvas.clientWidth;
    const scale = devicePixelRatio || 1;
    const pixels = Math.round(size * scale);
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, size, size);
    const style = getComputedStyle(canvas);
    const voices = [
      {
        colour: style.getPropertyValue("--it"),
        swing: this.pose.it,
        strength: this.strength[1],
        phase: 2.1,
        pace: -0.55,
      },
      {
        colour: style.getPropertyValue("--you"),
        swing: this.pose.you,
        strength: this.strength[0],
        phase: 0,
        pace: 0.7,
      },
    ];
    for (const voice of voices) this.drawVoice(voice, size, now);
  }

  /** @param {{colour: string, swing: number, strength: number, phase: number, pace: number}} voice @param {number} size @param {number} now */
  drawVoice({ colour, swing, strength, phase, pace }, size, now) {
    const { context } = this;
    context.strokeStyle = colour;
    for (let string = 0; string < STRINGS; string++) {
      const lag = string * 0.42;
      context.globalAlpha = strength * (1 - string * 0.19);
      context.lineWidth = string === 0 ? 2.25 : 1.25;
      context.beginPath();
      for (let step = 0; step <= STEPS; step++) {
        const angle = (step / STEPS) * TURN;
        const ripple =
          0.55 * Math.sin(3 * angle + phase + now * pace * 1.3 + lag) +
          0.3 * Math.sin(5 * angle - phase - now * pace * 1.9 + lag * 1.6) +
          0.15 * Math.sin(8 * angle + now * pace * 2.7 + lag * 2.2);
        const crest = Math.cos((angle - now * 2.2 - phase * 0.08 - string * 0.1) / 2) ** 24;
        const radius = size * (0.385 + 0.105 * swing * ripple + 0.06 * this.pose.wave * crest * (1 - string * 0.2));
        const x = size / 2 + radius * Math.cos(angle);
        const y = size / 2 + radius * Math.sin(angle);
        if (step === 0) context.moveTo(x, y);
        else context.lineTo(x, y);
      }
      context.closePath();
      context.stroke();
    }
    context.globalAlpha = 1;
  }
}
