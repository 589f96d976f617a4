// The same in a browser, over WebRTC. `secret` is a client secret (ek_...) that your own server asked for.

import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';

export async function talk(secret) { // the browser asks for the microphone, and plays the answer
  const agent = new RealtimeAgent({ name: 'assistant', instructions: 'Answer in one short sentence.' });
  const transport = new OpenAIRealtimeWebRTC({ baseUrl: 'http://127.0.0.1:8790/v1/realtime/calls' });
  const session = new RealtimeSession(agent, { transport, model: 'vivavoce' });
  await session.connect({ apiKey: secret });
  return session;
}
