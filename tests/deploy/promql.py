"""As much of PromQL as it takes to see what an expression asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

_METRIC = re.compile(r"\b(?:hoonify|gen_ai)_\w+")
_SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Asked:
    """What an expression asks for.

    Args:
        metrics: Names of series.
        grouping: Labels that it groups or joins by.
        matchers: ``(series, label, operator, value)``.
    """

    metrics: frozenset[str]
    grouping: frozenset[str]
    matchers: tuple[tuple[str, str, str, str], ...]


def read(expression: str) -> Asked:
    """Return what an expression asks for."""
    assert expression.count("(") == expression.count(")"), expression
    grouping = {
        label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")
    }
    matchers = tuple(
        (series, *matcher)
        for series, body in _SELECTOR.findall(expression)
        for matcher in _MATCHER.findall(body)
    )
    bare = _GROUPING.sub("", _SELECTOR.sub(r"\1", expression))
    return Asked(frozenset(_METRIC.findall(bare)), frozenset(grouping), matchers)
