"""A telephone of our own: SIP without a PBX, or as one extension of a PBX, or at a provider's trunk.

    network ──► sockets ──► endpoint ──► agent ──► transactions ── messages     (who calls whom: cores, no clock)
                   │            │          ├──► leg, outgoing ── offers, session_timer
                   │            │          └──► registration
                   │            └──► exchange ──► connection, one a call ──► the switchboard
                   └── sound ──► line ── rtp, keys, g722 ── microphone.py

aiosipua reads and writes SIP and SDP and computes digests; aiortp packs RTP. Who may say what when is decided here:
their own user agents keep no transactions, and their sessions add a fixed delay. No TLS and no SRTP yet.
"""
