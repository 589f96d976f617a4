"""Server events as the page receives them, in the order of the Realtime protocol: whole turns as lists of facts."""

from typing import Any

Fact = dict[str, Any]

LIVE: list[Fact] = [{"type": "page.connecting"}, {"type": "session.created"}, {"type": "page.connected"}]


def message(item_id: str, role: str, text: str | None, previous: str | None, event: str = "added") -> Fact:
    part = {"type": "input_audio" if role == "user" else "output_audio", "transcript": text}
    item = {"id": item_id, "type": "message", "role": role, "content": [part] if text or role == "user" else []}
    return {"type": f"conversation.item.{event}", "previous_item_id": previous, "item": item}


def spoken(item_id: str, text: str, previous: str | None = None) -> list[Fact]:
    buffer = "input_audio_buffer"
    return [
        {"type": f"{buffer}.speech_started", "item_id": item_id, "audio_start_ms": 0},
        {"type": f"{buffer}.speech_stopped", "item_id": item_id, "audio_end_ms": 900},
        {"type": f"{buffer}.committed", "item_id": item_id, "previous_item_id": previous},
        message(item_id, "user", None, previous),
        message(item_id, "user", None, previous, "done"),
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": item_id,
            "transcript": text,
        },
    ]


def answered(item_id: str, words: list[str], previous: str, response: str = "resp_1") -> list[Fact]:
    return [
        {"type": "response.created", "response": {"id": response, "conversation_id": "conv_1"}},
        message(item_id, "assistant", None, previous),
        {"type": "output_audio_buffer.started", "response_id": response},
        *({"type": "response.output_audio_transcript.delta", "item_id": item_id, "delta": w} for w in words),
    ]


def finished(item_id: str, text: str, previous: str, response: str = "resp_1") -> list[Fact]:
    return [
        {"type": "response.output_audio_transcript.done", "item_id": item_id, "transcript": text},
        message(item_id, "assistant", text, previous, "done"),
        {"type": "response.done", "response": {"id": response, "status": "completed"}},
        {"type": "output_audio_buffer.stopped", "response_id": response},
    ]
