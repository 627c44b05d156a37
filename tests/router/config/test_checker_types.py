"""Options may be of any type that msgspec knows, and of types of an author's own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec import inspect as mi

from hoonify_router.config.checker import INVALID, Checker
from hoonify_router.config.problems import Problems
from hoonify_router.config.yaml_source import read_yaml
from hoonify_router.errors import ConfigError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Circle(Struct, tag="circle", tag_field="shape"):
    radius: int


class Square(Struct, tag="square", tag_field="shape"):
    side: int


class Renamed(Struct, rename="kebab"):
    two_words: int


@dataclass
class Plain:
    name: str


def check(text: str, wanted: Any) -> tuple[Any, list[str]]:
    """Return what ``text`` is as ``wanted``, and the problems."""
    problems = Problems("x.yaml")
    node = read_yaml(f"v: {text}", {}, problems)
    assert node is not None
    kind = mi.type_info(msgspec.defstruct("Holder", [("v", wanted)]))
    value = Checker(problems).check(node, kind)
    try:
        problems.raise_if_any()
    except ConfigError as error:
        assert value is INVALID
        return None, error.problems
    return value.v, []


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        ("red", Colour, Colour.RED),
        ("[1, 2]", tuple[int, float], (1, 2.0)),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("[a, b]", set[str], {"a", "b"}),
        ("[a]", frozenset[str], frozenset("a")),
        ("{shape: square, side: 2}", Circle | Square, Square(2)),
        ("{two-words: 2}", Renamed, Renamed(2)),
        ("{name: x}", Plain, Plain("x")),
        ("./x", Path, Path("x")),
        ("{a: 1}", dict[str, int], {"a": 1}),
        ("{a: [1, x]}", Any, {"a": [1, "x"]}),
        ("[1]", int | list[int], [1]),
        ("1", float, 1.0),
        ("~", int | None, None),
    ],
)
def test_what_a_plugin_author_may_use_is_built(text: str, wanted: Any, value: Any) -> None:
    """Options may be of any type that msgspec knows, and some of an author's own."""
    assert check(text, wanted) == (value, [])


@pytest.mark.parametrize(
    ("text", "wanted", "line"),
    [
        ("rot", Colour, 'must be one of red, blue, got "rot"'),
        ("[1]", tuple[int, float], "must have 2 entries, has 1"),
        ("{shape: oval}", Circle | Square, "needs shape, one of circle, square"),
        ("{shape: square}", Circle | Square, "v.side: is required"),
        ("{radius: x}", Circle | Square, "needs shape, one of circle, square"),
        ("{two_words: 2}", Renamed, ""),
        ("{name: 3}", Plain, "Expected `str`, got `int`"),
        ("[]", int | str, "must be a whole number or a text, got a list"),
    ],
)
def test_what_is_wrong_there_is_told_too(text: str, wanted: Any, line: str) -> None:
    """Types that only msgspec knows give a line as well."""
    value, lines = check(text, wanted)
    assert value is None
    assert len(lines) == 1
    assert line in lines[0]
    assert lines[0].startswith("x.yaml:1: v")


def test_a_foreign_type_that_cannot_be_built_is_a_problem_not_a_crash() -> None:
    """A type of an author's own that refuses its text gives a line."""

    class Even:
        def __init__(self, value: int) -> None:
            if value % 2:
                raise ValueError(f"{value} is odd")

    assert check("3", Even) == (None, ["x.yaml:1: v: 3 is odd"])
