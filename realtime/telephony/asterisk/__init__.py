"""Calls from Asterisk: AudioSocket over TCP, and its channel driver chan_websocket over WebSockets.

protocol           audiosocket.py, chan_websocket.py      bytes and frames to events, and back; cores
audio              audio.py                               samples to the format of the wire; silence for gaps; cores
network            audiosocket_server.py, chan_websocket_server.py      the server, and its `PhoneConnection`
"""
