"""A LiveKit agent. `python livekit_agent.py console` talks without a room. Needs: pip install livekit-plugins-openai"""

from livekit.agents import Agent, AgentSession, JobContext, WorkerOptions, cli
from livekit.plugins import openai


async def entrypoint(context: JobContext) -> None:
    model = openai.realtime.RealtimeModel(model="vivavoce", base_url="http://127.0.0.1:8790/v1", api_key="none")
    await context.connect()
    await AgentSession(llm=model).start(Agent(instructions="Answer in one short sentence."), room=context.room)


if __name__ == "__main__":
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))
