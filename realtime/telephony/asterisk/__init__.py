"""Lines from Asterisk: AudioSocket over TCP, and its channel driver over WebSocket.

wire      audiosocket.py, websocket.py      bytes and frames to events; pure
line      audiosocket_line.py, websocket_line.py
server    audiosocket_server.py, websocket_server.py
"""
