"""`vivavoce doctor`: looks at this machine without a microphone, and says what would make it better.

    machine.look   Python, packages, models, disk, memory, cores        no network
    network.look     port, TLS, peer connections, STUN and TURN servers   this machine, and the servers of the settings
    speed.look    speed of each stage against its budget               needs the models; skips those that are missing

Nothing is changed and nothing is fetched. Findings are printed as they come.
"""

from __future__ import annotations

from itertools import chain

from vivavoce.model.store import Store, catalog
from vivavoce.realtime.cli.doctor import machine, network, speed
from vivavoce.realtime.cli.doctor.findings import UNUSABLE
from vivavoce.realtime.config import Config


def run(config: Config) -> int:
    """Prints the table; 0 when one can talk to this machine with these settings, else 1."""
    store = Store(config.home, catalog.load())
    counts: dict[str, int] = {}
    for finding in chain(
        machine.look(config, store), network.look(config.server), speed.look(config.model, store.path)
    ):
        print(finding.row, flush=True)
        counts[finding.state] = counts.get(finding.state, 0) + 1
    usable = not UNUSABLE & set(counts)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(f"\n{'Ready to talk' if usable else 'Not usable yet'}: {told}.")
    return 0 if usable else 1
