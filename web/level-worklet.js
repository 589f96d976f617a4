/**
 * Runs in the audio thread: root mean square of the microphone (input 0) and of the voice (input 1) on one clock, every
 * 512 samples. Posts {time, mic, voice, peak}: seconds of the AudioContext, levels 0..1, the microphone's loudest sample.
 * Keeps measuring in a hidden tab.
 */

const WINDOW = 512; // 10.7 ms at 48 kHz

class Levels extends AudioWorkletProcessor {
  constructor() {
    super();
    this.sums = [0, 0];
    this.count = 0;
    this.peak = 0; // of the microphone
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    for (const [index, input] of inputs.entries()) {
      for (const sample of input[0] ?? []) this.sums[index] += sample * sample;
    }
    for (const sample of inputs[0][0] ?? []) this.peak = Math.max(this.peak, Math.abs(sample));
    this.count += 128;
    if (this.count >= WINDOW) {
      const [mic, voice] = this.sums.map((sum) => Math.sqrt(sum / this.count));
      this.port.postMessage({ time: currentTime, mic, voice, peak: this.peak });
      this.sums = [0, 0];
      this.count = this.peak = 0;
    }
    return true;
  }
}

registerProcessor("levels", Levels);
