"""Inline the references of a JSON schema, so that a grammar can be made of it. Pure.

    {"$defs": {"City": S}, "properties": {"city": {"$ref": "#/$defs/City"}}} ──► {"properties": {"city": S}}

A tool's schema becomes part of a larger one, in which "#/…" would point elsewhere. Schemas come from servers that are
not trusted: depth and size are bounded.
"""

from __future__ import annotations

from typing import Any, Final

from vivavoce.realtime.tools import ToolError

MAX_DEPTH: Final = 12
MAX_NODES: Final = 2_000

_NOISE: Final = ("$schema", "$id", "$defs", "definitions", "title", "default", "examples")


class SchemaTooComplex(ToolError):
    """The schema refers to itself or to parts that it lacks, or is too large."""


def inlined(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema with every reference replaced by its target; None when that cannot be done."""
    budget = [MAX_NODES]
    try:
        plain = _inline(schema, schema, MAX_DEPTH, budget)
    except SchemaTooComplex:
        return None
    return {"properties": {}, **plain, "type": "object"}


def _inline(node: Any, root: dict[str, Any], depth: int, budget: list[int], named: bool = False) -> Any:
    """`named`: the keys are names of properties, not words of the schema language."""
    budget[0] -= 1
    if depth < 0 or budget[0] < 0:
        raise SchemaTooComplex
    if isinstance(node, list):
        return [_inline(inner, root, depth - 1, budget) for inner in node]
    if not isinstance(node, dict):
        return node
    if not named and isinstance(node.get("$ref"), str):
        return _inline(_target(node["$ref"], root), root, depth - 1, budget)
    return {
        key: _inline(inner, root, depth - 1, budget, named=key == "properties" and not named)
        for key, inner in node.items()
        if named or key not in _NOISE
    }


def _target(reference: str, root: dict[str, Any]) -> Any:
    if not reference.startswith("#/"):
        raise SchemaTooComplex
    node: Any = root
    for step in reference[2:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or step not in node:
            raise SchemaTooComplex
        node = node[step]
    return node
