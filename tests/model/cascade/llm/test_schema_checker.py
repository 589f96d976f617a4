"""model/cascade/llm/schema_checker.py: the real child, which may die."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from vivavoce.model.cascade.llm import schema_checker
from vivavoce.model.cascade.llm.schema_checker import TOO_COSTLY, SchemaChecker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checker() -> Iterator[SchemaChecker]:
    checker = SchemaChecker()
    yield checker
    checker.close()


def grammar(schema: Any) -> str:
    return f"%llguidance {{}}\nstart: %json {json.dumps(schema)}"


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "string", "pattern": "^[a-z]{2}$"}, ""),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, ""),
        ({"type": "nonsense"}, "Invalid type: nonsense"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "uniqueItems"),
    ],
)
def test_it_knows_what_llama_cpp_can_compile(checker: SchemaChecker, schema: Any, problem: str) -> None:
    found = checker.compiles(grammar(schema))
    assert found is not None
    assert problem in found
    assert bool(found) == bool(problem)


def test_what_takes_all_memory_takes_the_child_and_the_next_one_answers(checker: SchemaChecker) -> None:
    killer = {"type": "array", "minItems": 10**9, "items": {"type": "integer"}}
    assert checker.compiles(grammar(killer)) == TOO_COSTLY
    assert checker.compiles(grammar({"type": "integer"})) == ""


@pytest.mark.parametrize(
    ("schema", "arguments", "problem"),
    [
        ({"required": ["x"]}, {"x": 1}, ""),
        ({"required": ["x"]}, {}, "'x' is a required property"),
        ({"properties": {"x": {"uniqueItems": True}}}, {"x": [1, 1]}, "non-unique"),
        ({"dependentRequired": {"x": ["y"]}}, {"x": 1}, "'y' is a dependency"),
        ({"if": {"required": ["x"]}, "then": {"required": ["y"]}}, {"x": 1}, "'y' is a required"),
        ({"properties": {"x": {"not": {"type": ["string"]}}}}, {"x": "a"}, "should not be valid"),
        ({"properties": {"x": {"multipleOf": 7}}}, {"x": 8}, "not a multiple of 7"),
        ({"properties": {"x": {"pattern": "^(?!a)"}}}, {"x": "ab"}, "does not match"),
        ({"$defs": {"a": {"type": ["null"]}}, "properties": {"x": {"$ref": "#/$defs/a"}}}, {"x": 1}, "is not of type"),
    ],
)
def test_it_checks_arguments(checker: SchemaChecker, schema: Any, arguments: Any, problem: str) -> None:
    found = checker.fits(schema, arguments)
    assert found is not None
    assert problem in found
    assert bool(found) == bool(problem)


@pytest.mark.parametrize("schema", [{"$ref": "http://127.0.0.1:9/x"}, {"type": 5}, {"pattern": "(("}])
def test_a_schema_that_cannot_be_checked_is_not_known(checker: SchemaChecker, schema: Any) -> None:
    assert checker.fits({"properties": {"x": schema}}, {"x": "a"}) is None


def test_a_pattern_that_takes_for_ever_is_given_up(checker: SchemaChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_checker, "PATIENCE", 1.0)
    began = time.monotonic()
    assert checker.fits({"properties": {"x": {"pattern": "^(a+)+$"}}}, {"x": "a" * 40 + "b"}) == TOO_COSTLY
    assert time.monotonic() - began < 3


def test_a_checker_that_was_closed_starts_anew() -> None:
    checker = SchemaChecker()
    assert checker.compiles(grammar({})) == ""
    checker.close()
    checker.close()
    assert checker.compiles(grammar({})) == ""
    checker.close()


def test_where_no_child_can_be_started_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/none/python")
    assert SchemaChecker().compiles(grammar({})) is None
