// The checks with `@openai/agents-realtime`, the same over both transports: its session, its history, its tools.

import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

// Not exported: what the package reads events with. Those that its schemas refuse it passes on, and ignores itself.
import { parseRealtimeEvent } from './node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs';

const QUESTION = 'What is the capital of France?';
const LONG = 'Write an essay about the history of Paris.';
const WEATHER = 'How warm is it in Paris right now?';
const INSTRUCTIONS = 'You are a friendly assistant. Answer in one short sentence.';
const TALKATIVE = 'You write essays of at least three hundred words.';
const TOOL_RESULT = 'It is 21 degrees in Paris.';
const PATIENCE = 45_000; // milliseconds a check may take
const PLAYED = 1200; // milliseconds of the long answer that are heard before somebody cuts in

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const asked = [];
const seen = new Set();
const ignored = new Set();
const getTemperature = tool({
  name: 'get_temperature',
  description: 'Tells how warm it is in a city right now.',
  parameters: z.object({ city: z.string().describe('the name of the city') }),
  execute: async ({ city }) => {
    asked.push(city);
    return TOOL_RESULT;
  },
});

/** One session, with everything that came out of it. `line.place` is where the client is: transport and sounds. */
class Line {
  constructor(place, settings) {
    this.place = place;
    this.told = [];
    this.sound = [];
    this.interrupted = 0;
    this.started = [];
    this.failure = undefined;
    const { tools = [], instructions = INSTRUCTIONS, ...config } = settings;
    const agent = new RealtimeAgent({ name: 'assistant', instructions, tools });
    this.transport = place.transport();
    this.session = new RealtimeSession(agent, { transport: this.transport, model: 'vivavoce', config });
    this.transport.on('*', (event) => this.take(event));
    this.session.on('audio', (event) => this.sound.push(new Uint8Array(event.data)));
    this.session.on('audio_interrupted', () => (this.interrupted += 1));
    this.session.on('agent_tool_end', (context, agent, tool) => this.started.push(tool.name));
    this.session.on('error', ({ error }) => (this.failure ??= new Error(JSON.stringify(error) + (error?.stack ?? ''))));
  }

  take(event) {
    this.told.push(event);
    seen.add(event.type);
    if (parseRealtimeEvent({ data: JSON.stringify(event) }).isGeneric) ignored.add(event.type);
  }

  of(type) {
    return this.told.filter((event) => event.type === type);
  }

  async until(met) {
    for (;;) {
      if (this.failure) throw this.failure;
      const found = met();
      if (found) return found;
      await pause(20);
    }
  }

  event(type, count = 1) {
    return this.until(() => this.of(type)[count - 1]);
  }

  words(itemId) {
    const item = this.session.history.find((item) => item.itemId === itemId);
    return item?.content?.map((part) => part.transcript ?? part.text ?? '').join('') ?? '';
  }
}

async function call(place, settings, use) {
  const line = new Line(place, settings);
  await line.session.connect({ apiKey: place.key });
  try {
    await line.event('session.updated');
    return await use(line);
  } finally {
    line.session.close();
  }
}

async function text(place) {
  return call(place, { outputModalities: ['text'] }, async (line) => {
    line.session.sendMessage(QUESTION);
    const { response } = await line.event('response.done');
    await pause(50);
    return { answer: line.words(response.output[0].id), roles: line.session.history.map((item) => item.role) };
  });
}

async function voice(place) {
  return call(place, {}, async (line) => {
    await place.say(line, 'question');
    const { response } = await line.event('response.done');
    await line.event('conversation.item.retrieved');
    await place.listened(line);
    await pause(50);
    return {
      heard: line.words(line.of('input_audio_buffer.committed')[0].item_id),
      answer: line.words(response.output[0].id),
      sound: place.sound(line),
    };
  });
}

async function useTool(place) {
  return call(place, { outputModalities: ['text'], tools: [getTemperature] }, async (line) => {
    const content = [{ type: 'input_text', text: WEATHER }];
    line.transport.sendEvent({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
    const choice = { type: 'function', name: 'get_temperature' };
    line.transport.sendEvent({ type: 'response.create', response: { tool_choice: choice } });
    await line.until(() => line.started.length);
    const { response } = await line.event('response.done', 2);
    await pause(50);
    return { name: line.started[0], arguments: { city: asked[0] }, answer: line.words(response.output[0].id) };
  });
}

async function bargeIn(place) {
  return call(place, { instructions: TALKATIVE }, async (line) => {
    line.session.sendMessage(LONG);
    const { item_id: itemId } = await line.event('response.output_audio_transcript.delta');
    await place.heard(line);
    await pause(PLAYED);
    const speaking = place.say(line, 'interruption');
    const truncated = await line.event('conversation.item.truncated');
    const { response } = await line.event('response.done');
    await line.event('response.created', 2);
    await line.until(() => line.of('conversation.item.retrieved').some(({ item }) => item.id === itemId));
    await pause(50);
    const [kept] = line.of('conversation.item.retrieved').filter(({ item }) => item.id === itemId);
    const facts = {
      status: response.status,
      reason: response.status_details?.reason,
      truncated: truncated.audio_end_ms,
      said: response.output[0].content[0].transcript,
      kept: kept.item.content[0].transcript ?? '',
      interrupted: line.interrupted,
      cleared: line.of('output_audio_buffer.cleared').length,
    };
    line.session.interrupt();
    await speaking;
    return facts;
  });
}

async function events() {
  return { seen: [...seen].sort(), ignored: [...ignored].sort() };
}

/** Runs the checks one after the other; each result is one line of JSON. */
export async function report(place, only, tell) {
  const all = { text, voice, tool: useTool, barge_in: bargeIn, events };
  for (const [check, run] of Object.entries(all)) {
    if (only.length && !only.includes(check)) continue;
    const begin = performance.now();
    let facts;
    try {
      const late = pause(PATIENCE).then(() => Promise.reject(new Error(`${check} took too long`)));
      facts = await Promise.race([run(place), late]);
    } catch (error) {
      facts = { failed: String(error?.stack ?? error) };
    }
    tell(JSON.stringify({ check, seconds: Math.round((performance.now() - begin) / 100) / 10, ...facts }));
  }
}
