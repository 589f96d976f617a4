"""Measures the shortest JSON that fits a schema of a grammar. Pure.

It is infinite for a schema that asks for itself without an end: an object that must have a field of its own kind.
"""

from __future__ import annotations

import math
from typing import Any


def shortest(root: dict[str, Any], definitions: dict[str, Any]) -> float:
    """Characters of the shortest JSON that fits `root`, which refers to `definitions` as "#/$defs/…"."""
    known = dict.fromkeys(definitions, math.inf)
    for _ in definitions:  # each round knows the definitions that need only those known before
        now = {name: _of(schema, known) for name, schema in definitions.items()}
        if now == known:
            break
        known = now
    return _of(root, known)


def _of(schema: Any, known: dict[str, float]) -> float:
    if not isinstance(schema, dict):
        return 1
    if "$ref" in schema:
        return known[schema["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in schema:
        return min(_of(one, known) for one in schema["anyOf"])
    if "enum" in schema:
        return min(len(str(value)) for value in schema["enum"])
    types = schema.get("type", "null")
    return min(_of_type(schema, kind, known) for kind in ([types] if isinstance(types, str) else types))


def _of_type(schema: dict[str, Any], kind: str, known: dict[str, float]) -> float:
    match kind:
        case "string":
            return 2 + float(schema.get("minLength", 0))
        case "array":
            first, count = schema.get("prefixItems", []), schema.get("minItems", 0)
            rest = (count - len(first)) * _of(schema.get("items", {}), known) if count > len(first) else 0
            return 2 + sum(_of(one, known) + 1 for one in first[:count]) + rest
        case "object":
            needed, properties = schema.get("required", []), schema.get("properties", {})
            return 2 + sum(len(name) + 4 + _of(properties.get(name, {}), known) for name in needed)
    return 1
