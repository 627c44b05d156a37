"""Images on their way through an engine by script: to the generator, into its answers, and out of its count."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from tests.backends.exllama.scripted import ScriptedGenerator
from tests.backends.exllama.test_engine import MODEL
from tests.backends.images import about, part, plain

from hoonify_backends.exllama.checkpoint import Checkpoint
from hoonify_backends.exllama.engine import ExllamaEngine, Opened
from hoonify_backends.exllama.limits import Limits
from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.exllama.tower import look_once
from hoonify_backends.generation.sight import Seen
from hoonify_router.api import ProgressCallback
from hoonify_router.errors import (
    ContextLengthExceeded,
    EngineDead,
    InvalidValue,
    ModelUnavailable,
    OutOfMemory,
    Unsupported,
)
from hoonify_router.types import ChatRequest, Message

Ask = Callable[..., Any]
FIRST = 10**9


class ScriptedTower:
    """Sees which colour an image has, in so many tokens."""

    around = ""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.failures: list[Exception] = []
        self.colors: list[tuple[int, int, int]] = []

    def look(self, image: Any) -> Seen:
        if self.failures:
            raise self.failures.pop()
        first = FIRST + len(self.colors) * self.tokens
        self.colors.append(image.getpixel((0, 0)))
        its = range(first, first + self.tokens)
        return Seen(self.colors[-1], lambda place: its, 1)


class SeeingEngine(ExllamaEngine):
    """Names the first channel of each image's colour, in the order in which they stand."""

    backend = "exllamav2"

    def __init__(self, tokens: int = 4, on_fatal: Callable[[], None] = lambda: None) -> None:
        super().__init__(on_fatal)
        self.tower = ScriptedTower(tokens)

    def open(
        self,
        options: ExllamaOptions,
        checkpoint: Checkpoint,
        limits: Limits,
        progress: ProgressCallback,
    ) -> Opened:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer))

        def after(tokens: Sequence[int]) -> int:
            tower = self.tower
            if 4 not in tokens:  # warming up
                return 1
            firsts = [t for t in tokens if t >= FIRST and not (t - FIRST) % tower.tokens]
            seen = ", ".join(str(tower.colors[(t - FIRST) // tower.tokens][0]) for t in firsts)
            says = [*tokenizer.encode(seen, add_special_tokens=False).ids, 1]
            starts = len(tokens) - 1 - list(reversed(tokens)).index(4)  # the assistant's turn
            return says[len(tokens) - starts - 1]

        self.generator = ScriptedGenerator(
            after, vocabulary=1280, pages=limits.pages, slots=options.slots
        )
        return Opened(self.generator, 1280, options.slots, tower=self.tower)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Start engines with some options; they are closed after the test."""
    engines: list[SeeingEngine] = []

    async def start_one(engine: SeeingEngine | None = None, **options: Any) -> SeeingEngine:
        engine = engine or SeeingEngine()
        engines.append(engine)
        await engine.load(ExllamaOptions(str(MODEL), **options), lambda *stage: None)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


async def test_an_image_is_seen_and_counted(start: Callable[..., Any], ask: Ask) -> None:
    """Its tokens are part of the prompt."""
    engine = await start()
    assert engine.capabilities.images
    blind = await ask(engine, about("What is it?"))
    seeing = await ask(engine, about("What is it?", plain("red")))
    assert (seeing.text, seeing.finish) == ("255", "stop")
    assert seeing.usage.prompt_tokens == blind.usage.prompt_tokens + 4
    assert engine.generator.images[-1] == ((255, 0, 0),)


async def test_images_keep_their_order_over_turns(start: Callable[..., Any], ask: Ask) -> None:
    """Also where one comes again."""
    engine = await start()
    red, gray, black = plain("red"), plain("gray"), plain("black")
    conversation = [
        *about(red, gray, "and"),
        Message("assistant", "I see."),
        *about(black, red, "What?"),
    ]
    answered = await ask(engine, conversation)
    assert answered.text == "255, 128, 0, 255"
    assert len(engine.generator.images[-1]) == 4


async def test_answers_that_take_more_pages_keep_their_images(start: Callable[..., Any]) -> None:
    """Each of their sequences gets them."""
    engine = await start(SeeingEngine(tokens=PAGE - 30), answer_pages=1, cache_tokens=4 * PAGE)
    request = ChatRequest("m", about(plain("red")), ignore_eos=True, max_tokens=20)
    engine.generator.after = lambda tokens: 7
    async for _ in engine.generate(request):
        pass
    assert len(engine.generator.started) >= 1
    assert set(engine.generator.images[1:]) == {((255, 0, 0),)}


async def test_penalties_are_for_words(start: Callable[..., Any], ask: Ask) -> None:
    """The tokens of images are none."""
    engine = await start()
    answered = await ask(engine, about("255?", plain("red")), repetition_penalty=1.1, temperature=0)
    assert answered.text == "255"


async def test_an_image_that_does_not_fit(start: Callable[..., Any], ask: Ask) -> None:
    """Is counted like a text that does not."""
    engine = await start(SeeingEngine(tokens=600), context_length=512)
    with pytest.raises(ContextLengthExceeded, match="512 tokens, but the messages have 6"):
        await ask(engine, about(plain("red")))


async def test_images_that_are_refused(start: Callable[..., Any], ask: Ask) -> None:
    """By name, and nothing reaches the generator."""
    engine = await start(images=2)
    started = len(engine.generator.started)
    for content, kind, param in (
        ([part("https://example.com/a.png")], Unsupported, "messages[0].content[0].image_url.url"),
        ([part("data:image/png;base64,!")], InvalidValue, "messages[0].content[0].image_url.url"),
        ([plain("red")] * 3, InvalidValue, "messages[0].content[2]"),
    ):
        with pytest.raises(kind) as refused:
            await ask(engine, about(*content))
        assert refused.value.param == param
    assert len(engine.generator.started) == started


async def test_memory_that_an_image_does_not_find(start: Callable[..., Any], ask: Ask) -> None:
    """Costs its own request alone."""
    engine = await start()
    engine.tower.failures.append(OutOfMemory("no room"))
    with pytest.raises(OutOfMemory):
        await ask(engine, about(plain("red")))
    assert (await ask(engine, about(plain("red")))).text == "255"


async def test_a_model_that_cannot_see_fails_while_it_is_loaded(start: Callable[..., Any]) -> None:
    """An empty image is looked at before anybody asks."""
    engine = SeeingEngine()
    failure = EngineDead("The engine failed on an image of this request.")
    failure.__cause__ = ValueError("no such kernel")
    engine.tower.failures.append(failure)
    with pytest.raises(ModelUnavailable, match="no such kernel"):
        await start(engine)


def test_a_look_at_an_empty_image() -> None:
    """The router's own errors pass."""
    tower = ScriptedTower(1)
    look_once(tower)
    tower.failures.append(OutOfMemory("no room"))
    with pytest.raises(OutOfMemory):
        look_once(tower)
