"""The real ExLlamaV2 and V3 see: their own preparation of images, towers and schedulers, on a CPU."""

from __future__ import annotations

import asyncio
import inspect
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.backends.exllama.ring_two.engine import CpuExLlamaV2Engine
from tests.backends.exllama.ring_two.engine_v3 import CpuExLlamaV3Engine
from tests.backends.exllama.ring_two.package import exllamav2, torch
from tests.backends.exllama.ring_two.package_v3 import exllamav3
from tests.backends.exllama.ring_two.plain import Plain
from tests.backends.exllama.ring_two.seeing import (
    EDGE,
    MERGE,
    PATCH,
    make_qwen_model,
    make_seeing_model,
)
from tests.backends.images import about, plain

from hoonify_backends.exllama.options import PAGE, ExllamaOptions
from hoonify_backends.generation.sampling import Sampling
from hoonify_router.errors import (
    ContextLengthExceeded,
    EngineDead,
    ModelUnavailable,
    OutOfMemory,
    Unsupported,
)
from hoonify_router.types import ChatRequest, ImagePart, Message, Text, TextPart

Ask = Callable[..., Any]
Start = Callable[..., Any]
pytestmark = pytest.mark.timeout(600)
GREEDY = {"temperature": 0, "max_tokens": 24}
COLORS = ("red", "blue", "green", "white", "black")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that sees."""
    return make_seeing_model(tmp_path_factory.mktemp("seeing") / "m")


@pytest.fixture(params=["v2", "v3"])
async def start(request: pytest.FixtureRequest, model: Path) -> AsyncIterator[Start]:
    """Start engines with some options; they are closed after the test."""
    engines: list[CpuExLlamaV2Engine | CpuExLlamaV3Engine] = []

    async def start_one(
        folder: Path = model,
        *,
        paged: bool = True,
        on_fatal: Callable[[], None] = lambda: None,
        progress: Callable[..., None] = lambda *stage: None,
        **options: Any,
    ) -> CpuExLlamaV2Engine | CpuExLlamaV3Engine:
        engine: CpuExLlamaV2Engine | CpuExLlamaV3Engine
        if request.param == "v3":
            engine = CpuExLlamaV3Engine(on_fatal)
        else:
            engine = CpuExLlamaV2Engine(on_fatal, paged=paged)
        engines.append(engine)
        await engine.load(ExllamaOptions(str(folder), **options), progress)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()


def tokens_of(width: int, height: int) -> int:
    """Return how many tokens an image takes: one for each patch of patches, one for each row, one for its end."""
    side = PATCH * MERGE
    rows, columns = -(-height // side), -(-width // side)
    return rows * (columns + 1) + 1


def test_it_has_what_is_used_of_it() -> None:
    """Another version has to be looked at."""
    tower = exllamav2.ExLlamaV2VisionTower
    assert list(inspect.signature(tower.get_image_embeddings).parameters)[1:4] == [
        "model",
        "tokenizer",
        "image",
    ]
    assert "callback" in inspect.signature(tower.load).parameters
    from exllamav3.architecture import mistral3

    newer = mistral3.Mistral3VisionModel.get_image_embeddings
    assert list(inspect.signature(newer).parameters)[1:3] == ["tokenizer", "image"]
    assert "component" in inspect.signature(exllamav3.Model.from_config).parameters
    for job in (exllamav2.generator.ExLlamaV2DynamicJob, exllamav3.Job):
        assert "embeddings" in inspect.signature(job).parameters


async def test_it_tells_that_it_sees(start: Start) -> None:
    """And how far the part of it is loaded that does."""
    seen: list[tuple[str, int, int]] = []
    engine = await start(progress=lambda *stage: seen.append(stage))
    assert engine.capabilities.images
    assert engine.capabilities.details["images"] == "seen"
    loading = [stage[1:] for stage in seen if stage[0] == "loading what sees images"]
    assert loading in ([(done, 7) for done in range(1, 8)], [(0, 1), (1, 1)])
    last = ("loading what sees images", *loading[-1])
    assert seen.index(("loading weights", 1, 1)) > seen.index(last)


@pytest.mark.parametrize(
    ("start", "paged"),
    [("v2", True), ("v2", False), ("v3", True)],
    indirect=["start"],
    ids=["v2", "v2-one-at-a-time", "v3"],
)
async def test_an_answer_is_about_its_image(start: Start, ask: Ask, paged: bool) -> None:
    """The same one brings the same answer, another one another; the text alone a third."""
    engine = await start(paged=paged)

    async def told(*content: str | ImagePart) -> str:
        text: str = (await ask(engine, about("Look: ", *content, "What is it?"), **GREEDY)).text
        return text

    answers = [await told(plain(color)) for color in COLORS]
    again = [await told(plain(color)) for color in COLORS]
    assert answers == again
    assert len(set(answers)) > 1
    assert await told() not in set(answers)


async def test_answers_are_plain_sampling_of_plain_scores(start: Start, ask: Ask) -> None:
    """No token of an image is in a wrong place, in company and alone."""
    engine = await start(slots=4, cache_tokens=4096)
    plainly = Plain(engine.model)
    asked = [
        about(plain("red"), "What is it?"),
        about("One: ", plain("blue", (112, 60)), " two: ", plain("red"), "And?"),
        about("Nothing to see."),
        about(plain("green", (28, 112))),
    ]
    together = await asyncio.gather(*(ask(engine, one, **GREEDY) for one in asked))
    for messages, answered in zip(asked, together, strict=True):
        tokens, images = _prompt(engine, plainly, messages)
        assert answered.usage.prompt_tokens == len(tokens)
        said = plainly.go_on(tokens, Sampling(temperature=0), GREEDY["max_tokens"], images)
        assert answered.text == said


@pytest.mark.parametrize("start", ["v2"], indirect=True)
@pytest.mark.parametrize("paged", [True, False])
async def test_images_with_height_and_width(
    start: Start, ask: Ask, tmp_path: Path, paged: bool
) -> None:
    """Qwen's have places of their own in both, which what follows counts on from, alone and in company."""
    folder = make_qwen_model(tmp_path / "m")
    engine = await start(folder, paged=paged, slots=4, cache_tokens=4096, answer_pages=1)
    plainly = Plain(engine.model)
    config = engine.generator.model.config
    plainly.places = lambda ids, images: _places(config, ids, images)
    asked = [
        (8, about(plain("red", (112, 84)), "Look: ", plain("blue", (84, 112)), "What is it?")),
        (8, about("Nothing to see.")),
        (32, about("word " * 204, plain("green", (112, 112)), "Go on.")),
    ]
    wishes = {"temperature": 0, "ignore_eos": True}
    together = await asyncio.gather(
        *(ask(engine, one, max_tokens=most, **wishes) for most, one in asked)
    )
    for (most, messages), answered in zip(asked, together, strict=True):
        tokens, images = _prompt(engine, plainly, messages)
        assert answered.usage.prompt_tokens == len(tokens)
        said = plainly.go_on(tokens, Sampling(temperature=0), most, images, ends=False)
        assert answered.text == said
    assert PAGE - 30 < len(tokens) < PAGE  # so that this one went on in another sequence


def _places(config: Any, ids: Any, images: Any) -> Any:
    from exllamav2.mrope import gen_mrope_embed

    return gen_mrope_embed(config, ids, images, ids.shape[-1])[0]


def _prompt(engine: Any, plainly: Plain, messages: list[Message]) -> tuple[list[int], list[Any]]:
    """Return a question's tokens, put together by hand, and what the engine's tower makes of its images."""
    content = messages[0].content
    assert isinstance(content, list)
    images = [engine.embed(_pixels(part)) for part in content if isinstance(part, ImagePart)]
    coming, tokens = iter(images), plainly.tokens("<|user|>")
    for part in content:
        if isinstance(part, ImagePart):
            tokens += _tokens(next(coming))
        else:
            assert isinstance(part, TextPart)
            tokens += plainly.tokens(part.text)
    return tokens + plainly.tokens("<|end|><|assistant|>"), images


def _tokens(image: Any) -> list[int]:
    its = image.get_ids() if hasattr(image, "get_ids") else image.token_list_at(0)
    return list(its)


def _pixels(part: ImagePart) -> Any:
    from hoonify_backends.generation.pictures import decode, read_url

    return decode(read_url("here", part), 10**6)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((20, 28), (32, 44)),
        ((60, 40), (60, 40)),
        ((2000, 1000), (EDGE, EDGE // 2)),
        ((1, 1), (32, 32)),
    ],
)
async def test_images_are_counted(
    start: Start, ask: Ask, size: tuple[int, int], seen: tuple[int, int]
) -> None:
    """By what the model takes of them, not by what was sent."""
    engine = await start()
    text = (await ask(engine, about("What?"), **GREEDY)).usage.prompt_tokens
    with_one = (await ask(engine, about("What?", plain("red", size)), **GREEDY)).usage
    assert with_one.prompt_tokens - text == tokens_of(*seen)
    assert with_one.completion_tokens > 0


async def test_two_images_have_an_order(start: Start) -> None:
    """Of all pairs no two are the same prompt, and what is kept of one fits no other."""
    engine = await start(cache_tokens=8192)
    scores = set()
    for first in COLORS[:3]:
        for second in COLORS[:3]:
            request = ChatRequest(
                "m",
                about(plain(first), plain(second), "What?"),
                temperature=0,
                max_tokens=1,
                logprobs=True,
                top_logprobs=1,
            )
            events = [event async for event in engine.generate(request)]
            scores.add(
                tuple(
                    one.logprob
                    for event in events
                    if isinstance(event, Text)
                    for one in event.logprobs or ()
                )
            )
    assert len(scores) == 9


async def test_a_conversation_about_an_image_is_not_read_again(start: Start, ask: Ask) -> None:
    """The image is looked at once, and what was read of it is found."""
    engine = await start(cache_tokens=4096)
    image = plain("red", (112, 112))
    first = await ask(engine, about(image, "word " * 300), **GREEDY)
    looked = engine.looks
    again = await ask(
        engine,
        [
            *about(image, "word " * 300),
            Message("assistant", first.text),
            *about("And now?"),
        ],
        **GREEDY,
    )
    other = await ask(engine, about(plain("blue", (112, 112)), "word " * 300), **GREEDY)
    assert again.usage.cached_tokens >= PAGE
    assert other.usage.cached_tokens < 10
    assert engine.looks == looked + 1


async def test_a_long_answer_keeps_its_image(start: Start, ask: Ask) -> None:
    """From page to page, as if it had taken all of them at once."""
    texts = []
    for pages in (1, 4):
        engine = await start(answer_pages=pages, cache_tokens=4096)
        answered = await ask(
            engine,
            about(plain("red", (112, 112)), "Tell me."),
            temperature=1.2,
            seed=3,
            ignore_eos=True,
            max_tokens=700,
        )
        assert answered.usage.completion_tokens == 700
        texts.append(answered.text)
    assert texts[0] == texts[1]


async def test_who_leaves_frees_the_pages_of_the_image(start: Start) -> None:
    """In the middle of the stream."""
    engine = await start()
    request = ChatRequest("m", about(plain("red"), "Go."), ignore_eos=True, max_tokens=800)
    events = engine.generate(request)
    pieces = 0
    async for event in events:
        pieces += isinstance(event, Text)
        if pieces == 3:
            break
    await events.aclose()
    assert not engine.generator.num_remaining_jobs()
    assert not engine.pages_in_use


async def test_images_of_more_than_the_context(start: Start, ask: Ask) -> None:
    """Are told before anything is queued."""
    engine = await start(context_length=64)
    with pytest.raises(ContextLengthExceeded):
        await ask(engine, about(*[plain("red", (112, 112))] * 4), **GREEDY)
    assert not engine.generator.num_remaining_jobs()


async def test_penalties_with_images(start: Start, ask: Ask) -> None:
    """Their tokens are beyond the vocabulary, and none of a penalty's."""
    engine = await start()
    answered = await ask(
        engine,
        about(plain("red"), "What?"),
        repetition_penalty=1.3,
        frequency_penalty=0.5,
        logit_bias={"40": 5},
        **GREEDY,
    )
    assert answered.usage.completion_tokens > 0


async def test_memory_that_ran_out_over_an_image(start: Start, ask: Ask) -> None:
    """Costs that request, and no running one."""
    engine = await start(slots=4, cache_tokens=4096)
    running = asyncio.create_task(ask(engine, "Count from 1 to 12.", temperature=0))
    engine.failures.append(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(OutOfMemory):
        await ask(engine, about(plain("red")), **GREEDY)
    assert (await running).text == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12."
    assert (await ask(engine, about(plain("red")), **GREEDY)).text


async def test_memory_that_runs_out_later_keeps_the_images_of_the_others(
    start: Start, ask: Ask
) -> None:
    """They begin anew with what they have, images included."""
    engine = await start(slots=4, cache_tokens=4096)
    asked = [about(plain(color), "What is it?") for color in COLORS]
    alone = [(await ask(engine, one, **GREEDY)).text for one in asked]
    running = [asyncio.create_task(ask(engine, one, **GREEDY)) for one in asked]
    calls = len(engine.model.calls)
    while len(engine.model.calls) < calls + 6:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    engine.model.failures.append(torch.OutOfMemoryError("CUDA out of memory."))
    answers = await asyncio.gather(*running, return_exceptions=True)
    for expected, answered in zip(alone, answers, strict=True):
        assert isinstance(answered, OutOfMemory) or answered.text == expected  # type: ignore[union-attr]


async def test_a_gpu_that_fails_over_an_image_ends_the_worker(start: Start, ask: Ask) -> None:
    """As over a token."""
    fatal = asyncio.Event()
    engine = await start(on_fatal=fatal.set)
    engine.failures.append(RuntimeError("CUDA error: an illegal memory access"))
    with pytest.raises(EngineDead):
        await ask(engine, about(plain("red")), **GREEDY)
    await fatal.wait()


@pytest.mark.parametrize(
    ("start", "options"),
    [("v2", {"images": 0}), ("v2", {"tensor_parallel": True}), ("v3", {"images": 0})],
    indirect=["start"],
    ids=repr,
)
async def test_a_home_that_does_without(start: Start, ask: Ask, options: dict[str, Any]) -> None:
    """Nothing is loaded that sees, and an image is refused by name."""
    engine = await start(**options)
    assert engine.capabilities.images is False
    assert engine.tower is None
    assert "not seen" in engine.capabilities.details["images"]
    with pytest.raises(Unsupported) as refused:
        await ask(engine, about(plain("red")), **GREEDY)
    assert refused.value.param == "messages[0].content[0]"


async def test_files_of_a_newer_time(start: Start, ask: Ask, model: Path, tmp_path: Path) -> None:
    """What transformers 5 writes in another file is found there."""
    folder = tmp_path / "m"
    shutil.copytree(model, folder, ignore=lambda *names: {"preprocessor_config.json"})
    said = json.loads((model / "preprocessor_config.json").read_text())
    said["image_processor_type"] = "PixtralImageProcessorFast"
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": said}))
    engine = await start(folder)
    assert (await ask(engine, about(plain("red")), **GREEDY)).text
    assert engine.capabilities.images
    (folder / "processor_config.json").unlink()
    with pytest.raises(ModelUnavailable, match="preprocessor_config"):
        await start(folder)
