"""Translates the JSON schema of a tool's parameters into one that a grammar can be made of. Pure.

    {"$defs": {"City": S}, "properties": {"city": {"$ref": "#/$defs/City"}}, "dependentRequired": …}
        │ read
        ▼
    {"properties": {"city": {"$ref": "#/$defs/d0"}}}     with the definitions {"d0": S'}

`oneOf` is read as `anyOf`, `allOf` is merged, types in capitals are types; keywords that a grammar cannot say are left
out. References stay references: a schema may refer to itself. All work is bounded by the constants below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from vivavoce.model.errors import InvalidPattern, InvalidTool
from vivavoce.model.tool_schemas import patterns
from vivavoce.model.tool_schemas.shortest import shortest

MAX_CHARS: Final = 100_000
"""Of keys and texts in a schema."""
MAX_PARTS: Final = 5_000
"""Values in a schema, whatever they are."""
MAX_NESTING: Final = 64
"""Values within values."""
MAX_DEPTH: Final = 24
"""Schemas within schemas."""
MAX_WORK: Final = 5_000
"""Schemas that are read, those included that are merged into others once more."""
MAX_PATTERNS: Final = 10_000
"""Characters of all patterns together; to read that many takes 50 ms."""
MAX_ALTERNATIVES: Final = 64
MAX_VALUES: Final = 1_000
"""Of an `enum`."""
MAX_PROPERTIES: Final = 256
MAX_COUNT: Final = 100
"""Items, and properties, that a schema may ask for; a larger upper bound is left out of the grammar."""
MAX_LENGTH: Final = patterns.LARGEST
"""The same for characters of a string."""
MAX_LEAST: Final = 4_000
"""Characters of the shortest arguments: more than an answer can have."""
MAX_NUMBER: Final = 1e15
"""Bounds beyond are left out of the grammar."""

TYPES: Final = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
FORMATS: Final = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))
"""That a grammar can say. Others, "phone" or "uri", are remarks."""

REMARKS: Final = frozenset(
    """
    $schema $id $anchor $comment $defs definitions title description default examples example deprecated readOnly
    writeOnly contentMediaType contentEncoding nullable
    """.split()  # noqa: SIM905 - legible
)
"""Keywords that allow and forbid nothing."""

_IMPLYING: Final = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "patternProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
}
TEXTS: Final = ("pattern", "format")
BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

Schema = dict[str, Any]
ANY_OBJECT: Final[Schema] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """What a grammar can say of a tool's parameters. `root` refers to `definitions` as "#/$defs/…"."""

    root: Schema
    definitions: Schema

    def looser(self) -> Iterator[ToolSchema]:
        """Grammars that allow more, for compilers that do not take this one: without patterns and formats; only the
        names; any object."""
        yield ToolSchema(_without_texts(self.root), _without_texts(self.definitions))
        properties = self.root.get("properties", {})
        names = {**self.root, "properties": {name: {} for name in properties}}
        yield ToolSchema(names if properties else ANY_OBJECT, {})
        yield ToolSchema(ANY_OBJECT, {})


def read(parameters: Any) -> ToolSchema:
    """Raises `InvalidTool`, with the path of the field."""
    _measure(parameters)
    if not isinstance(parameters, dict):
        raise InvalidTool("must be a JSON schema of type object")
    translated = _Translation(parameters).all()
    least = shortest(translated.root, translated.definitions)
    if math.isinf(least):
        raise InvalidTool("refers to itself without an end: no arguments can fit")
    if least > MAX_LEAST:
        raise InvalidTool(f"asks for more than {MAX_LEAST} characters: no answer is so long")
    return translated


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        kept = ((key, inner) for key, inner in value.items() if key not in TEXTS or isinstance(inner, dict))
        return {key: inner if key == "enum" else _without_texts(inner) for key, inner in kept}
    return [*map(_without_texts, value)] if isinstance(value, list) else value


def _measure(value: Any) -> None:
    """Bounds everything that is walked later."""
    chars = parts = 0
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        value, depth = waiting.pop()
        parts += 1
        if depth > MAX_NESTING:
            raise InvalidTool(f"is nested more than {MAX_NESTING} deep")
        match value:
            case str():
                chars += len(value)
            case dict():
                chars += sum(map(len, value))
                waiting += [(inner, depth + 1) for inner in value.values()]
            case list():
                waiting += [(inner, depth + 1) for inner in value]
            case int() if not -(10**300) < value < 10**300:
                raise InvalidTool("has a number of more than 300 digits")
        if parts + len(waiting) > MAX_PARTS:
            raise InvalidTool(f"has more than {MAX_PARTS} parts")
        if chars > MAX_CHARS:
            raise InvalidTool(f"has more than {MAX_CHARS} characters")


class _Translation:
    """The schemas of one tool on their way into the grammar."""

    def __init__(self, parameters: Schema) -> None:
        self._whole = parameters
        self._names: dict[str, str] = {}  # of definitions, by the references to them
        self._waiting: list[str] = []  # references to definitions that are not translated yet
        self._depth = self._work = self._patterns = 0
        self._nothing = ""  # path of the last schema that allows nothing

    def all(self) -> ToolSchema:
        """The parameters, and all that they refer to."""
        root, definitions = self._root(), dict[str, Any]()
        while self._waiting:
            reference = self._waiting.pop()
            path = _path_of(reference)
            translated = self.schema(self._target(reference, path), path, closed=reference == "#")
            if translated is None:
                raise InvalidTool("allows nothing", self._nothing)
            definitions[self._names[reference]] = translated
        return ToolSchema(root, definitions)

    def _root(self) -> Schema:
        schema, path, seen = self._whole, "", set[str]()
        while isinstance(reference := schema.get("$ref"), str):
            if reference in seen:
                raise InvalidTool("refers to itself without an end", f"{path}.$ref")
            seen.add(reference)
            target, path = self._target(reference, f"{path}.$ref"), _path_of(reference)
            if not isinstance(target, dict):
                raise InvalidTool("must be a JSON schema of type object", path)
            schema = target
        types = _types(schema, path)
        if types and "object" not in types:
            raise InvalidTool(f"must be 'object', as arguments are: {_shown(schema['type'])}", f"{path}.type")
        translated = self.schema({**schema, "type": "object"}, path, closed=True)
        if translated is None:
            raise InvalidTool("allows nothing", self._nothing)
        return translated

    def schema(self, schema: Any, path: str, closed: bool = False) -> Schema | None:
        """The grammar's version; None for a schema that allows nothing. `closed`: an object has the properties that are
        described, and no others, unless it says more of them."""
        if schema is False:
            self._nothing = path
            return None
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise InvalidTool(f"is no JSON schema: {_shown(schema)}", path)
        self._go_deeper(path)
        translated = self._schema(schema, path, closed)
        self._depth -= 1
        return translated

    def _go_deeper(self, path: str) -> None:
        self._depth += 1
        self._work += 1
        if self._depth > MAX_DEPTH:
            raise InvalidTool(f"is a schema within more than {MAX_DEPTH} others", path)
        if self._work > MAX_WORK:
            raise InvalidTool(f"is the {MAX_WORK + 1}th schema, too many", path)

    def _schema(self, schema: Schema, path: str, closed: bool) -> Schema | None:
        types = _types(schema, path)
        if "$ref" in schema:
            return self._reference(schema, path)
        if "const" in schema or "enum" in schema:
            return self._values(schema, types, path)
        if "allOf" in schema:
            return self.schema(self._merged(schema, path), path, closed)
        for name in ("anyOf", "oneOf"):
            if name in schema:
                return self._alternatives(schema, name, path, closed)
        kinds = types or tuple({_IMPLYING[name]: None for name in schema if name in _IMPLYING})
        if not types and len(kinds) != 1:
            return {}
        return self._typed(schema, kinds, path, closed)

    def _typed(self, schema: Schema, kinds: tuple[str, ...], path: str, closed: bool) -> Schema | None:
        translated: Schema = {"type": kinds[0] if len(kinds) == 1 else [*kinds]}
        if "string" in kinds:
            translated |= self._string(schema, path)
        if "number" in kinds or "integer" in kinds:
            translated |= self._number(schema, path, whole="number" not in kinds)
        array = self._array(schema, path) if "array" in kinds else {}
        fields = self._object(schema, path, closed) if "object" in kinds else {}
        if len(kinds) == 1 and (array is None or fields is None):
            return None
        return translated | (array or {}) | (fields or {})

    # --- references ---------------------------------------------------------------------------------------------

    def _reference(self, schema: Schema, path: str) -> Schema:
        reference = schema["$ref"]
        if not isinstance(reference, str):
            raise InvalidTool(f"must be a text: {_shown(reference)}", f"{path}.$ref")
        if reference not in self._names:
            self._target(reference, f"{path}.$ref")
            self._names[reference] = f"d{len(self._names)}"
            self._waiting.append(reference)
        return {"$ref": f"#/$defs/{self._names[reference]}"}

    def _target(self, reference: str, path: str) -> Any:
        own = self._whole.get("$id")
        local = reference.removeprefix(own) if isinstance(own, str) and own else reference
        if not local.startswith("#"):
            raise InvalidTool(f"refers to another document: {_shown(reference)}", path)
        if local[1:] and not local.startswith("#/"):
            return self._anchored(local[1:], path)
        target: Any = self._whole
        for step in local[2:].split("/") if len(local) > 1 else ():
            step = step.replace("~1", "/").replace("~0", "~").replace("%24", "$").replace("%25", "%")
            inside = target.get(step) if isinstance(target, dict) else None
            if isinstance(target, list) and step.isdecimal() and int(step) < len(target):
                inside = target[int(step)]
            if inside is None:
                raise InvalidTool(f"refers to nothing: {_shown(reference)}", path)
            target = inside
        return target

    def _anchored(self, name: str, path: str) -> Any:
        waiting: list[Any] = [self._whole]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                if value.get("$anchor") == name or value.get("$id") == f"#{name}":
                    return value
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value
        raise InvalidTool(f"refers to nothing: {_shown(f'#{name}')}", path)

    # --- combinations -------------------------------------------------------------------------------------------

    def _merged(self, schema: Schema, path: str) -> Schema:
        """`allOf`: objects with all the properties; of others, the first that says something."""
        parts = _list_of(schema, "allOf", path)
        if not parts:
            raise InvalidTool("must not be empty", f"{path}.allOf")
        whole = {name: value for name, value in schema.items() if name != "allOf"}
        for place, part in enumerate(parts):
            where = f"{path}.allOf[{place}]"
            seen = set[str]()
            while isinstance(part, dict) and isinstance(part.get("$ref"), str) and part["$ref"] not in seen:
                seen.add(part["$ref"])
                part = self._target(part["$ref"], f"{where}.$ref")
            if not isinstance(part, dict | bool):
                raise InvalidTool(f"is no JSON schema: {_shown(part)}", where)
            whole = self._joined(whole, part if isinstance(part, dict) else {}, where)
        return whole

    def _joined(self, one: Schema, other: Schema, path: str) -> Schema:
        """What both ask for, as far as one schema can say it; else what `one` does."""
        self._go_deeper(path)
        if "allOf" in other:
            other = self._merged(other, path)
        joined = dict(one)
        for name, value in other.items():
            known = joined.setdefault(name, value)
            if name == "properties" and isinstance(known, dict) and isinstance(value, dict):
                joined[name] = {**known, **{key: inner for key, inner in value.items() if key not in known}}
            elif name == "required" and isinstance(known, list) and isinstance(value, list):
                joined[name] = [*known, *value]
        self._depth -= 1
        return joined

    def _alternatives(self, schema: Schema, name: str, path: str, closed: bool) -> Schema | None:
        parts = _list_of(schema, name, path)
        if not parts or len(parts) > MAX_ALTERNATIVES:
            raise InvalidTool(f"must have 1 to {MAX_ALTERNATIVES} alternatives, has {len(parts)}", f"{path}.{name}")
        base = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf") and key not in REMARKS}
        options = []
        for place, part in enumerate(parts):
            where = f"{path}.{name}[{place}]"
            if base and isinstance(part, dict):
                if isinstance(part.get("$ref"), str) and base.keys() - {"type"}:
                    part = {"allOf": [part]}
                if "$ref" not in part:
                    part = self._joined(part, base, where)
            options.append(self.schema(part, where, closed))
        kept = [option for option in options if option is not None]
        if not kept:
            return None
        return kept[0] if len(kept) == 1 else {"anyOf": kept}

    def _values(self, schema: Schema, types: tuple[str, ...], path: str) -> Schema | None:
        name = "const" if "const" in schema else "enum"
        values = [schema["const"]] if name == "const" else _list_of(schema, "enum", path)
        if not 0 < len(values) <= MAX_VALUES:
            raise InvalidTool(f"must have 1 to {MAX_VALUES} values, has {len(values)}", f"{path}.enum")
        fitting = [value for value in values if not types or _has_type(value, types)]
        if not fitting:
            raise InvalidTool(f"has no value of the type {_shown(schema['type'])}", f"{path}.{name}")
        return {"enum": fitting}

    # --- types ---------------------------------------------------------------------------------------------------

    def _string(self, schema: Schema, path: str) -> Schema:
        least, most = self._counts(schema, "minLength", "maxLength", MAX_LENGTH, path)
        pattern = schema.get("pattern")
        if pattern is not None:
            if not isinstance(pattern, str):
                raise InvalidTool(f"must be a text: {_shown(pattern)}", f"{path}.pattern")
            self._patterns += len(pattern)
            if self._patterns > MAX_PATTERNS:
                raise InvalidTool(f"exceeds {MAX_PATTERNS} characters of patterns in all", f"{path}.pattern")
            try:
                known = patterns.read(pattern)
            except InvalidPattern as problem:
                raise InvalidTool(f"{problem}: {_shown(pattern)}", f"{path}.pattern") from None
            if most is not None and known.least > most:
                raise InvalidTool(f"needs at least {known.least} characters, maxLength is {most}", f"{path}.pattern")
            return {"pattern": known.grammar}
        if schema.get("format") in FORMATS:
            return {"format": schema["format"]}
        translated: Schema = {"minLength": least} if least else {}
        if most is not None and most <= MAX_LENGTH:
            translated["maxLength"] = most
        return translated

    def _counts(self, schema: Schema, low: str, high: str, bound: int, path: str) -> tuple[int, int | None]:
        least, most = _count(schema, low, path) or 0, _count(schema, high, path)
        if least > bound:
            raise InvalidTool(f"is {least}, at most {bound} can be asked for", f"{path}.{low}")
        if most is not None and most < least:
            raise InvalidTool(f"is {least}, above {high}, which is {most}", f"{path}.{low}")
        return least, most

    def _number(self, schema: Schema, path: str, whole: bool) -> Schema:
        low, high, above, below = (_bound(schema, name, path) for name in BOUNDS)
        if schema.get("exclusiveMinimum") is True:  # a draft of 2013
            low, above = None, low
        if schema.get("exclusiveMaximum") is True:
            high, below = None, high
        divisor = schema.get("multipleOf")
        if divisor is not None and (isinstance(divisor, bool) or not isinstance(divisor, int | float) or divisor <= 0):
            raise InvalidTool(f"must be a number above 0: {_shown(divisor)}", f"{path}.multipleOf")
        if _is_empty(low, high, above, below, whole):
            name = next(name for name in (*BOUNDS[::2], *BOUNDS) if name in schema)
            raise InvalidTool("leaves no number below the upper bound", f"{path}.{name}")
        given = zip(BOUNDS, (low, high, above, below), strict=True)
        return {name: bound for name, bound in given if bound is not None and abs(bound) <= MAX_NUMBER}

    def _array(self, schema: Schema, path: str) -> Schema | None:
        least, most = self._counts(schema, "minItems", "maxItems", MAX_COUNT, path)
        first, rest = schema.get("prefixItems"), schema.get("items", True)
        place = "prefixItems"
        if isinstance(rest, list):  # a draft before 2020
            first, rest, place = rest, schema.get("additionalItems", True), "items"
        if first is not None and not isinstance(first, list):
            raise InvalidTool(f"must be a list of schemas: {_shown(first)}", f"{path}.prefixItems")
        if first and len(first) > MAX_COUNT:
            raise InvalidTool(f"has {len(first)} schemas, at most {MAX_COUNT} are allowed", f"{path}.{place}")
        prefix = [self.schema(one, f"{path}.{place}[{number}]") for number, one in enumerate(first or ())]
        item = self.schema(rest, f"{path}.items")
        possible = next((number for number, one in enumerate(prefix) if one is None), len(prefix))
        if possible < len(prefix) or item is None:
            most = possible if most is None else min(most, possible)
        if most is not None and most < least:
            self._nothing = path
            return None
        translated: Schema = {"prefixItems": prefix[:possible]} if possible else {}
        if item is not None:
            translated["items"] = item
        if least:
            translated["minItems"] = least
        if most is not None and most <= MAX_COUNT:
            translated["maxItems"] = most
        return translated

    def _object(self, schema: Schema, path: str, closed: bool) -> Schema | None:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict):
            raise InvalidTool(f"must be an object of schemas: {_shown(properties)}", f"{path}.properties")
        if len(properties) > MAX_PROPERTIES:
            raise InvalidTool(f"has {len(properties)}, at most {MAX_PROPERTIES} are allowed", f"{path}.properties")
        if isinstance(required, bool):  # a draft of 2010: of the property itself
            required = []
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise InvalidTool(f"must be a list of names: {_shown(required)}", f"{path}.required")
        self._counts(schema, "minProperties", "maxProperties", MAX_COUNT, path)
        others = schema.get("additionalProperties")
        fields = {name: self.schema(one, f"{path}.properties.{name}") for name, one in properties.items()}
        rest = self._others(schema, path, closed or bool(properties))
        for number, name in enumerate(dict.fromkeys(required)):
            if name in fields and fields[name] is not None:
                continue
            if name not in fields and others is not False:
                fields[name] = self.schema(others, f"{path}.additionalProperties") if isinstance(others, dict) else {}
                continue
            if name in fields:
                return None
            message = f"asks for {_shown(name)}, which is no property, and no others are allowed"
            raise InvalidTool(message, f"{path}.required[{number}]")
        return {
            "properties": {name: one for name, one in fields.items() if one is not None},
            "required": [*dict.fromkeys(required)],
            "additionalProperties": rest,
        }

    def _others(self, schema: Schema, path: str, closed: bool) -> Schema | bool:
        """Properties that are not described. Where the schema does not say, there are none beside those that are: names
        that a model makes up help nobody."""
        by_pattern, others = schema.get("patternProperties", {}), schema.get("additionalProperties")
        if not isinstance(by_pattern, dict):
            raise InvalidTool(f"must be an object of schemas: {_shown(by_pattern)}", f"{path}.patternProperties")
        named = [self.schema(one, f"{path}.patternProperties.{name}") for name, one in by_pattern.items()]
        if isinstance(others, dict):
            return self.schema(others, f"{path}.additionalProperties") or False
        if others is not None and not isinstance(others, bool):
            raise InvalidTool(f"is no JSON schema: {_shown(others)}", f"{path}.additionalProperties")
        if named and not others:
            return (named[0] or False) if len(named) == 1 else True
        return not closed if others is None else others


def _types(schema: Schema, path: str) -> tuple[str, ...]:
    """The types it names, in small letters; with "null" where it says so in OpenAPI's way."""
    named = schema.get("type")
    if named is None:
        return ()
    given = named if isinstance(named, list) else [named]
    if not given:
        raise InvalidTool("must not be empty", f"{path}.type")
    for one in given:
        if not isinstance(one, str) or one.lower() not in TYPES:
            raise InvalidTool(f"is no type of a JSON schema: {_shown(one)}", f"{path}.type")
    nullable = ["null"] if schema.get("nullable") is True else []
    return tuple(dict.fromkeys([*(one.lower() for one in given), *nullable]))


def _has_type(value: Any, types: tuple[str, ...]) -> bool:
    match value:
        case None:
            return "null" in types
        case bool():
            return "boolean" in types
        case int() | float():
            return "number" in types or ("integer" in types and float(value).is_integer())
        case str():
            return "string" in types
        case list():
            return "array" in types
    return "object" in types


def _list_of(schema: Schema, name: str, path: str) -> list[Any]:
    value = schema[name]
    if not isinstance(value, list):
        raise InvalidTool(f"must be a list: {_shown(value)}", f"{path}.{name}")
    return value


def _is_empty(low: float | None, high: float | None, above: float | None, below: float | None, whole: bool) -> bool:
    """Whether there is no number (no `whole` one) from `low` and above `above` to `high` and below `below`."""
    starts = [(bound, strict) for bound, strict in ((low, False), (above, True)) if bound is not None]
    ends = [(bound, not strict) for bound, strict in ((high, False), (below, True)) if bound is not None]
    if not starts or not ends:
        return False
    (start, open_start), (end, closed_end) = max(starts), min(ends)
    if whole:
        first = math.floor(start) + 1 if open_start else math.ceil(start)
        return first > (math.floor(end) if closed_end else math.ceil(end) - 1)
    return start > end or (start == end and (open_start or not closed_end))


def _count(schema: Schema, name: str, path: str) -> int | None:
    value = schema.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise InvalidTool(f"must be a whole number, 0 or more: {_shown(value)}", f"{path}.{name}")
    return int(value)


def _bound(schema: Schema, name: str, path: str) -> float | None:
    value = schema.get(name)
    if value is None or (isinstance(value, bool) and name.startswith("exclusive")):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTool(f"must be a number: {_shown(value)}", f"{path}.{name}")
    return value


def _path_of(reference: str) -> str:
    """The path of a definition: "#/$defs/City" -> ".$defs.City"."""
    return "".join(f".{step}" for step in reference.partition("#")[2].split("/") if step)


def _shown(value: Any) -> str:
    """A value in a message, not too long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
