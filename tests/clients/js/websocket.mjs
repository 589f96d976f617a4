// The checks over a WebSocket, in Node.js: node websocket.mjs --url URL --sounds FOLDER [--only CHECK ...]

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { OpenAIRealtimeWebSocket } from '@openai/agents-realtime';

import { pause, report } from './checks.mjs';

const options = { url: { type: 'string' }, sounds: { type: 'string' }, only: { type: 'string', multiple: true } };
const { values } = parseArgs({ options, allowPositionals: true });
const RATE = 24_000;
const CHUNK = (RATE / 10) * 2; // bytes of 0.1 s

const place = {
  key: 'none',
  transport: () => new OpenAIRealtimeWebSocket({ url: `${values.url.replace('http', 'ws')}/v1/realtime?model=vivavoce` }),
  /** Speaks as a microphone does, in real time. */
  async say(line, name) {
    const said = await readFile(`${values.sounds}/${name}.pcm`);
    const pcm = Buffer.concat([said, Buffer.alloc(RATE * 2)]);
    const begin = performance.now();
    for (let start = 0; start < pcm.length; start += CHUNK) {
      const piece = pcm.subarray(start, start + CHUNK);
      line.session.sendAudio(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length));
      await pause(begin + (start / CHUNK + 1) * 100 - performance.now());
    }
  },
  heard: (line) => line.until(() => line.sound.length),
  listened: async () => {},
  sound: (line) => Buffer.concat(line.sound).toString('base64'),
};

await report(place, values.only ?? [], console.log);
process.exit();
