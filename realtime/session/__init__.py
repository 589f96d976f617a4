"""The session of the OpenAI Realtime protocol (GA), as one core without I/O.

    text ──wire.parse──► ClientEvent ──┐                        ┌──► Send(ServerEvent) ──wire.encode──► bytes
    floor, model, playout ──► facts ───┴─► Session.receive ─────┴──► actions for floor and model

A spoken turn on a WebSocket, as the client sees it:

    ◄ input_audio_buffer.speech_started     {"audio_start_ms": 1280, "item_id": "item_a"}
    ◄ input_audio_buffer.speech_stopped     {"audio_end_ms": 2960, "item_id": "item_a"}
    ◄ input_audio_buffer.committed          {"previous_item_id": null, "item_id": "item_a"}
    ◄ conversation.item.added, .done        the user's item, without its transcript
    ◄ response.created
    ◄ response.output_item.added, conversation.item.added, response.content_part.added
    ◄ response.output_audio_transcript.delta, response.output_audio.delta   …
    ◄ … .done, response.content_part.done, response.output_item.done, conversation.item.done
    ◄ response.done

Start reading in session.py. The messages are in realtime/wire.
"""
