// The checks over WebRTC, in a browser's page: window.check(URL, KEY, SOUNDS, ONLY) returns the lines of the report.
// The page's microphone and loudspeaker belong to the test: window.test, from harness/browser.py.

import { OpenAIRealtimeWebRTC } from '@openai/agents-realtime';

import { pause, report } from './checks.mjs';

window.check = async (url, key, sounds, only) => {
  const lines = [];
  const place = {
    key,
    transport: () => new OpenAIRealtimeWebRTC({ baseUrl: `${url}/v1/realtime/calls` }),
    say: async (line, name) => void window.test.say(sounds[name], 24000),
    heard: (line) => line.event('output_audio_buffer.started'),
    listened: async (line) => {
      await line.event('output_audio_buffer.stopped');
      await pause(300);
    },
    sound: () => '', // the test listens at the loudspeaker
  };
  await report(place, only, (line) => lines.push(line));
  return lines;
};
