"""Prompts as requests of OpenAI's chat completions, with pictures as JPEG data URIs. Pure, but for the JPEG encoder."""

from __future__ import annotations

import base64
import io
from typing import Any, Final, assert_never

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.dialogue import Call, CallResult, Message, Picture

TEMPERATURE: Final = 0.4
"""Between a small model's need to stay correct and a large one's liveliness."""


def request_of(prompt: Prompt, model: str, max_tokens: int, vision: bool) -> dict[str, Any]:
    """The body of a streaming request."""
    request: dict[str, Any] = {
        "model": model,
        "messages": _messages(prompt, vision),
        "max_tokens": max_tokens,
        "temperature": TEMPERATURE,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.tools and prompt.tool_choice != "none":
        request["tools"] = [
            _function(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in prompt.tools
        ]
        named = prompt.tool_choice not in ("auto", "required")
        request["tool_choice"] = _function(name=prompt.tool_choice) if named else prompt.tool_choice
    return request


def _messages(prompt: Prompt, vision: bool) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": prompt.instructions}]
    asked = [item for item in prompt.items if isinstance(item, Message) and item.role == "user"]
    for item in prompt.items:
        match item:
            case Message(role=role, text=text, pictures=pictures):
                view = (prompt.view,) if prompt.view is not None and asked and item is asked[-1] else ()
                shown = [_picture(picture) for picture in (*pictures, *view)] if vision else []
                messages.append({"role": role, "content": [*shown, {"type": "text", "text": text}] if shown else text})
            case Call(call_id=call_id, name=name, arguments=arguments):
                if "tool_calls" not in messages[-1]:  # calls made together are one message, which their answers follow
                    messages.append({"role": "assistant", "content": None, "tool_calls": []})
                messages[-1]["tool_calls"].append({"id": call_id} | _function(name=name, arguments=arguments))
            case CallResult(call_id=call_id, output=output):
                messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
            case _:
                assert_never(item)
    return messages


def _function(**description: Any) -> dict[str, Any]:
    return {"type": "function", "function": description}


def _picture(picture: Picture) -> dict[str, Any]:
    import av  # not before somebody looks

    frame = av.VideoFrame.from_ndarray(picture.pixels, format="rgb24")
    out = io.BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuvj420p"
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()},
    }
