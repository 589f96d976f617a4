/**
 * The microphone: opening it, following the user's choice and the plug. Lists the cameras too, for video.js.
 *
 * Tracks leave through `onMicrophone` (null: none) whenever they change, also in mid-call. What fails is thrown as a
 * Failure, or told through `onFailure` when no caller waits. Nothing is opened before the user asks.
 */

import { Failure, mediaFailure } from "./errors.js";

/**
 * @typedef {object} DeviceParts
 * @property {HTMLSelectElement} microphones
 * @property {HTMLSelectElement} cameras
 * @property {(track: MediaStreamTrack|null) => void} onMicrophone
 * @property {(cameraIds: string[]) => void} onCameras  the cameras that there are now
 * @property {(failure: Failure) => void} onFailure
 * @property {() => boolean} inCall  a change of microphone matters now
 */

export class Devices {
  /** @param {DeviceParts} parts */
  constructor(parts) {
    this.parts = parts;
    /** @type {MediaStreamTrack|null} */
    this.microphone = null;
    this.bereft = false; // the microphone went away in mid-call
    parts.microphones.addEventListener("change", () => parts.inCall() && this.attempt(() => this.openMicrophone()));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.plugged());
  }

  /** Opens the chosen microphone, or keeps it when it is open already. */
  async openMicrophone() {
    const chosen = this.parts.microphones.value;
    if (this.microphone?.readyState === "live" && (!chosen || this.microphone.getSettings().deviceId === chosen))
      return;
    const audio = { ...exactly(chosen), echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const track = await open({ audio });
    track.addEventListener("ended", () => this.unplugged(track));
    this.microphone?.stop();
    this.microphone = track;
    this.bereft = false;
    this.parts.onMicrophone(track);
    await this.list();
  }

  /** Stops the microphone, so that the browser's recording sign goes out. */
  async release() {
    this.microphone?.stop();
    this.microphone = null;
    this.parts.onMicrophone(null);
    await this.list();
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
    const found = named(devices, "videoinput", "Camera");
    fill(cameras, [["off", "Off"], ["", "Default camera"], ...found]);
    this.parts.onCameras(found.map(([id]) => id));
  }
}

/** @param {MediaStreamConstraints} constraints */
async function open(constraints) {
  if (!navigator.mediaDevices) throw new Failure("insecure");
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    return stream.getTracks()[0];
  } catch (error) {
    throw mediaFailure(error, "microphone");
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
