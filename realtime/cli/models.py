"""`vivavoce models pull | list | verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from vivavoce.model.errors import UnknownModel
from vivavoce.model.settings import CascadeSettings, needed
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.cli.progress import Progress
from vivavoce.realtime.config import Config

MEGA = 1_000_000


def run(config: Config, action: str, names: Sequence[str], everything: bool) -> int:
    """Raises `ModelError`."""
    store = Store(config.home, catalog.load())
    match action:
        case "pull":
            chosen = store.catalog.select(names, everything=everything)
            pull(store, chosen if names or everything else needed(config.model))
            return 0
        case "list":
            return _list(store, needed(config.model))
        case _:
            return _verify(store, names)


def pull(store: Store, names: Iterable[str]) -> None:
    """Fetches missing artefacts, and makes derived ones, with a progress bar on standard error."""
    missing = {status.artefact.name for status in store.status() if status.state != "present"}
    pulled = store.catalog.with_origins(name for name in names if name in missing)
    pulled = tuple(name for name in pulled if name in missing)
    if pulled:
        size = sum(store.catalog[name].size for name in pulled if not store.catalog[name].origins)
        print(f"Fetching {len(pulled)} models, {size / MEGA:.0f} MB, into {store.root}", file=sys.stderr)
        with Progress(sys.stderr) as progress:
            store.pull(pulled, progress)


def prepare(store: Store, settings: CascadeSettings) -> None:
    """Fetches the artefacts of these settings; an unknown voice is reported first. Raises `ModelError`."""
    # Imported here: other commands do not need it.
    from vivavoce.model.cascade.tts.names import CODED, ENGLISH, HIBARI, JOE, known_names

    files = (PurePosixPath(file.name).stem for file in store.catalog["kokoro"].files)
    kokoro = sorted(name for name in files if name.startswith(ENGLISH))
    voices = known_names([*HIBARI, JOE, CODED, *kokoro])
    if settings.voice and settings.voice not in voices:
        raise UnknownModel(f"no voice {settings.voice!r}; there are: {', '.join(voices)}")
    pull(store, needed(settings))


def _list(store: Store, used: Iterable[str]) -> int:
    used = set(used)
    for status in store.status():
        artefact = status.artefact
        mark = "*" if artefact.name in used else " "
        print(
            f"{mark} {artefact.name:<18} {status.state:<9} {artefact.size / MEGA:7.1f} MB  "
            f"{artefact.licence:<14} {artefact.title}"
        )
    print(f"\n* used with the present settings. Folder: {store.root}")
    return 0


def _verify(store: Store, names: Sequence[str]) -> int:
    verdicts = store.verify(names)
    for verdict in verdicts:
        print(f"{verdict.artefact}/{verdict.file}: {verdict.problem or 'right'}")
    damaged = sorted({verdict.artefact for verdict in verdicts if verdict.problem})
    if damaged:
        print(f"Fetch again: vivavoce models pull {' '.join(damaged)}", file=sys.stderr)
    return 1 if damaged else 0
