"""docs/configuration.md is what the types of the settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.realtime.config import SECTIONS, SETTINGS, reference


def test_the_page_is_the_generated_one() -> None:
    written = reference.FILE.read_text(encoding="utf-8")
    assert written == reference.reference(), "write it again: python -m vivavoce.realtime.config.reference"


def test_every_setting_has_a_row_with_its_variable_and_a_description() -> None:
    rows = [line.split(" | ") for line in reference.reference().splitlines() if line.startswith("| `")]
    rows = [row for row in rows if not row[0].startswith("| `[")]
    assert [row[0] for row in rows] == [
        f"| `{setting.key}`" for section in SECTIONS for setting in SETTINGS.values() if setting.section == section
    ]
    assert sorted(row[3] for row in rows) == sorted(f"`{setting.variable}`" for setting in SETTINGS.values())
    assert [setting.path for setting in SETTINGS.values() if not setting.description.endswith(".")] == []


def test_types_choices_ranges_and_defaults_are_in_the_row() -> None:
    rows = reference.reference().splitlines()
    assert (
        "| `port` | a whole number between 0 and 65535 | `8790` | `VIVAVOCE_SERVER_PORT` | "
        "Port to listen on; 0 takes a free one. |" in rows
    )
    (row,) = [row for row in rows if "VIVAVOCE_SERVER_ECHO_CANCELLATION" in row]
    assert row.startswith('| `echo_cancellation` | one of auto, on, off | `"auto"` |')
    (row,) = [row for row in rows if "VIVAVOCE_PHONE_TOOLS" in row]
    assert row.startswith('| `tools` | a list of hang_up, transfer, keys | `["hang_up"]` |')


def test_the_command_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "FILE", tmp_path / "docs" / "configuration.md")
    reference.main()
    assert (tmp_path / "docs" / "configuration.md").read_text(encoding="utf-8") == reference.reference()
