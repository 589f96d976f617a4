"""One setting: its type with its constraints, and how a given value becomes one of that type. Pure.

    TOML value, or text of a variable or option ──Setting.read──► value of the type │ ConfigError

The type says everything: `Annotated[int, Meta(ge=1, le=1000, description="...")]`, a `Literal` of choices, a pattern.
`Meta(title=...)` is the noun of messages and of the reference ("an address such as ..."; plural for items of a list).
`Meta(extra={"check": f})` holds a function that raises ValueError for what a pattern cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from vivavoce.realtime.config.errors import ConfigError

PREFIX: Final = "VIVAVOCE"
DERIVED: Final = ("model.conversations",)
"""Fields that follow from other settings."""

BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
FROM_TEXT: Final[dict[Any, Callable[[str], object]]] = {
    int: int,
    float: float,
    bool: lambda text: BOOLEANS[text.lower()],
}
"""How the text of a variable, an option or a quoted TOML value becomes a plain one."""

NAMES: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}


@dataclass(frozen=True, slots=True)
class Setting:
    """`section`: its table ("phone.sip"; "" for `home`). `hint`: its type, with constraints."""

    section: str
    key: str
    hint: Any
    default: Any
    secret: bool

    @property
    def path(self) -> str:
        """As in the TOML file: "phone.sip.listen"."""
        return f"{self.section}.{self.key}".removeprefix(".")

    @property
    def variable(self) -> str:
        """Of the environment: "VIVAVOCE_SIP_LISTEN"."""
        return "_".join(filter(None, (PREFIX, self.section.rpartition(".")[2], self.key))).upper()

    @property
    def description(self) -> str:
        return str(_meta(self.hint, "description") or "")

    @property
    def expected(self) -> str:
        """What a value must be: "a whole number between 0 and 65535"."""
        item = _item(self.hint)
        return f"a list of {_items(item).removeprefix('names of ')}" if item else _expected(self.hint)

    def read(self, given: object, name: str) -> Any:
        """`given`, a TOML value or text, in the setting's type; messages call it `name`. Raises `ConfigError`."""
        item = _item(self.hint)
        if item is None:
            return self._convert(given, self.hint, name, f"be {self.expected}")
        parts = given.split(",") if isinstance(given, str) else given
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise ConfigError(f"'{name}' must be a list of texts{self._not(given)}.")
        rule = f"hold {_items(item)}"
        values = tuple(self._convert(part.strip(), item, name, rule) for part in parts if part.strip())
        return self._convert(values, self.hint, name, rule)

    def _convert(self, given: object, hint: Any, name: str, rule: str) -> Any:
        """Raises `ConfigError`: with `rule`, or with the words of the check where the type has no title."""
        wrong = ConfigError(f"'{name}' must {rule}{self._not(given)}.")
        try:
            if isinstance(given, str) and (from_text := FROM_TEXT.get(_base(hint))):
                given = from_text(given)
            lax = _base(hint) is bool  # 1 and 0 are true and false
            value = msgspec.convert(given, hint, strict=not lax, dec_hook=_path)
        except (KeyError, ValueError, RuntimeError):  # the last: the home folder of a user who does not exist
            raise wrong from None
        check = (_meta(hint, "extra") or {}).get("check")
        try:
            if check is not None and value:  # an empty text: not set
                check(value)
        except ValueError as error:
            raise (wrong if _meta(hint, "title") else ConfigError(f"'{name}': {error}")) from None
        return value

    def _not(self, given: object) -> str:
        """A secret is not repeated."""
        return "" if self.secret and not isinstance(given, int | float) else f", not {given!r}"


def settings_of(tree: type, section: str = "") -> Iterator[Setting]:
    """All settings of a tree of dataclasses, in their order."""
    hints = get_type_hints(tree, include_extras=True)
    for field in fields(tree):
        hint, path = hints[field.name], f"{section}.{field.name}".removeprefix(".")
        if is_dataclass(hint):
            assert isinstance(hint, type)
            yield from settings_of(hint, path)
        elif path not in DERIVED:
            yield Setting(section, field.name, hint, field.default, secret=not field.repr)


def _expected(hint: Any) -> str:
    base, low, high = _base(hint), _meta(hint, "ge"), _meta(hint, "le")
    if title := _meta(hint, "title"):
        return str(title)
    if get_origin(base) is Literal:
        values = get_args(base)
        return " or ".join(values) if len(values) == 2 else f"one of {', '.join(values)}"
    return f"{NAMES[base]} between {low:g} and {high:g}" if low is not None else NAMES[base]


def _items(hint: Any) -> str:
    """What a list must hold, in the plural."""
    if title := _meta(hint, "title"):
        return str(title)
    return f"names of {', '.join(get_args(hint))}" if get_origin(hint) is Literal else "texts"


def _item(hint: Any) -> Any:
    """The type of the items of a list; None for other types."""
    return get_args(_base(hint))[0] if get_origin(_base(hint)) is tuple else None


def _base(hint: Any) -> Any:
    """The type without its constraints."""
    return getattr(hint, "__origin__", hint) if hasattr(hint, "__metadata__") else hint


def _meta(hint: Any, name: str) -> Any:
    """A constraint or description of an `Annotated` type; None without one."""
    given = (getattr(meta, name) for meta in getattr(hint, "__metadata__", ()))
    return next((value for value in given if value is not None), None)


def _path(kind: type, given: Any) -> Path:
    assert kind is Path
    return Path(given).expanduser()
