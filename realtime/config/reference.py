"""The reference of all settings, docs/configuration.md, generated from the types. Pure, but for `main`, which writes.

python -m vivavoce.realtime.config.reference
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from vivavoce.realtime.config import SECTIONS, SETTINGS
from vivavoce.realtime.config.setting import Setting

FILE: Final = Path(__file__).parents[1] / "docs" / "configuration.md"

HEAD: Final = """\
# Configuration

<!-- Generated from the types of the settings. Do not edit: change the types, then run
     python -m vivavoce.realtime.config.reference -->

Settings come from a TOML file (`vivavoce --config my.toml serve`), from environment variables, or from options. Later
sources win: defaults, file, environment, options. Every value is checked at the start. The message for a wrong one
names the setting and the expected value.

```toml
# my.toml                         # or, in the environment:
[server]
host = "0.0.0.0"                  # VIVAVOCE_SERVER_HOST=0.0.0.0
keys = ["F3uWm0yq7mXc1tRz"]       # 16 characters or more; needed for every host that others can reach
tls_certificate = "cert.pem"      # browsers give the microphone to https pages only
tls_key = "key.pem"               # (and to localhost)
max_sessions = 4

[model]
language = "smollm2-135m"         # VIVAVOCE_MODEL_LANGUAGE=smollm2-135m
voice = "af_heart"
spoken = "auto"                   # the user's language; "en" is quicker
```

In a variable, a list is written with commas (`VIVAVOCE_SERVER_TOOLS=time,notes`), true and false as `true`, `false`,
`1` or `0`.
"""

TITLES: Final = {
    "": ("General", "Outside of all tables."),
    "server": ("Server", "The gateway, and the limits of its calls."),
    "model": ("Model", "Speech recognition, language model, voice."),
    "phone": ("Phone", "Calls by telephone."),
    "phone.sip": ("SIP", "The SIP user agent."),
}


def reference() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *(line for section in SECTIONS for line in _table(section))])


def _table(section: str) -> Iterator[str]:
    title, words = TITLES[section]
    yield f"## {title}\n\n{words}\n"
    yield f"| {f'`[{section}]`' if section else 'Setting'} | Value | Default | Variable | Meaning |"
    yield "|---|---|---|---|---|"
    for setting in SETTINGS.values():
        if setting.section == section:
            cells = (
                f"`{setting.key}`",
                setting.expected,
                _default(setting),
                f"`{setting.variable}`",
                setting.description,
            )
            yield f"| {' | '.join(cells)} |"
    yield ""


def _default(setting: Setting) -> str:
    """As in a TOML file; the home folder depends on the platform."""
    return f"`{_toml(setting.default)}`" if setting.section else ""


def _toml(value: Any) -> str:
    """The values that defaults have are written in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
