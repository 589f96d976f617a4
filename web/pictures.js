/**
 * Turns what the user gives (a file, a paste, the camera's present frame) into a JPEG that one message can carry.
 *
 *   file ─► decode ─┐
 *   video frame ────┴─► scale, on white ─► JPEG ─ too big? smaller, coarser ─► data URI
 *
 * Throws a Failure with the words for what cannot be sent. Nothing here sends or shows.
 */

import { Failure } from "./errors.js";

/** Pictures taken at once, from a paste, a drop or the file dialog. */
export const AT_ONCE = 4;

const MAX_CHARACTERS = 240_000; // of the data URI: the server takes messages of 256 KiB on the data channel
const MAX_FILE_BYTES = 64 * 2 ** 20; // more is no picture that a browser decodes quickly
// What is tried, in this order: the longer side in pixels, the quality of the JPEG. The first ones keep small print.
const ATTEMPTS = Object.freeze([
  [1600, 0.85],
  [1280, 0.8],
  [1024, 0.7],
  [768, 0.6],
  [512, 0.5],
  [320, 0.4],
]);

/** @param {File} file @returns {Promise<string>} a data URI */
export async function pictureOf(file) {
  if (file.type && !file.type.startsWith("image/")) throw new Failure("no-picture", named(file));
  if (file.size > MAX_FILE_BYTES) throw new Failure("picture-large", named(file));
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // upright, as its EXIF tag says; the first frame of an animation
  } catch {
    throw new Failure("picture-unreadable", named(file));
  }
  try {
    return encode(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** The frame that the video shows now. @param {HTMLVideoElement} video @returns {string} a data URI */
export function stillOf(video) {
  if (!video.videoWidth || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) throw new Failure("no-still");
  return encode(video, video.videoWidth, video.videoHeight);
}

/**
 * Files of a paste or a drop; text that came with them is not looked at. @param {DataTransfer|null} transfer
 * @returns {File[]}
 */
export function filesIn(transfer) {
  return [...(transfer?.files ?? [])];
}

/** @param {CanvasImageSource} source @param {number} width @param {number} height @returns {string} */
function encode(source, width, height) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (!context) throw new Failure("picture-unreadable");
  for (const [side, quality] of ATTEMPTS) {
    const scale = Math.min(1, side / Math.max(width, height));
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    context.fillStyle = "#fff"; // behind transparent pixels, as on the server
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    const uri = canvas.toDataURL("image/jpeg", quality);
    if (uri.length <= MAX_CHARACTERS && uri.startsWith("data:image/jpeg")) return uri;
  }
  throw new Failure("picture-large");
}

/** @param {File} file */
const named = (file) => (file.name ? `“${file.name}”` : "");
