"""Images and the tokens that stand for them: looked at once, in their order, and in their places."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.backends.generation.vocabularies import byte_level
from tests.backends.images import about, part, plain

from hoonify_backends.generation.sight import ImageMarks, Seen, Sight
from hoonify_router.errors import InvalidRequest, InvalidValue
from hoonify_router.types import ChatRequest, ImagePart

FIRST = 1_000_000


class Tower:
    """Tells colours: two tokens for each image, which are its own."""

    around = ""

    def __init__(self) -> None:
        self.looked: list[tuple[int, ...]] = []

    def look(self, image: Any) -> Seen:
        self.looked.append(image.getpixel((0, 0)))
        first = FIRST + 10 * len(self.looked)
        return Seen(self.looked[-1], lambda place: [first, first + 1], 100)


async def call(what: Callable[[], Seen]) -> Seen:
    await asyncio.sleep(0)
    return what()


def asked(*images: ImagePart) -> ChatRequest:
    return ChatRequest("m", about("What?", *images))


async def look(sight: Sight, *images: ImagePart) -> list[Any]:
    return [seen.handle for seen in await sight.look(asked(*images), call)]


async def test_images_are_seen_in_their_order() -> None:
    """Each as it is."""
    red, blue = (255, 0, 0), (0, 0, 255)
    sight = Sight(Tower(), images=8, pixels=10**6)
    assert await look(sight, plain("blue"), plain("red")) == [blue, red]
    assert await look(sight, plain("red"), plain("blue"), plain("red")) == [red, blue, red]


async def test_an_image_that_comes_again_is_remembered() -> None:
    """With the same tokens, so that the engine finds what it has read of the conversation."""
    tower = Tower()
    sight = Sight(tower, images=8, pixels=10**6)
    [first] = await sight.look(asked(plain("red")), call)
    await sight.look(asked(plain("blue")), call)
    [again] = await sight.look(asked(plain("red")), call)
    assert list(again.tokens(0)) == list(first.tokens(0))
    assert len(tower.looked) == 2


async def test_the_one_image_asked_for_at_the_same_time_has_the_same_tokens() -> None:
    """Whoever is quicker."""
    sight = Sight(Tower(), images=8, pixels=10**6)
    seen = await asyncio.gather(*(sight.look(asked(plain("red")), call) for _ in range(4)))
    assert len({tuple(image.tokens(0)) for [image] in seen}) == 1


async def test_what_is_remembered_once_is_counted_once() -> None:
    """However many have looked at it at the same time: later images find room."""
    tower = Tower()
    sight = Sight(tower, images=8, pixels=10**6, remembered=250)
    await asyncio.gather(*(look(sight, plain("red")) for _ in range(4)))
    for color in ("blue", "red", "blue"):
        await look(sight, plain(color))
    assert tower.looked[-1] == (0, 0, 255)
    assert tower.looked.count((0, 0, 255)) == 1


async def test_memory_has_an_end() -> None:
    """What was not asked for the longest is forgotten first."""
    tower = Tower()
    sight = Sight(tower, images=8, pixels=10**6, remembered=250)
    for color in ("red", "blue", "red", "green", "red", "blue"):
        await look(sight, plain(color))
    assert len(tower.looked) == 4  # the blue one twice
    assert await look(sight, *map(plain, ("red", "blue", "green", "white"))) == [
        (255, 0, 0),
        (0, 0, 255),
        (0, 128, 0),
        (255, 255, 255),
    ]


async def test_a_request_has_so_many_images() -> None:
    """The first that is too much is named, and none is looked at."""
    tower = Tower()
    sight = Sight(tower, images=2, pixels=10**6)
    with pytest.raises(InvalidValue, match="at most 2 images, and this one has 3") as refused:
        await look(sight, plain("red"), plain("blue"), plain("red"))
    assert refused.value.param == "messages[0].content[3]"
    assert not tower.looked


async def test_a_bad_image_is_named() -> None:
    """By its place; those before it were good."""
    sight = Sight(Tower(), images=8, pixels=10**6)
    with pytest.raises(InvalidValue) as refused:
        await look(sight, plain("red"), part("data:image/png;base64,AAAA"))
    assert refused.value.param == "messages[0].content[2].image_url.url"


async def test_large_images_come_smaller() -> None:
    """As the home's options say."""
    sizes: list[tuple[int, int]] = []

    class Measuring(Tower):
        def look(self, image: Any) -> Seen:
            sizes.append(image.size)
            return super().look(image)

    await look(Sight(Measuring(), images=8, pixels=5000), plain("red", (200, 100)))
    assert sizes == [(100, 50)]


# ------------------------------------------------------------------ in the prompt


def seen(*tokens: int) -> Seen:
    return Seen(None, lambda place: tokens, 1)


def test_tokens_stand_where_their_images_do() -> None:
    """Those of the text are as they are without images."""
    plainly = byte_level()
    marks = ImageMarks(byte_level())
    text = f"the {marks.mark}{marks.mark}<|end|> the {marks.mark}"
    one, two, three = seen(FIRST, FIRST + 1), seen(FIRST + 2), seen(FIRST + 3, FIRST + 4)

    def ids(text: str) -> list[int]:
        return list(plainly.encode(text, add_special_tokens=False).ids)

    assert marks.encode(text, [one, two, three]) == [
        *ids("the "),
        *(FIRST, FIRST + 1, FIRST + 2),
        *ids("<|end|> the "),
        *(FIRST + 3, FIRST + 4),
    ]


def test_tokens_may_depend_on_their_place() -> None:
    """Some models want images to begin at a multiple of some places."""
    marks = ImageMarks(byte_level())
    aligned = Seen(None, lambda place: [*[0] * (-place % 4), FIRST], 1)
    tokens = marks.encode(f"ab{marks.mark}{marks.mark}", [aligned, aligned])
    assert tokens[2:] == [0, 0, FIRST, 0, 0, 0, FIRST]


def test_text_that_belongs_around_images() -> None:
    """As some models' makers have it."""
    marks = ImageMarks(byte_level(), "\n")
    newline = byte_level().encode("\n").ids
    assert marks.encode(f"a{marks.mark}", [seen(FIRST)])[1:] == [*newline, FIRST, *newline]


@pytest.mark.parametrize("images", [0, 2])
def test_a_template_that_loses_an_image_is_found_out(images: int) -> None:
    """Rather than that the next image takes its place."""
    marks = ImageMarks(byte_level())
    with pytest.raises(InvalidRequest, match="cannot place these images"):
        marks.encode(f"a{marks.mark}", [seen(FIRST)] * images)


def test_no_text_is_taken_for_an_image() -> None:
    """The mark is another one in each process, and never told."""
    one, other = ImageMarks(byte_level()), ImageMarks(byte_level())
    assert one.mark != other.mark
    assert FIRST not in one.encode(other.mark + one.mark, [seen(FIRST + 1)])
