"""The messages of the Realtime protocol as types, both ways. No logic.

session_config.py, items.py              objects inside messages
client_events.py                         from the client
server_events.py, response_events.py     from the server
parsing.py ── validation.py, errors.py   JSON text to messages and back, with errors that name the field
base64_text.py                           base64 in all the ways in which clients write it
"""

from vivavoce.realtime.wire.client_events import ClientEvent
from vivavoce.realtime.wire.server_events import ServerEvent

__all__ = ["ClientEvent", "ServerEvent"]
