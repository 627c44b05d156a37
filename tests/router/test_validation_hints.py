"""Where in a request a complaint belongs, keys included that msgspec keeps to itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import pytest
from msgspec import Meta

from hoonify_router import validation_hints as hints
from hoonify_router.types import ChatRequest, ImagePart, Message, StreamOptions
from hoonify_router.validation_hints import (
    ABSENT,
    ANY_KEY,
    choose,
    fields,
    first_offender,
    is_struct,
    leaves,
    locate,
    members,
    offends,
    tag,
)

BODY: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]},
    ],
    "logit_bias": {"1": 1, "2": 101, "3": 102},
    "chat_template_kwargs": {"a": {"b": [1, {"c": float("inf")}]}},
}

PLACES: list[tuple[list[str | int], str, Any]] = [
    ([], "", BODY),
    (["messages", 0, "content"], "messages[0].content", "hi"),
    (
        ["messages", 1, "content", 0, "image_url", "url"],
        "messages[1].content[0].image_url.url",
        "u",
    ),
    (["messages", 7, "content"], "messages[7].content", ABSENT),
    (["logit_bias", ANY_KEY], "logit_bias.2", 101),
    (["user"], "user", ABSENT),
    (
        ["chat_template_kwargs", ANY_KEY, ANY_KEY, 1, ANY_KEY],
        "chat_template_kwargs.a.b[1].c",
        float("inf"),
    ),
    (["metadata", ANY_KEY], "metadata", ABSENT),
]


@pytest.mark.parametrize(("steps", "path", "value"), PLACES)
def test_a_place_is_found_with_its_name_and_value(
    steps: list[str | int], path: str, value: Any
) -> None:
    """Of a mapping the first entry that offends is meant."""
    place = locate(ChatRequest, BODY, steps)
    assert place.path == path
    assert place.value is value or place.value == value


def test_a_place_in_a_part_is_named_after_the_whole() -> None:
    """Objects that are checked by themselves have a name in the request."""
    assert locate(list[Message], [{}], [0, "role"], "messages").path == "messages[0].role"


def test_the_type_that_is_meant_is_told_by_the_value() -> None:
    """The JSON type decides, among objects the tag; a value that fits none means the first."""
    content = fields(Message)["content"]
    assert choose(content, "hi")[0] is str
    assert choose(content, 5)[0] is str
    parts, limits = choose(content, [])
    assert [meta.min_length for meta in limits] == [None, 1]
    assert choose(get_args(parts)[0], {"type": "image_url"})[0] is ImagePart
    assert choose(int | float, 0.5)[0] is float
    assert choose(int | bool, True)[0] is bool
    assert choose(Literal["a"] | dict[str, Any], "b")[0] == Literal["a"]


def test_structures_are_told_apart() -> None:
    """By their tags, if they have any."""
    assert tag(ImagePart) == ("type", "image_url")
    assert tag(StreamOptions) is None
    assert is_struct(StreamOptions)
    assert not is_struct(list[StreamOptions])


def test_limits_around_a_union_hold_for_each_of_its_types() -> None:
    """And each has its own besides."""
    outer, inner = Meta(description="x"), Meta(ge=1)
    assert list(members(Annotated[Annotated[int, inner] | None, outer])) == [
        (int, (outer, inner)),
        (type(None), (outer,)),
    ]


def test_what_offends() -> None:
    """A value of another type or out of range; of any type only what is no number."""
    assert offends(Annotated[float, Meta(le=5)], 6)
    assert offends(str, 6)
    assert not offends(Annotated[float, Meta(le=5)], 5)
    assert offends(Any, [{"a": float("-inf")}])
    assert not offends(Any, [{"a": 1e300}, None, "inf"])


@pytest.mark.parametrize("bad", [[0], [7], [99], [3, 50], []])
def test_the_first_that_offends_is_found(bad: list[int]) -> None:
    """Wherever it stands, and whatever comes after it."""
    numbers = [101 if place in bad else 5 for place in range(100)]
    hint = Annotated[int, Meta(le=100)]
    assert first_offender(hint, numbers) == (bad[0] if bad else None)
    infinite = [float("inf") if place in bad else 5 for place in range(100)]
    assert first_offender(Any, infinite) == (bad[0] if bad else None)


def test_one_bad_entry_of_many_is_found_with_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a hundred thousand must not stop the router for long."""
    tries = []
    monkeypatch.setattr(hints, "offends", lambda *asked: tries.append(1) or offends(*asked))
    assert first_offender(str, ["x"] * 99_999 + [5]) == 99_999
    assert len(tries) < 30


def test_leaves_lie_at_any_depth() -> None:
    """However deep: no recursion is needed."""
    deep: Any = 5
    for _ in range(5000):
        deep = [deep]
    assert list(leaves(deep)) == [5]
    assert sorted(leaves({"a": [1, {"b": 2}], "c": 3})) == [1, 2, 3]
