// A session of the Agents SDK in Node.js. Needs: npm install @openai/agents-realtime

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';

const agent = new RealtimeAgent({ name: 'assistant', instructions: 'Answer in one short sentence.' });
const transport = new OpenAIRealtimeWebSocket({ url: 'ws://127.0.0.1:8790/v1/realtime?model=vivavoce' });
const session = new RealtimeSession(agent, { transport, model: 'vivavoce' });

transport.on('audio_transcript_delta', ({ delta }) => process.stdout.write(delta));
session.on('agent_end', () => session.close());
await session.connect({ apiKey: 'none' });
session.sendMessage('What is the capital of France?'); // or: session.sendAudio(pcm)
