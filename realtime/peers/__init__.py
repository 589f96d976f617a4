"""The peers of a call: the client, which has the sound and may reconnect (`resumable`), and sidebands."""
