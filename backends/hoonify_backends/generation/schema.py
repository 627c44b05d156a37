"""JSON schemas as clients send them: what they may say, and how they are made ready for the grammar.

llguidance follows a schema exactly or says that it cannot, with exceptions that this module closes: it takes
an unknown keyword for an annotation, knows fewer keywords under an old ``$schema``, lets ``x-guidance`` switch
its checks off, reads numbers as floating point, and compiles a recursion that never ends.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NoReturn, TypeGuard

from hoonify_backends.generation.schema_formats import FORMATS, NARROWED
from hoonify_backends.generation.schema_graph import ending, ends, followed, told_apart
from hoonify_router.errors import InvalidRequest

_MOST_CHARACTERS = 256 * 1024
_MOST_SCHEMAS = 2_000
_DEEPEST = 60  # the library's own reader ends at 128, and a grammar nests a schema a little deeper
_EXACT = 2**53  # integers beyond it are not exact as floating point
_BESIDE = 1e-9  # how far a number stays off a bound that is excluded
_MOST_MULTIPLE = 10_000  # the work grows with the factor: 10 ms here, 7 s and 400 MB at a million

_UNWRITTEN = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")  # no short escape, and we have no other
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties", "additionalItems"})
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_VALUES = _NUMBERS | {
    "$ref",
    "const",
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
    "pattern",
    "required",
    "type",
}
_ANNOTATIONS = frozenset(
    {
        "$comment",
        "$schema",
        "default",
        "deprecated",
        "description",
        "discriminator",  # OpenAPI: says which keyword of the alternatives tells them apart
        "example",
        "examples",
        "externalDocs",
        "readOnly",
        "title",
        "writeOnly",
    }
)
_KNOWN = _MAPS | _LISTS | _SINGLE | _VALUES
_REFUSED = frozenset(
    {
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$recursiveAnchor",
        "$recursiveRef",
        "$vocabulary",
        "contains",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "id",
        "if",
        "maxContains",
        "minContains",
        "not",
        "nullable",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
        "x-guidance",
    }
)


def read_schema(schema: Mapping[str, Any], param: str) -> dict[str, Any]:
    """Return a client's schema without its annotations, ready for the grammar.

    Args:
        schema: A JSON schema.
        param: Where in the request it stands.

    Raises:
        InvalidRequest: It says something that cannot be honoured exactly.
    """
    return _Reader(schema, param).read()


def refuse_schema(param: str, why: str) -> NoReturn:
    """Refuse a schema that cannot be used.

    Raises:
        InvalidRequest: Always.
    """
    raise InvalidRequest(f"Invalid schema for '{param}': {why}", param=param)


class _Reader:
    """Reads one schema."""

    def __init__(self, schema: Mapping[str, Any], param: str) -> None:
        self._given = schema
        self._param = param
        self._schemas = 0
        self._references: dict[str, str] = {}  # where each leads, and where it first stands
        self._alternatives: list[dict[str, Any]] = []  # schemas with oneOf
        self._root: dict[str, Any] = {}
        self._made: set[int] = set()  # all schemas, by identity

    def read(self) -> dict[str, Any]:
        try:
            size = len(json.dumps(self._given))
        except RecursionError:
            self._refuse("", f"it is nested over {_DEEPEST} levels deep.")
        if size > _MOST_CHARACTERS:
            self._refuse("", f"it has over {_MOST_CHARACTERS} characters.")
        given = {key: value for key, value in self._given.items() if key not in ("$id", "id")}
        self._root = self._schema(given, "", 1)
        targets = {
            reference: self._resolve(reference, path)
            for reference, path in self._references.items()
        }
        for holder in self._alternatives:
            if told_apart([followed(option, targets) for option in holder["oneOf"]]):
                items = list(holder.items())  # in their order, which is the order of the properties
                holder.clear()
                holder.update(("anyOf" if key == "oneOf" else key, value) for key, value in items)
        if targets and not ends(self._root, ending(targets)):
            self._refuse("", "no value can satisfy it, because its references never end.")
        return self._root

    def _refuse(self, path: str, why: str) -> NoReturn:
        refuse_schema(self._param, f"at '{path}', {why}" if path else why)

    def _schema(self, given: Any, path: str, depth: int) -> Any:
        """Return one schema of the whole; ``path`` says where it stands."""
        if isinstance(given, bool):
            return given
        if not isinstance(given, dict):
            self._refuse(path, "a schema must be an object or a boolean.")
        self._schemas += 1
        if self._schemas > _MOST_SCHEMAS:
            self._refuse("", f"it holds over {_MOST_SCHEMAS} schemas.")
        if depth > _DEEPEST:
            self._refuse("", f"it is nested over {_DEEPEST} levels deep.")
        plain: dict[str, Any] = {}
        for key, value in given.items():
            where = f"{path}/{key}"
            if key in _MAPS:
                if not isinstance(value, dict):
                    self._refuse(where, "it must be an object.")
                plain[key] = {
                    name: self._schema(inner, f"{where}/{name}", depth + 2)
                    for name, inner in value.items()
                }
            elif key in _LISTS or (key == "items" and isinstance(value, list)):
                if not isinstance(value, list):
                    self._refuse(where, "it must be an array.")
                plain[key] = [
                    self._schema(inner, f"{where}/{place}", depth + 2)
                    for place, inner in enumerate(value)
                ]
            elif key in _SINGLE:
                plain[key] = self._schema(value, where, depth + 1)
            elif key in _VALUES:
                self._check_value(key, value, where)
                plain[key] = value
            else:
                self._check_ignored(key, value, path)
        if narrowed := NARROWED.get(plain.get("format", "")):
            del plain["format"]
            plain["allOf"] = [*plain.get("allOf", ()), {"pattern": narrowed}]
        if "minProperties" in plain:
            self._check_count(plain, path)
        _leave_out_bounds(plain)
        if "oneOf" in plain and "anyOf" not in plain:
            self._alternatives.append(plain)
        self._made.add(id(plain))
        return plain

    def _check_ignored(self, key: str, value: Any, path: str) -> None:
        """Refuse a keyword unless it is one that constrains nothing."""
        if key in _ANNOTATIONS or (key.startswith("x-") and key != "x-guidance"):
            return
        if key == "nullable":
            if value is False:
                return
            self._refuse(path, "the keyword 'nullable' is not supported; add \"null\" to 'type'.")
        if key in _REFUSED:
            self._refuse(path, f"the keyword '{key}' is not supported.")
        close = difflib.get_close_matches(key, sorted(_KNOWN), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else "."
        self._refuse(path, f"the keyword '{key[:100]}' is not known{hint}")

    def _check_value(self, key: str, value: Any, path: str) -> None:
        if key in _NUMBERS:
            self._check_exact(value, path)
        elif key in ("const", "enum"):
            if key == "enum" and not isinstance(value, list):
                self._refuse(path, "it must be an array.")
            for leaf in _leaves(value):
                if isinstance(leaf, str) and _UNWRITTEN.search(leaf):
                    self._refuse(path, "a control character in it cannot be written.")
                self._check_exact(leaf, path)
        elif key == "multipleOf":
            self._check_multiple(value, path)
        elif key == "format":
            if not isinstance(value, str) or value not in FORMATS:
                formats = ", ".join(sorted(FORMATS))
                self._refuse(path, f"this format is not supported; those that are: {formats}.")
        elif key in ("type", "required"):
            names = [value] if key == "type" and isinstance(value, str) else value
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                self._refuse(path, "it must hold strings.")
        elif key == "$ref":
            if not isinstance(value, str) or (value != "#" and not value.startswith("#/")):
                self._refuse(path, "only references within the schema, such as '#/$defs/…', work.")
            self._references.setdefault(value, path)

    def _check_exact(self, number: Any, path: str) -> None:
        if isinstance(number, (int, float)) and abs(number) > _EXACT:
            self._refuse(path, "numbers beyond 2^53 cannot be honoured exactly.")

    def _check_multiple(self, value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            self._refuse(path, "it must be a number over 0.")
        factor = Decimal(str(value)).normalize().as_tuple()
        digits = int("".join(map(str, factor.digits)))
        shift = factor.exponent if isinstance(factor.exponent, int) else 0
        if digits * 10 ** min(max(0, shift), 9) > _MOST_MULTIPLE or shift < -9:
            self._refuse(path, f"a multiple of {value} is too costly to follow.")

    def _check_count(self, plain: Mapping[str, Any], path: str) -> None:
        """Refuse to count properties without fixed names: nothing keeps those from coming twice."""
        least, required = plain["minProperties"], plain.get("required", ())
        if isinstance(least, int) and least > len(set(required)) + 1:
            self._refuse(
                f"{path}/minProperties",
                "only one property more than those in 'required' can be asked for.",
            )

    def _resolve(self, reference: str, path: str) -> Any:
        """Return the schema that a reference leads to."""
        found: Any = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                found = found[name]
            else:
                self._refuse(path, f"there is no schema at '{reference[:200]}'.")
        if found is not True and found is not False and id(found) not in self._made:
            self._refuse(path, f"there is no schema at '{reference[:200]}'.")
        return found


def _leave_out_bounds(plain: dict[str, Any]) -> None:
    """Write a whole number that a number must stay off as a bound beside it, where the interval is narrow.

    llguidance 1.9 lets an excluded whole number through if the other bound is less than one away, as in
    ``0 < x <= 0.5``.
    """
    low, high = plain.get("exclusiveMinimum"), plain.get("exclusiveMaximum")
    top = min(_numbers(plain, "maximum", "exclusiveMaximum"), default=math.inf)
    bottom = max(_numbers(plain, "minimum", "exclusiveMinimum"), default=-math.inf)
    if _is_whole(low) and low == bottom and low < top < low + 1:
        del plain["exclusiveMinimum"]
        plain["minimum"] = min(max(low + _BESIDE, math.nextafter(low, top)), (low + top) / 2)
    if _is_whole(high) and high == top and high - 1 < bottom < high:
        del plain["exclusiveMaximum"]
        plain["maximum"] = max(
            min(high - _BESIDE, math.nextafter(high, bottom)), (high + bottom) / 2
        )


def _numbers(plain: Mapping[str, Any], *keys: str) -> Iterator[float]:
    found = (plain.get(key) for key in keys)
    return (one for one in found if isinstance(one, (int, float)) and not isinstance(one, bool))


def _is_whole(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and value is not True and float(value).is_integer()


def _leaves(value: Any) -> Iterator[Any]:
    """Yield everything in a JSON value that holds nothing else; not the names of properties."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
