"""Networks of turn-taking, with their weights: each turns sound into probabilities, and decides nothing.

    silero_vad            VAD: speech in a window of 32 ms
    smart_turn            endpointing: the end of the turn, from the last 8 s
    asr_endpoint_head     endpointing, from the states of the ASR's encoder
    overlap_classifier    sound over the assistant: interruption, backchannel, noise or echo
    asr_overlap_head      the same, from the states of the ASR's encoder

`realtime/turns` decides by their probabilities.
"""
