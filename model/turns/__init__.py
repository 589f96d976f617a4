"""Networks of turn-taking, with their weights: each turns sound into one opinion, and decides nothing.

    silero_vad            is this speech? (32 ms windows)
    smart_turn            is the turn complete? (the last 8 s)
    overlap_classifier    sound over the assistant: interruption, backchannel, noise or echo?
    asr_overlap_head      the same question, asked of the recogniser's encoder states
    asr_endpoint_head     is the turn complete? from the recogniser's encoder states

What follows from the opinions is decided in `realtime/turns`.
"""
