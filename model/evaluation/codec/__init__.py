"""Evaluation of the audio codec beside other systems: word errors, DNSMOS, delay and work.

    material.py ─clips─► systems.py ─speech─► evaluation.py (ASR, dnsmos.py) ─rows─► scores.py ─► table.py
                         delay.py ───────────────────────────────────────────────────────────────┘

Started by `vivavoce codec eval`. What it measures and what it has found: `codecs/CODEC.md`.
"""
