/**
 * "You, as the codec hears you": fetches the user's last turn through the audio codec, and plays it.
 *
 *   idle ─press─► fetching ─► playing ─► idle      a press, a new turn or the end of the call stops both
 *
 * Only for those who asked for it in the settings, and only while nobody speaks: the microphone is off as long as it
 * plays, or the assistant would take the sound for the user's. Nothing is kept. What it cost is shown beside the button.
 */

const COUNT = "Vivavoce-Codes";
const BITS = 12; // of a code: one of 4096
const LABELS = { idle: "You, as the codec hears you", fetching: "One moment", playing: "Stop" };

export class AsHeard {
  /**
   * @param {HTMLElement} row  holds a button with a span, and a paragraph
   * @param {object} parts
   * @param {(signal: AbortSignal) => Promise<Response>|undefined} parts.fetch  undefined: there is no call
   * @param {(on: boolean) => void} parts.onPlaying
   */
  constructor(row, { fetch, onPlaying }) {
    this.row = row;
    this.fetch = fetch;
    this.onPlaying = onPlaying;
    this.button = /** @type {HTMLButtonElement} */ (row.querySelector("button"));
    this.label = /** @type {HTMLElement} */ (row.querySelector("span"));
    this.note = /** @type {HTMLElement} */ (row.querySelector("p"));
    this.wanted = false;
    /** @type {"idle"|"fetching"|"playing"} */
    this.stage = "idle";
    this.free = false;
    this.turn = 0;
    /** @type {AbortController|null} */
    this.attempt = null;
    this.button.addEventListener("click", () => (this.attempt ? this.stop() : this.play()));
  }

  get playing() {
    return this.stage === "playing";
  }

  /** @param {boolean} possible  something was said in this call @param {boolean} free  nobody speaks @param {number} turn */
  render(possible, free, turn) {
    const shown = this.wanted && possible;
    if (!shown || turn !== this.turn) this.stop();
    if (turn !== this.turn) this.note.textContent = "";
    this.turn = turn;
    this.free = free;
    this.row.hidden = !shown;
    this.draw();
  }

  draw() {
    this.button.disabled = this.stage === "idle" && !this.free;
    if (this.label.textContent !== LABELS[this.stage]) this.label.textContent = LABELS[this.stage];
  }

  stop() {
    this.attempt?.abort();
  }

  async play() {
    const { signal } = (this.attempt = new AbortController());
    this.note.textContent = "";
    this.enter("fetching");
    try {
      const reply = await this.fetch(signal);
      if (!reply) return;
      if (!reply.ok) return this.tell(await complaint(reply));
      const count = Number(reply.headers.get(COUNT));
      const sound = await reply.arrayBuffer();
      if (signal.aborted) return;
      await this.sound(sound, count, signal);
    } catch (error) {
      if (!signal.aborted) this.tell(error instanceof TypeError ? "The server does not answer." : "It cannot be played.");
    } finally {
      this.attempt = null;
      this.enter("idle");
    }
  }

  /** @param {ArrayBuffer} file @param {number} count @param {AbortSignal} signal */
  async sound(file, count, signal) {
    const context = new AudioContext();
    try {
      const buffer = await context.decodeAudioData(file);
      if (signal.aborted) return;
      const bytes = Math.ceil((count * BITS) / 8);
      this.tell(`${buffer.duration.toFixed(1)} s of speech in ${count} tokens: ${bytes} bytes.`);
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(context.destination);
      this.enter("playing");
      await new Promise((resolve) => {
        source.addEventListener("ended", resolve);
        signal.addEventListener("abort", resolve);
        source.start();
      });
    } finally {
      await context.close();
    }
  }

  /** @param {"idle"|"fetching"|"playing"} stage */
  enter(stage) {
    const played = this.playing;
    this.stage = stage;
    if (this.playing !== played) this.onPlaying(this.playing);
    this.draw();
  }

  /** @param {string} words */
  tell(words) {
    this.note.textContent = words;
  }
}

/** What the server says is wrong, in words. @param {Response} reply */
async function complaint(reply) {
  try {
    const { error } = await reply.json();
    return typeof error?.message === "string" ? error.message : "It cannot be had.";
  } catch {
    return "It cannot be had."; // a proxy's page says nothing to the user
  }
}
