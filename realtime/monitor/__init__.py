"""Observes a running call: deadlines (`watchdog`), latency of turns (`latency`), the call's id in logs (`call_log`)."""
