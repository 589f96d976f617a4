/**
 * Microphone and camera: opening them, listing them in two selects, following the user's choice and the plug.
 *
 * Tracks leave through `onMicrophone` and `onCamera` (null: none) whenever they change, also in mid-call. What fails is
 * thrown as a Failure, or told through `onFailure` when no caller waits. Nothing is opened before the user asks.
 */

import { Failure, mediaFailure } from "./errors.js";

/**
 * @typedef {object} DeviceParts
 * @property {HTMLSelectElement} microphones
 * @property {HTMLSelectElement} cameras
 * @property {(track: MediaStreamTrack|null) => void} onMicrophone
 * @property {(track: MediaStreamTrack|null) => void} onCamera
 * @property {(failure: Failure) => void} onFailure
 * @property {() => boolean} inCall  a change of microphone matters now
 */

const OFF = "off";

export class Devices {
  /** @param {DeviceParts} parts */
  constructor(parts) {
    this.parts = parts;
    /** @type {MediaStreamTrack|null} */
    this.microphone = null;
    /** @type {MediaStreamTrack|null} */
    this.camera = null;
    this.bereft = false; // the microphone went away in mid-call
    this.lastCamera = ""; // what the camera button turns on again
    parts.microphones.addEventListener("change", () => parts.inCall() && this.attempt(() => this.openMicrophone()));
    parts.cameras.addEventListener("change", () => this.attempt(() => this.chooseCamera(parts.cameras.value)));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.plugged());
  }

  /** Opens the chosen microphone, or keeps it when it is open already. */
  async openMicrophone() {
    const chosen = this.parts.microphones.value;
    if (this.microphone?.readyState === "live" && (!chosen || this.microphone.getSettings().deviceId === chosen))
      return;
    const audio = { ...exactly(chosen), echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const track = await open("microphone", { audio });
    track.addEventListener("ended", () => this.unplugged(track));
    this.microphone?.stop();
    this.microphone = track;
    this.bereft = false;
    this.parts.onMicrophone(track);
    await this.list();
  }

  /** @param {string} chosen  a device id, "" for the default one, or "off" */
  async chooseCamera(chosen) {
    this.camera?.stop();
    this.camera = null;
    if (chosen !== OFF) {
      this.camera = await this.openCamera(chosen);
      this.lastCamera = chosen;
    }
    this.parts.cameras.value = this.camera ? chosen : OFF;
    this.parts.onCamera(this.camera);
    await this.list();
  }

  /** @param {string} chosen */
  async openCamera(chosen) {
    // Enough for a model that looks at a few pictures a second; more would cost the voice its bandwidth.
    const video = { ...exactly(chosen), width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 15 } };
    try {
      const track = await open("camera", { video });
      track.addEventListener("ended", () => this.camera === track && this.attempt(() => this.chooseCamera(OFF)));
      return track;
    } catch (error) {
      this.parts.cameras.value = OFF;
      this.parts.onCamera(null);
      throw error;
    }
  }

  toggleCamera() {
    return this.attempt(() => this.chooseCamera(this.camera ? OFF : this.lastCamera));
  }

  /** Stops both, so that the browser's recording sign goes out. */
  async release() {
    this.microphone?.stop();
    this.microphone = null;
    this.parts.onMicrophone(null);
    await this.chooseCamera(OFF);
  }

  /** A device came or went. A call that lost its microphone takes the one that is there now. */
  async plugged() {
    const orphaned = this.bereft && this.parts.inCall();
    await (orphaned ? this.attempt(() => this.openMicrophone()) : this.list());
  }

  /** @param {MediaStreamTrack} track */
  async unplugged(track) {
    if (track !== this.microphone) return;
    this.microphone = null;
    this.bereft = true;
    this.parts.onMicrophone(null);
    this.parts.onFailure(new Failure("unplugged"));
    await this.list();
  }

  /** @param {() => Promise<void>} action */
  async attempt(action) {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.parts.onFailure(error);
    }
  }

  /** Fills the selects. Names are known only after the user has allowed a device. */
  async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const { microphones, cameras } = this.parts;
    fill(microphones, [["", "Default microphone"], ...named(devices, "audioinput", "Microphone")]);
    fill(cameras, [[OFF, "Off"], ["", "Default camera"], ...named(devices, "videoinput", "Camera")]);
  }
}

/** @param {"microphone"|"camera"} device @param {MediaStreamConstraints} constraints */
async function open(device, constraints) {
  if (!navigator.mediaDevices) throw new Failure("insecure");
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    return stream.getTracks()[0];
  } catch (error) {
    throw mediaFailure(error, device);
  }
}

/** @param {string} deviceId */
const exactly = (deviceId) => (deviceId ? { deviceId: { exact: deviceId } } : {});

/** @param {MediaDeviceInfo[]} devices @param {MediaDeviceKind} kind @param {string} word @returns {[string, string][]} */
function named(devices, kind, word) {
  const own = devices.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default");
  return own.map((device, index) => [device.deviceId, device.label || `${word} ${index + 1}`]);
}

/** @param {HTMLSelectElement} select @param {[value: string, label: string][]} choices */
function fill(select, choices) {
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, label]) => new Option(label, value)));
  select.value = choices.some(([value]) => value === chosen) ? chosen : choices[0][0];
}
