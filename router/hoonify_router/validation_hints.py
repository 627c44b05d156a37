"""A look at values beside the type hints of the structures that should hold them: which place is meant?"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

ABSENT: Any = object()
"""Stands for a value that could not be found again."""

ANY_KEY = "..."
"""A step of a path that msgspec keeps to itself: some key of a mapping."""

Step = str | int


class Place(NamedTuple):
    """A place in a request.

    Args:
        path: Its name, such as ``messages[1].content``.
        hint: The type that may stand there, ``Any`` where nothing is asked for.
        value: What a body has there, or ``ABSENT``.
    """

    path: str
    hint: Any
    value: Any


def locate(hint: Any, value: Any, steps: Sequence[Step], path: str = "") -> Place:
    """Return the place that ``steps`` lead to, with the keys that they leave out.

    Args:
        hint: The type of the whole.
        value: The whole, as JSON has it.
        steps: Names of fields, numbers of items, and ``ANY_KEY`` for an entry that offends.
        path: Name of the whole, where it is a part of something itself.
    """
    for step in steps:
        meant, _ = choose(hint, value)
        if step == ANY_KEY:
            hint = get_args(meant)[1] if get_origin(meant) is dict else Any
            key = _offending_key(hint, value)
            if key is None:
                return Place(path, Any, ABSENT)
            value = value[key]
            path += f".{key}"
        elif isinstance(step, int):
            hint = get_args(meant)[0] if get_origin(meant) is list else Any
            value = value[step] if isinstance(value, list) and step < len(value) else ABSENT
            path += f"[{step}]"
        else:
            hint = fields(meant).get(step, Any) if is_struct(meant) else Any
            value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
            path = f"{path}.{step}" if path else step
    return Place(path, hint, value)


def is_struct(hint: Any) -> bool:
    """Tell whether a hint is a structure."""
    return isinstance(hint, type) and issubclass(hint, Struct)


@cache
def fields(kind: type[Struct]) -> dict[str, Any]:
    """Return the hints of a structure's fields, by their names in JSON."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: hints[own]
        for own, name in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    }


def members(hint: Any, limits: tuple[Meta, ...] = ()) -> Iterator[tuple[Any, tuple[Meta, ...]]]:
    """Yield the types that a hint stands for, each with what ``Annotated`` says of it."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *notes = get_args(hint)
        metas = tuple(note for note in notes if isinstance(note, Meta))
        yield from members(inner, limits + metas)
    elif origin is Union or origin is types.UnionType:
        for one in get_args(hint):
            yield from members(one, limits)
    else:
        yield hint, limits


def choose(hint: Any, value: Any) -> tuple[Any, tuple[Meta, ...]]:
    """Return the one of a hint's types that ``value`` is taken for, else the first."""
    several = list(members(hint))
    for one, limits in several:
        if _may_be(one, value):
            return one, limits
    return several[0]


def tag(kind: type[Struct]) -> tuple[str, Any] | None:
    """Return the field that tells a structure apart, and what it says, if it has one."""
    config = kind.__struct_config__
    return None if config.tag_field is None else (config.tag_field, config.tag)


def _may_be(hint: Any, value: Any) -> bool:
    if is_struct(hint):
        told = tag(hint)
        return isinstance(value, dict) and (told is None or value.get(told[0]) == told[1])
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return isinstance(value, str)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    kind = origin or hint
    return isinstance(kind, type) and isinstance(value, kind)


def _offending_key(hint: Any, value: Any) -> str | None:
    """Return the key of the first entry that is not of the hinted type."""
    if not isinstance(value, dict):
        return None
    at = first_offender(hint, list(value.values()))
    return None if at is None else list(value)[at]


def first_offender(hint: Any, values: list[Any]) -> int | None:
    """Return which of some values is the first that is not of the hinted type.

    It halves them again and again: a client may have sent a million, and each try has its price.
    """
    low, high = 0, len(values)
    if not offends(_list_of(hint), values):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if offends(_list_of(hint), values[low:middle]):
            high = middle
        else:
            low = middle
    return low


def _list_of(hint: Any) -> Any:
    return Any if hint is Any else list[hint]


def offends(hint: Any, entry: Any) -> bool:
    """Tell whether a value is not of the hinted type; of any type, whether it holds what is no number."""
    if hint is Any:
        return any(isinstance(leaf, float) and math.isinf(leaf) for leaf in leaves(entry))
    try:
        msgspec.convert(entry, hint)
    except msgspec.ValidationError:
        return True
    return False


def leaves(value: Any) -> Iterator[Any]:
    """Yield what is neither list nor mapping in a JSON value, in no special order."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        else:
            yield one
