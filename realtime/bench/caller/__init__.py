"""The virtual caller: what it says, its microphone and loudspeaker, and its connection to a server."""
