"""Observes a running call: what is overdue (`watchdog`), and where a turn's time went (`latency`)."""
