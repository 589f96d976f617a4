"""model/tool_schemas: what grammars are made of, and what is refused, with its path."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from vivavoce.model.tool_schemas import SchemaProblem, check_tool, checkable, read


def of(field: Any, **more: Any) -> dict[str, Any]:
    """Parameters with one field, `x`."""
    return {"type": "object", "properties": {"x": field}, "required": ["x"], **more}


def closed(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object of a grammar."""
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
LETTERS = [{"enum": ["a"]}, {"enum": ["b"]}]
MAP = {"type": "object", "properties": {}, "required": [], "additionalProperties": WHOLE}
READ: dict[str, tuple[Any, Any]] = {
    # the field as it is written, and as the grammar has it
    "a type": (TEXT, TEXT),
    "capitals": ({"type": "STRING"}, TEXT),
    "several types": ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
    "OpenAPI's null": ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    "anything": ({}, {}),
    "true": (True, {}),
    "remarks": ({"type": "string", "title": "T", "default": "a", "examples": [1], "description": "d"}, TEXT),
    "look-ahead": ({"type": "string", "pattern": "^(?!a)[a-z]+$"}, {"type": "string", "pattern": "^(?:[a-z]){1,}$"}),
    "a pattern alone": ({"pattern": "^a$"}, {"type": "string", "pattern": "^a$"}),
    "an unknown format": ({"type": "string", "format": "phone"}, TEXT),
    "a known format": ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
    "lengths": ({"type": "string", "minLength": 1, "maxLength": 9}, {"type": "string", "minLength": 1, "maxLength": 9}),
    "no real upper end": ({"type": "string", "maxLength": 10**9}, TEXT),
    "uniqueItems": ({"type": "array", "items": TEXT, "uniqueItems": True}, {"type": "array", "items": TEXT}),
    "very many items": ({"type": "array", "items": TEXT, "maxItems": 10**9}, {"type": "array", "items": TEXT}),
    "a tuple": (
        {"type": "array", "prefixItems": [TEXT, WHOLE], "items": False},
        {"type": "array", "prefixItems": [TEXT, WHOLE], "maxItems": 2},
    ),
    "a tuple of an older draft": (
        {"type": "array", "items": [TEXT], "additionalItems": False},
        {"type": "array", "prefixItems": [TEXT], "maxItems": 1},
    ),
    "if, not, dependentRequired": ({"type": "integer", "not": {"const": 3}, "if": {}, "then": {}}, WHOLE),
    "multipleOf": ({"type": "number", "multipleOf": 1e-300}, {"type": "number"}),
    "a range": ({"type": "integer", "minimum": 1, "maximum": 5}, {"type": "integer", "minimum": 1, "maximum": 5}),
    "a range of 2013": (
        {"type": "number", "minimum": 1, "exclusiveMinimum": True},
        {"type": "number", "exclusiveMinimum": 1},
    ),
    "a huge bound": ({"type": "number", "maximum": 1e300}, {"type": "number"}),
    "values": ({"enum": ["a", 1, None]}, {"enum": ["a", 1, None]}),
    "values of a type": ({"type": "string", "enum": ["a", 1]}, {"enum": ["a"]}),
    "one value": ({"const": {"a": 1}}, {"enum": [{"a": 1}]}),
    "anyOf": ({"anyOf": [TEXT, {"type": "null"}], "default": None}, {"anyOf": [TEXT, {"type": "null"}]}),
    "oneOf": ({"oneOf": [TEXT, WHOLE]}, {"anyOf": [TEXT, WHOLE]}),
    "a type beside alternatives": ({"type": "string", "anyOf": LETTERS}, {"anyOf": LETTERS}),
    "an alternative that is nothing": ({"anyOf": [TEXT, False]}, TEXT),
    "allOf with one": ({"allOf": [{"enum": ["a"]}], "description": "d"}, {"enum": ["a"]}),
    "a map": ({"type": "object", "additionalProperties": WHOLE}, MAP),
    "names by a pattern": ({"type": "object", "patternProperties": {"^x-": WHOLE}}, MAP),
    "any object": ({"type": "object"}, {**MAP, "additionalProperties": True}),
    "an object with fields": ({"type": "object", "properties": {"a": TEXT}}, closed(a=TEXT)),
}


@pytest.mark.parametrize(("field", "made"), READ.values(), ids=READ.keys())
def test_a_field_is_read(field: Any, made: Any) -> None:
    assert read(of(field)).root == closed(("x",), x=made)
    assert check_tool(of(field)) is None


CITY = {"enum": ["a"], "type": "string"}
NEXT = closed(("v",), v=TEXT, next={"$ref": "#/$defs/d0"})
WHOLES: dict[str, tuple[Any, Any, Any]] = {
    # parameters, the grammar's root, its definitions
    "nothing": ({}, closed(), {}),
    "capitals": ({"type": "OBJECT", "properties": {"x": TEXT}}, closed(x=TEXT), {}),
    "a name that is not described": (
        {"type": "object", "properties": {"x": TEXT}, "required": ["x", "y"]},
        closed(("x", "y"), x=TEXT, y={}),
        {},
    ),
    "pydantic's references": (
        of({"$ref": "#/$defs/City"}, **{"$defs": {"City": CITY}}),
        closed(("x",), x={"$ref": "#/$defs/d0"}),
        {"d0": {"enum": ["a"]}},
    ),
    "an anchor": (
        of({"$ref": "#city"}, **{"$defs": {"City": CITY | {"$anchor": "city"}}}),
        closed(("x",), x={"$ref": "#/$defs/d0"}),
        {"d0": {"enum": ["a"]}},
    ),
    "a reference with the document's own name": (
        of({"$ref": "http://a.example/s#/$defs/C"}, **{"$id": "http://a.example/s", "$defs": {"C": CITY}}),
        closed(("x",), x={"$ref": "#/$defs/d0"}),
        {"d0": {"enum": ["a"]}},
    ),
    "itself": (
        {"type": "object", "properties": {"v": TEXT, "next": {"$ref": "#"}}, "required": ["v"]},
        NEXT,
        {"d0": NEXT},
    ),
    "zod's root": ({"$ref": "#/definitions/A", "definitions": {"A": of(TEXT)}}, closed(("x",), x=TEXT), {}),
    "both of two": (
        {"allOf": [of(TEXT), {"properties": {"y": WHOLE}, "required": ["y"]}]},
        closed(("x", "y"), x=TEXT, y=WHOLE),
        {},
    ),
    "one of two fields": (
        {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"anyOf": [closed(("a",), a=TEXT, b=TEXT), closed(("b",), a=TEXT, b=TEXT)]},
        {},
    ),
}


@pytest.mark.parametrize(("parameters", "root", "definitions"), WHOLES.values(), ids=WHOLES.keys())
def test_parameters_are_read(parameters: Any, root: Any, definitions: Any) -> None:
    made = read(parameters)
    assert made.root == root
    assert made.definitions == definitions


MANY = {"type": "array", "minItems": 99, "items": {"type": "array", "minItems": 99, "items": WHOLE}}
X = ".properties.x"
REFUSED: dict[str, tuple[Any, str, str]] = {
    # parameters, path, message
    "no schema": ([], "", "must be a JSON schema of type object"),
    "a text": (TEXT, ".type", "must be 'object', as arguments are: 'string'"),
    "no type": (of({"type": "nonsense"}), f"{X}.type", "is no type of a JSON schema: 'nonsense'"),
    "no type in a list": (of({"type": ["string", 5]}), f"{X}.type", "is no type of a JSON schema: 5"),
    "no schema within": (of("string"), X, "is no JSON schema: 'string'"),
    "a number that ends servers": (
        of({"type": "array", "minItems": 10**9, "items": WHOLE}),
        f"{X}.minItems",
        "is 1000000000, at most 100 can be asked for",
    ),
    "a long text": (of({"type": "string", "minLength": 10**9}), f"{X}.minLength", "is 1000000000"),
    "many properties": (of({"type": "object", "minProperties": 10**9}), f"{X}.minProperties", "is 1000000000"),
    "much in sum": (of(MANY), "", "asks for more than 4000 characters"),
    "a count that is none": (of({"type": "array", "maxItems": -1}), f"{X}.maxItems", "must be a whole number"),
    "counts that cross": (of({"type": "array", "minItems": 3, "maxItems": 2}), f"{X}.minItems", "is 3, above maxItems"),
    "numbers that cross": (of({"type": "integer", "minimum": 5, "maximum": 1}), f"{X}.minimum", "leaves no number"),
    "no whole number between": (
        of({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}),
        f"{X}.exclusiveMinimum",
        "leaves no number",
    ),
    "a bound that is none": (of({"type": "number", "minimum": "5"}), f"{X}.minimum", "must be a number: '5'"),
    "a divisor that is none": (of({"type": "number", "multipleOf": 0}), f"{X}.multipleOf", "must be a number above 0"),
    "no pattern": (of({"type": "string", "pattern": "(("}), f"{X}.pattern", "has a '(' that is not closed: '(('"),
    "a pattern of a thousand million": (
        of({"type": "string", "pattern": "(ab){1000000000}"}),
        f"{X}.pattern",
        "asks for more than 1000 characters",
    ),
    "a pattern that matches nothing": (
        of({"type": "string", "pattern": "^(?=.*a)b$"}),
        f"{X}.pattern",
        "can match no text",
    ),
    "too many patterns": (
        {"properties": {f"p{n}": {"pattern": "(a|b)*" * 100} for n in range(17)}},
        ".properties.p16.pattern",
        "exceeds 10000 characters of patterns in all",
    ),
    "a reference to nothing": (of({"$ref": "#/$defs/x"}), f"{X}.$ref", "refers to nothing: '#/$defs/x'"),
    "a reference to elsewhere": (of({"$ref": "http://a.example/s"}), f"{X}.$ref", "refers to another document: 'http"),
    "itself without an end": (of({"$ref": "#"}), "", "refers to itself without an end"),
    "a circle of references": (
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        ".$defs.b.$ref",
        "refers to itself without an end",
    ),
    "false": (of(False), X, "allows nothing"),
    "no value of the type": (of({"type": "string", "enum": [1]}), f"{X}.enum", "has no value of the type"),
    "no values": (of({"enum": []}), f"{X}.enum", "must have 1 to 1000 values, has 0"),
    "too many values": (of({"enum": [*range(1001)]}), f"{X}.enum", "has 1001"),
    "no alternatives": (of({"anyOf": []}), f"{X}.anyOf", "must have 1 to 64 alternatives, has 0"),
    "too many alternatives": (of({"oneOf": [TEXT] * 65}), f"{X}.oneOf", "has 65"),
    "a name that cannot be": (
        {"type": "object", "properties": {}, "required": ["y"], "additionalProperties": False},
        ".required[0]",
        "asks for 'y', which is no property, and no others are allowed",
    ),
    "names that are none": ({"type": "object", "required": [5]}, ".required", "must be a list of names: [5]"),
    "properties that are none": ({"type": "object", "properties": []}, ".properties", "must be an object of schemas"),
    "too many properties": ({"properties": {f"p{n}": TEXT for n in range(257)}}, ".properties", "has 257, at most 256"),
    "too deep": (of(nested(25)), f"{X}{'.items' * 23}", "is a schema within more than 24 others"),
    "much too deep": (of(nested(300)), "", "is nested more than 64 deep"),
    "too much": (of({"description": "a" * 100_001}), "", "has more than 100000 characters"),
    "too many parts": (of({"examples": [0] * 5001}), "", "has more than 5000 parts"),
    "an endless number": (of({"minimum": 10**400}), "", "has a number of more than 300 digits"),
}


@pytest.mark.parametrize(("parameters", "path", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_can_never_work_is_refused_with_its_path(parameters: Any, path: str, message: str) -> None:
    problem = check_tool(parameters)
    assert problem is not None
    assert problem == SchemaProblem(path, problem.message)
    assert message in problem.message


def bomb(word: str) -> dict[str, Any]:
    """A schema that trebles in each of twenty steps."""
    steps = {f"A{n}": {word: [{"$ref": f"#/$defs/A{n + 1}"}] * 3} for n in range(20)}
    return {"$ref": "#/$defs/A0", "$defs": {**steps, "A20": {"type": "object"}}}


CHAIN = {f"A{n}": {"properties": {"n": {"$ref": f"#/$defs/A{n + 1}"}}} for n in range(700)}
BOMBS = {
    "allOf": bomb("allOf"),
    "anyOf": bomb("anyOf"),
    "a long chain": {"properties": {"a": {"$ref": "#/$defs/A0"}}, "$defs": CHAIN | {"A700": TEXT}},
    "itself in allOf": {"type": "object", "allOf": [{"$ref": "#"}]},
    "itself in anyOf": {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"$ref": "#"}] * 60},
    "patterns": {"properties": {f"p{n}": {"pattern": "(a|b)*" * 100} for n in range(100)}},
}


@pytest.mark.parametrize("parameters", BOMBS.values(), ids=BOMBS.keys())
def test_no_schema_takes_long(parameters: Any) -> None:
    began = time.process_time()
    check_tool(parameters)
    assert time.process_time() - began < 1


def test_looser_grammars_allow_more_step_by_step() -> None:
    schema = read(of({"type": "object", "properties": {"pattern": {"type": "string", "pattern": "^a$"}}}))
    texts, names, anything = schema.looser()
    assert texts.root["properties"]["x"]["properties"] == {"pattern": TEXT}, "a property may have the name of a keyword"
    assert names.root == closed(("x",), x={})
    assert anything.root == {"type": "object"}


NAMED_LIKE_KEYWORDS = {"properties": {"pattern": TEXT, "type": TEXT}}
CHECKABLE: dict[str, tuple[Any, Any]] = {
    "capitals": ({"type": "STRING"}, {"type": ["string"]}),
    "OpenAPI's null": ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    "a range of 2013": ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
    "no range of 2013": ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}),
    "a tuple of an older draft": (
        {"items": [TEXT], "additionalItems": False},
        {"prefixItems": [{"type": ["string"]}], "items": False},
    ),
    "a pattern": ({"pattern": r"^\p{L}$"}, {"pattern": r"^[^\W\d_]\Z"}),
    "properties with the names of keywords": (
        NAMED_LIKE_KEYWORDS,
        {"properties": {"pattern": {"type": ["string"]}, "type": {"type": ["string"]}}},
    ),
    "values": ({"enum": [{"type": "STRING"}], "$schema": "x", "$id": "y"}, {"enum": [{"type": "STRING"}]}),
    "keywords that a grammar does not know": (
        {"not": {"type": "NULL"}, "uniqueItems": True},
        {"not": {"type": ["null"]}, "uniqueItems": True},
    ),
}


@pytest.mark.parametrize(("schema", "plain"), CHECKABLE.values(), ids=CHECKABLE.keys())
def test_a_schema_is_written_for_the_library(schema: Any, plain: Any) -> None:
    assert checkable(schema) == plain


# --- any schema ------------------------------------------------------------------------------------------------------

NUMBERS = st.sampled_from([0, 1, 2, 5, 100, 101, -1, 0.5, 1e300, 10**9, "3", True, None])
KINDS = st.sampled_from(
    ["string", "integer", "number", "boolean", "null", "array", "object", "STRING", "nonsense", [None]]
)
PATTERNS = st.sampled_from(["^a+$", "(?=a)b", "((", "^(?!a)a$", "[0-9]{3}", "(a{9}){9}", r"\d+", 5])
NAMES = st.sampled_from(["a", "b", "type", "$ref", "properties"])
REFERENCES = st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/properties/x", "#/nothing", "http://a.example/", 5])
COUNTED = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "multipleOf", "exclusiveMinimum")
WORDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys((*COUNTED, "exclusiveMaximum", "minProperties", "uniqueItems"), NUMBERS),
    "type": KINDS,
    "pattern": PATTERNS,
    "format": st.sampled_from(["email", "phone", "date", 5]),
    "$ref": REFERENCES,
    "enum": st.lists(NUMBERS, max_size=3),
    "const": NUMBERS,
    "required": st.lists(NAMES, max_size=3) | NUMBERS,
}


def schemas() -> st.SearchStrategy[Any]:
    def more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, max_size=3)
        named = st.dictionaries(NAMES, inner, max_size=3)
        nesting = {
            **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several),
            **dict.fromkeys(("properties", "$defs", "patternProperties", "dependentSchemas"), named),
            **dict.fromkeys(("items", "additionalProperties", "not", "if", "then", "contains"), inner),
        }
        return st.fixed_dictionaries({}, optional={**WORDS, **nesting})

    return st.recursive(st.booleans() | st.fixed_dictionaries({}, optional=WORDS) | NUMBERS, more, max_leaves=12)


@given(schemas())
def test_any_schema_is_read_or_refused(schema: Any) -> None:
    parameters = {"type": "object", "properties": {"x": schema}, "$defs": {"a": schema, "b": {"type": "string"}}}
    problem = check_tool(parameters)
    if problem is not None:
        assert problem.message
        assert not problem.path or problem.path.startswith(".")
        return
    made = read(parameters)
    assert len(json.dumps([made.root, made.definitions])) < 200_000
    for looser in made.looser():
        json.dumps(looser.root)
    Draft202012Validator(checkable(parameters))
