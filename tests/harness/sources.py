"""The syntax trees of the checkout, parsed and walked once for all tests that read the code."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree(file: Path) -> ast.Module:
    """A file's syntax tree. It is shared: read only."""
    return ast.parse(file.read_text())


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of the tree, as `ast.walk` gives them."""
    return tuple(ast.walk(tree(file)))
