/**
 * What the assistant is shown: the camera, the screen, or nothing. One track at a time, also in mid-call.
 *
 *   off ◄──► camera: front, back, ...      Each arrow is a choice of the user. The last choice wins: a track that is
 *    ▲          ▲                          opened too late is stopped. "off" follows also when a track ends by itself:
 *    └► screen ◄┘                          a camera unplugged, "Stop sharing" in the browser's own bar.
 *
 * Tracks leave through `onChange`. What fails is told through `onFailure`, and what was shown before stays. Nothing is
 * opened before the user asks.
 */

import { Failure, mediaFailure } from "./errors.js";

/** @typedef {"off"|"camera"|"screen"} Source */
/**
 * @typedef {object} VideoParts
 * @property {HTMLSelectElement} cameras
 * @property {HTMLElement} turn  the button for the next camera; shown where there is one
 * @property {() => void} onChange  track, source or mirrored changed
 * @property {() => Promise<void>} onOpened  devices have names now
 * @property {(failure: Failure) => void} onFailure
 */

const OFF = "off"; // in the select; the other values are device ids, "" for the default one

// Enough for a model that looks at a few pictures a second; more would cost the voice its bandwidth, the server its time.
const CAMERA = Object.freeze({ width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 15 } });
const SCREEN = Object.freeze({ width: { max: 1280 }, height: { max: 1280 }, frameRate: { ideal: 3, max: 5 } });

export class VideoSource {
  /** @param {VideoParts} parts */
  constructor(parts) {
    this.parts = parts;
    /** @type {MediaStreamTrack|null} */
    this.track = null;
    /** @type {Source} */
    this.source = "off";
    /** @type {string[]} */
    this.cameraIds = [];
    this.lastCamera = ""; // what the camera button turns on again
    this.choice = 0;
    parts.cameras.addEventListener("change", () => this.chooseCamera(parts.cameras.value));
    parts.turn.addEventListener("click", () => this.nextCamera());
  }

  /** Whether the self-view is shown as in a mirror: the user's own face, not the room behind the phone, nor a screen. */
  get mirrored() {
    return this.source === "camera" && this.track?.getSettings().facingMode !== "environment";
  }

  toggleCamera() {
    return this.chooseCamera(this.source === "camera" ? OFF : this.lastCamera);
  }

  toggleScreen() {
    if (this.source === "screen") return this.off();
    return this.change("screen", openScreen);
  }

  off() {
    return this.change("off", async () => null);
  }

  /** @param {string} chosen  a device id, "" for the default one, or "off" */
  chooseCamera(chosen) {
    if (chosen === OFF) return this.off();
    return this.change("camera", () => openCamera(chosen ? { deviceId: { exact: chosen } } : {}), chosen);
  }

  /** Front or back, where the camera says which it is; else the next one in the list. */
  nextCamera() {
    const { facingMode, deviceId = "" } = this.track?.getSettings() ?? {};
    if (facingMode === "user" || facingMode === "environment") {
      const other = facingMode === "user" ? "environment" : "user";
      return this.change("camera", () => openCamera({ facingMode: other }), null);
    }
    const next = this.cameraIds[(this.cameraIds.indexOf(deviceId) + 1) % this.cameraIds.length];
    return this.chooseCamera(next ?? "");
  }

  /**
   * @param {Source} source @param {() => Promise<MediaStreamTrack|null>} open
   * @param {string|null} [camera]  its value in the select; null: the one that the browser gives
   */
  async change(source, open, camera = "") {
    const choice = ++this.choice;
    if (source === "camera" && this.source === "camera") this.track?.stop(); // a phone opens one camera at a time
    try {
      const track = await open();
      if (choice !== this.choice) return track?.stop();
      if (source === "camera") this.lastCamera = camera ?? track?.getSettings().deviceId ?? "";
      this.use(track, source);
    } catch (error) {
      if (source === "camera") this.lastCamera = ""; // it may be gone for good
      if (choice === this.choice) this.use(this.track?.readyState === "live" ? this.track : null, this.source);
      if (!(error instanceof Failure)) throw error;
      this.parts.onFailure(error);
    }
    await this.parts.onOpened();
  }

  /** @param {MediaStreamTrack|null} track @param {Source} source */
  use(track, source) {
    if (this.track !== track) this.track?.stop();
    this.track = track;
    this.source = track ? source : "off";
    if (track) track.onended = () => this.track === track && this.ended();
    this.show();
    this.parts.onChange();
  }

  /** The track ended by itself. */
  ended() {
    if (this.source === "screen") this.parts.onFailure(new Failure("screen-ended"));
    return this.off();
  }

  /** @param {string[]} cameraIds  of the cameras that there are now; the select lists them */
  list(cameraIds) {
    this.cameraIds = cameraIds;
    this.show();
  }

  show() {
    const { cameras, turn } = this.parts;
    const listed = [...cameras.options].some((option) => option.value === this.lastCamera);
    cameras.value = this.source !== "camera" ? OFF : listed ? this.lastCamera : "";
    turn.hidden = this.source !== "camera" || this.cameraIds.length < 2;
  }
}

/** @param {MediaTrackConstraints} which */
async function openCamera(which) {
  if (!navigator.mediaDevices) throw new Failure("insecure");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...CAMERA, ...which } });
    return stream.getVideoTracks()[0];
  } catch (error) {
    throw mediaFailure(error, "camera");
  }
}

async function openScreen() {
  if (!navigator.mediaDevices) throw new Failure("insecure");
  if (!navigator.mediaDevices.getDisplayMedia) throw new Failure("screen-unsupported");
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: SCREEN, audio: false });
    const [track] = stream.getVideoTracks();
    track.contentHint = "detail"; // small print before smooth motion
    return track;
  } catch (error) {
    throw mediaFailure(error, "screen");
  }
}
