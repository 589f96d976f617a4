r"""Writes a schema for a JSON schema library: the same, in the words of the draft of 2020, as far as that is possible.

    {"type": "STRING", "exclusiveMinimum": true, "minimum": 5, "pattern": "\\p{L}+"}
        ──►  {"type": ["string"], "exclusiveMinimum": 5, "pattern": "[^\\W\\d_]+"}

Calls are checked against it, whatever the grammar could say. Pure.
"""

from __future__ import annotations

from typing import Any, Final

from vivavoce.model.errors import InvalidPattern
from vivavoce.model.tool_schemas import patterns

_SCHEMAS: Final = frozenset(
    """
    items additionalItems additionalProperties unevaluatedItems unevaluatedProperties contains not propertyNames if then
    else contentSchema
    """.split()  # noqa: SIM905 - legible
)
_LISTS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems", "items"))
_MAPS: Final = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))


def checkable(schema: Any) -> Any:
    """`schema`, which has been read without a problem, for a library that follows the draft of 2020."""
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for name, value in schema.items():
        if name in ("$schema", "$id", "nullable") or (name == "required" and not isinstance(value, list)):
            continue
        if name in _MAPS and isinstance(value, dict):
            plain[name] = {key: checkable(inner) for key, inner in value.items()}
        elif name in _LISTS and isinstance(value, list):
            plain["prefixItems" if name == "items" else name] = [*map(checkable, value)]
        elif name == "additionalItems" and isinstance(schema.get("items"), list):
            plain["items"] = checkable(value)
        elif name in _SCHEMAS:
            plain[name] = checkable(value)
        else:
            plain[name] = value
    if isinstance(plain.get("pattern"), str):
        plain["pattern"] = _for_python(plain["pattern"])
    if isinstance(given := plain.get("type"), str | list):
        nullable = ["null"] if schema.get("nullable") is True else []
        plain["type"] = [*(str(one).lower() for one in ([given] if isinstance(given, str) else given)), *nullable]
    for name, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(plain.get(flag), bool) and plain.pop(flag) and name in plain:
            plain[flag] = plain.pop(name)
    return plain


def _for_python(pattern: str) -> str:
    try:
        return patterns.read(pattern).check
    except InvalidPattern:
        return ""  # within a keyword that is not read
