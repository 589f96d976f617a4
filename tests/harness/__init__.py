"""The ground of the tests: the virtual clock, real peers, fakes that keep the contracts, a voice and an ASR."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The checkout."""

DATA: Final = ROOT / "tests" / "data"
"""Captured packets, recordings and tables."""
