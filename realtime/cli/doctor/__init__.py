"""`vivavoce doctor`: tests this machine without a microphone, and lists what would make it better.

    machine.look     Python, packages, models, disk, memory, cores        no network
    network.look     port, TLS, peer connections, STUN and TURN servers   this machine, and the servers of the settings
    speed.look       speed of each stage against its budget               needs the models; skips missing ones

Changes nothing and fetches nothing. Findings are printed as they come.
"""

from __future__ import annotations

from itertools import chain

from vivavoce.model.store import Store, catalog
from vivavoce.realtime.cli.doctor import machine, network, speed
from vivavoce.realtime.cli.doctor.findings import UNUSABLE
from vivavoce.realtime.config import Config


def run(config: Config) -> int:
    """Prints the table; 0 when a call is possible on this machine with these settings, else 1."""
    store = Store(config.home, catalog.load())
    counts: dict[str, int] = {}
    for finding in chain(
        machine.look(config, store), network.look(config.server), speed.look(config.model, store.path)
    ):
        print(finding.row, flush=True)
        counts[finding.state] = counts.get(finding.state, 0) + 1
    usable = not UNUSABLE & set(counts)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(f"\n{'Ready to talk' if usable else 'Not usable yet'}: {summary}.")
    return 0 if usable else 1
