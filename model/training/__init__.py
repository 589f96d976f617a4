"""Training of all networks: data sets, networks, training runs and exports. Nothing here runs in a call.

    data/     texts, synthetic speech, sounds, acoustics: shared by all trainings
    codec/    the audio codec: codebook, ASR surrogate, encoder
    turns/    the heads and classifiers of turn-taking
    runs/     codec.sh, turns.sh: the whole history of each weight file in one script

Needs the extra `train` (torch). The weights that come out are files of `codecs/weights` and `model/turns`.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vivavoce.model.store import Store


def open_store() -> Store:
    """Opens the model store of this user, whose models speak and recognize the data."""
    from vivavoce.model.store import Store, catalog, default_home

    return Store(default_home(os.environ, sys.platform), catalog.load())


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """A parser for a script of this package; `doc`: its docstring, whose first line becomes the description."""
    spec = sys.modules["__main__"].__spec__
    return argparse.ArgumentParser(
        prog=f"python -m {spec.name}" if spec else None, description=(doc or "").partition("\n")[0]
    )
