"""Check single values: numbers, texts, choices, durations, and types that only msgspec knows."""

from __future__ import annotations

import datetime
import decimal
import math
import re
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect as mi

from hoonify_router.config.nodes import Node, ScalarNode
from hoonify_router.config.problems import closest, listed, shown
from hoonify_router.config.readers import READERS
from hoonify_router.config.scalars import read_scalar

_LARGEST = 2**63 - 1
_FOREIGN: dict[type[mi.Type], type] = {
    mi.BytesType: bytes,
    mi.DateType: datetime.date,
    mi.DateTimeType: datetime.datetime,
    mi.TimeType: datetime.time,
    mi.TimeDeltaType: datetime.timedelta,
    mi.DecimalType: decimal.Decimal,
    mi.UUIDType: uuid.UUID,
}


class Wrong(Exception):
    """A value is not what its type wants; the message is the problem's text."""


def not_a(wanted: str, node: Node, hint: str = "") -> Wrong:
    """Return the usual error: what is wanted and what stands there."""
    return Wrong(f"must be {wanted}, got {shown(node)}{hint}")


def read_leaf(node: Node, kind: mi.Type) -> Any:
    """Return the value of ``node`` as ``kind`` wants it.

    Raises:
        Wrong: It cannot be that.
    """
    match kind:
        case mi.StrType():
            return _text(node, kind)
        case mi.BoolType():
            return _typed(node, bool, "true or false")
        case mi.IntType():
            return _in_range(node, _typed(node, int, "a whole number"), kind)
        case mi.FloatType():
            return _in_range(node, _finite(node), kind)
        case mi.LiteralType(values=values):
            return _choice(node, values)
        case mi.EnumType(cls=cls):
            return cls(_choice(node, [member.value for member in cls]))
        case mi.NoneType():
            return _typed(node, type(None), "empty")
    return _foreign(node, kind)


def read_time(node: Node, way: str, kind: mi.Type) -> Any:
    """Return a time as the number that ``kind`` wants; a text is read in the ``way`` named.

    Raises:
        Wrong: It is no such time, or one out of range.
    """
    read, wanted = READERS[way]
    value = _scalar(node)
    number = read(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
        raise not_a(wanted, node)
    if not math.isfinite(number) or number > _LARGEST:
        raise not_a(f"{wanted}, of a sane size", node)
    if isinstance(kind, mi.IntType):
        if number != int(number):
            raise not_a(wanted, node)
        return _in_range(node, int(number), kind)
    return _in_range(node, float(number), kind) if isinstance(kind, mi.FloatType) else number


def refusal(error: Exception, node: Node) -> str:
    """Return what foreign code says about the values of ``node``, unless it might quote a secret."""
    if any(isinstance(inner, ScalarNode) and inner.from_env for inner in node.walk()):
        return "is refused; the reason is not shown, it might quote the environment"
    return re.sub(r" - at `\$.*`$", "", str(error)) or "is refused"


def _scalar(node: Node) -> Any:
    """Return the scalar's value; what the environment filled in counts as unquoted YAML."""
    if not isinstance(node, ScalarNode):
        return node
    if node.from_env and isinstance(node.value, str):
        return read_scalar(node.value.strip())
    return node.value


def _typed(node: Node, wanted: type, name: str) -> Any:
    value = _scalar(node)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise not_a(name, node)
    return value


def _finite(node: Node) -> float:
    value = _scalar(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise not_a("a number", node)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise not_a("a smaller number", node)
    if not math.isfinite(value):
        raise not_a("a finite number", node)
    return float(value)


def _in_range(node: Node, value: float, kind: mi.IntType | mi.FloatType) -> float:
    if kind.ge is not None and value < kind.ge:
        raise not_a(f"at least {kind.ge}", node)
    if kind.gt is not None and value <= kind.gt:
        raise not_a(f"more than {kind.gt}", node)
    if kind.le is not None and value > kind.le:
        raise not_a(f"at most {kind.le}", node)
    if kind.lt is not None and value >= kind.lt:
        raise not_a(f"less than {kind.lt}", node)
    if kind.multiple_of is not None and value % kind.multiple_of:
        raise not_a(f"a multiple of {kind.multiple_of}", node)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise not_a("a smaller number", node)
    return value


def _text(node: Node, kind: mi.StrType) -> str:
    value = node.value if isinstance(node, ScalarNode) else node
    if not isinstance(value, str):
        quotable = isinstance(value, bool | int | float)
        raise not_a("a text", node, "; put it in quotes" if quotable else "")
    if kind.min_length is not None and len(value) < kind.min_length:
        if kind.min_length == 1:
            raise Wrong("must not be empty")
        raise Wrong(f"must have at least {kind.min_length} characters, has {len(value)}")
    if kind.max_length is not None and len(value) > kind.max_length:
        raise Wrong(f"must have at most {kind.max_length} characters, has {len(value)}")
    if kind.pattern is not None and not re.search(kind.pattern, value):
        raise not_a(f"a text that matches {kind.pattern}", node)
    return value


def _choice(node: Node, values: Iterable[Any]) -> Any:
    choices = list(values)
    for given in (node.value if isinstance(node, ScalarNode) else node, _scalar(node)):
        for value in choices:
            if type(value) is type(given) and value == given:
                return value
    names = [str(value) for value in choices]
    hint = ""
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and not node.from_env:
        guess = closest(node.value, names)
        hint = f", did you mean {guess}?" if guess else ""
    wanted = f"one of {listed(names)}" if len(names) > 1 else names[0]
    raise not_a(wanted, node, hint)


def _foreign(node: Node, kind: mi.Type) -> Any:
    """Let msgspec convert a date, a dataclass, or a type of somebody's own that takes one text."""
    cls = getattr(kind, "cls", None) or _FOREIGN.get(type(kind))
    if cls is None:
        return node.plain()
    try:
        return msgspec.convert(node.plain(), cls, dec_hook=lambda wanted, value: wanted(value))
    except (ValueError, TypeError) as error:
        raise Wrong(refusal(error, node)) from None
