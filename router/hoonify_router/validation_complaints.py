"""What msgspec complains of, said in our words: which field, what may stand there, what did."""

from __future__ import annotations

import difflib
import re
from typing import Any, Literal, get_args, get_origin

from msgspec import Meta

from hoonify_router.errors import (
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    RouterError,
    UnknownParameter,
)
from hoonify_router.types.parameters import INT64
from hoonify_router.validation_hints import (
    ABSENT,
    ANY_KEY,
    Place,
    Step,
    choose,
    fields,
    first_offender,
    is_struct,
    locate,
    members,
    tag,
)
from hoonify_router.validation_shapes import NAME_PATTERN

_AT = re.compile(r" - at (`key` in )?`\$((?:\.\w+|\[\d+\]|\[\.\.\.\])*)`\Z")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_WRONG_TYPE = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?\Z")
_LENGTH = re.compile(r"Expected `(str|array|object)` of length [<>]= (\d+)")
_RANGE = re.compile(r"Expected `(?:int|float)` [<>]=? ")
_JSON_TYPES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_RULES = {NAME_PATTERN: "it must have 1 to 64 of the characters a-z, A-Z, 0-9, _ and -"}
_LONGEST_PARAM = 200


def explain(complaint: str, hint: Any, value: Any = ABSENT, path: str = "") -> RouterError:
    """Return our error for what msgspec complains of in something that is JSON.

    Args:
        complaint: Its message.
        hint: The type that was asked for.
        value: What was given, as plain JSON values, if it can be had.
        path: Name of that value where it is a part of a request.
    """
    in_key = False
    steps: list[Step] = []
    if at := _AT.search(complaint):
        in_key = at[1] is not None
        steps = [_step(found) for found in _STEP.finditer(at[2])]
        complaint = complaint[: at.start()]
    place = locate(hint, value, steps, path)
    if in_key:
        place = _offending_key(place)
    if missing := _MISSING.match(complaint):
        return missing_parameter(_join(place.path, missing[1]))
    if complaint.startswith("Object contains unknown field"):
        return _unknown(place) or _unknown(Place(path, hint, value)) or _unclear(place)
    if _RANGE.match(complaint):
        return impossible(place.path, _range(place))
    if length := _LENGTH.match(complaint):
        return impossible(place.path, _length(length[1], place))
    if wrong := _WRONG_TYPE.match(complaint):
        return wrong_type(place.path, _type_names(wrong[1]), wrong[2])
    if complaint.startswith("Expected `str` matching regex"):
        rules = [_RULES.get(meta.pattern or "") for meta in _limits(place)]
        rule = next((rule for rule in rules if rule), "it has characters that it may not")
        return impossible(place.path, rule)
    if complaint.startswith(("Invalid enum value", "Invalid value")):
        return impossible(
            place.path, _words(place, locate(hint, value, steps[:-1])) + _but(place.value)
        )
    if complaint.startswith(("Number out of range", "Integer value out of range")):
        if not place.path:
            return wrong_type("", "an object", "float")
        return impossible(place.path, "it is too large")
    return _unclear(place)


def missing_parameter(param: str) -> MissingParameter:
    """Return the error for a required field that is not there."""
    return MissingParameter(f"Missing required parameter: '{param}'.", param=param)


def wrong_type(param: str, expected: str, got: str | None = None) -> InvalidType:
    """Return the error for a value of another JSON type.

    Args:
        param: Path of the field; empty for the whole body.
        expected: What may stand there.
        got: What does, in msgspec's word for it.
    """
    but = "" if got is None else f", but got {_JSON_TYPES.get(got, got)}"
    if not param:
        return InvalidType(f"The body must be a JSON object{but.replace('but got', 'not')}.")
    param = param[:_LONGEST_PARAM]
    return InvalidType(f"Invalid type for '{param}': expected {expected}{but}.", param=param)


def impossible(param: str, why: str) -> InvalidValue:
    """Return the error for a value that cannot be."""
    param = param[:_LONGEST_PARAM]
    return InvalidValue(f"Invalid value for '{param}': {why}.", param=param)


def _unclear(place: Place) -> InvalidRequest:
    """Return the error for a complaint in words that are not known here."""
    what = f"'{place.path}'" if place.path else "The body"
    return InvalidRequest(f"{what} is not valid.", param=place.path or None)


def _step(found: re.Match[str]) -> Step:
    if found[1] is not None:
        return found[1]
    return ANY_KEY if found[2] is None else int(found[2])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _limits(place: Place) -> tuple[Meta, ...]:
    return choose(place.hint, place.value)[1]


def _offending_key(place: Place) -> Place:
    """Return the place of the first key that its mapping does not allow."""
    meant, _ = choose(place.hint, place.value)
    if isinstance(place.value, dict) and get_origin(meant) is dict:
        hint = get_args(meant)[0]
        keys = list(place.value)
        at = first_offender(hint, keys)
        if at is not None:
            return Place(_join(place.path, keys[at]), hint, keys[at])
    return place


def _unknown(place: Place) -> UnknownParameter | None:
    """Return the error for the first unknown key of an object.

    The complaint is not asked for it: a key may look like the end of a complaint.
    """
    kind, _ = choose(place.hint, place.value)
    if not is_struct(kind) or not isinstance(place.value, dict):
        return None
    own = tag(kind)
    known = [*fields(kind), *([own[0]] if own else [])]
    name = next((key for key in place.value if key not in known), None)
    if name is None:
        return None
    param = _join(place.path, name)[:_LONGEST_PARAM]
    close = difflib.get_close_matches(name[:_LONGEST_PARAM], known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return UnknownParameter(f"Unknown parameter: '{param}'.{hint}", param=param)


def _type_names(union: str) -> str:
    """Return what may stand there, for people; ``null`` stands for a field that is left out."""
    names = [name for name in union.split(" | ") if name != "null"] or ["null"]
    return " or ".join(_JSON_TYPES.get(name, name) for name in names)


def _range(place: Place) -> str:
    low: float | None = None
    high: float | None = None
    over = False
    for meta in _limits(place):
        low = low if meta.ge is None else meta.ge
        high = high if meta.le is None else meta.le
        if meta.gt is not None:
            low, over = meta.gt, True
    if high == INT64:
        value = place.value
        if isinstance(value, int) and value > INT64:
            return "it is too large"
        if low == -INT64 - 1:
            return "it must fit into 64 bits"
        high = None
    start = f"over {low:g} and at most" if over else f"from {low} to"
    rule = f"it must be {low} or more" if high is None else f"it must be {start} {high}"
    return rule + _but(place.value)


def _length(what: str, place: Place) -> str:
    high = next((m.max_length for m in _limits(place) if m.max_length is not None), None)
    given = len(place.value) if isinstance(place.value, (str, list, dict)) else None
    if high is None or given == 0:
        return "it must not be empty"
    things = {"str": "characters", "array": "items", "object": "entries"}[what]
    return f"at most {high} {things} are allowed" + ("" if given is None else f", not {given}")


def _words(place: Place, holder: Place) -> str:
    """Return which words a field may have; one that tells shapes apart is no field of theirs."""
    literals = [one for one, _ in members(place.hint) if get_origin(one) is Literal]
    words = [str(word) for one in literals for word in get_args(one)]
    if words and any(one is dict or get_origin(one) is dict for one, _ in members(place.hint)):
        words.append("or an object")
    if not words:
        tags = [tag(one) for one, _ in members(holder.hint) if is_struct(one)]
        words = [str(told[1]) for told in tags if told is not None]
    return (
        f"it must be one of {', '.join(words)}" if words else "it is none of the values it may have"
    )


def _but(value: Any) -> str:
    """Return what was given, if it is short and plain."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, (int, float)):
        return f", not {value}" if len(str(value)) <= 24 else ""
    if isinstance(value, str) and len(value) <= 40 and value.isprintable():
        return f", not '{value}'"
    return ""
