"""A SIP user agent of our own: called directly, or as one extension of a PBX, or at a provider's trunk (RFC 3261).

    network ──► sockets ──► endpoint ──► user_agent ──► transactions ── messages        (cores, without a clock)
                   │            │            ├──► dialog ── sdp, session_timer
                   │            │            └──► registration
                   │            └──► calls, a task for each ──► the switchboard
                   └── RTP ──► connection ── rtp ── jitter buffer

aiosipua parses and writes SIP and SDP and computes digests; aiortp packs RTP. Both are the extra `sip`, and imported in
this package only. Transactions, dialogs and audio are ours: aiosipua's user agents keep no transactions, and aiortp's
sessions add a fixed delay. No TLS and no SRTP yet.
"""
