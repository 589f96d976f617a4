"""The clients of a call: the one that carries the sound and may reconnect (`resumable`), and sidebands."""
