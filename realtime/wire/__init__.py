"""The protocol's messages, both ways: what a client may say, and what the server may.

The types are in session_config.py, items.py, client_events.py, response_events.py and server_events.py;
JSON is the business of wire.py.
"""

from vivavoce.realtime.wire.client_events import ClientEvent
from vivavoce.realtime.wire.server_events import ServerEvent

__all__ = ["ClientEvent", "ServerEvent"]
