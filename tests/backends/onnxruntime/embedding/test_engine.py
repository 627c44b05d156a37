"""Embeddings of the real model: right, in order, counted, whoever else asks."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from tests.backends.onnxruntime.embedding.conftest import Start, Tiny, embed
from tests.backends.onnxruntime.embedding.minilm import Reference

from hoonify_backends.onnxruntime.embedding.engine import OnnxEmbeddingEngine
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_router.errors import ContextLengthExceeded, InvalidValue, Unsupported, WrongEndpoint
from hoonify_router.types import ChatRequest, Message

pytestmark = pytest.mark.slow  # a model of 23 million parameters

PUBLISHED = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
TEXTS = [
    *PUBLISHED,
    "ok",
    "The router keeps one door for many engines. " * 12,
    "Ein Satz, der nicht englisch ist: Übergrößenträger.",
    "数字 and 🙂 emoji",
    "a" * 300,
    " ",
]


@pytest.fixture
async def engine(start: Start, options: OnnxEmbeddingOptions) -> OnnxEmbeddingEngine:
    """The real model, loaded."""
    engine: OnnxEmbeddingEngine = await start(options)
    return engine


async def test_similarities_are_those_that_its_makers_publish(engine: OnnxEmbeddingEngine) -> None:
    """Two sentences on the weather are close, one on driving is far."""
    vectors = (await embed(engine, PUBLISHED)).all
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    assert np.allclose(vectors @ vectors.T, published, atol=1e-4)


async def test_vectors_are_those_of_plain_arithmetic(
    engine: OnnxEmbeddingEngine, reference: Reference
) -> None:
    """Tokens, graph, pooling, scale: all of it against a form without ONNX and without batches."""
    answer = await embed(engine, TEXTS)
    expected = np.array([reference.embed(text) for text in TEXTS])
    assert float(np.abs(answer.all - expected).max()) < 1e-5
    assert np.allclose(np.linalg.norm(answer.all, axis=1), 1, atol=1e-6)


async def test_alone_and_together_are_the_same(engine: OnnxEmbeddingEngine) -> None:
    """Within rounding, however many requests share the calls; every vector comes to its own input."""
    alone = [(await embed(engine, text)).all[0] for text in TEXTS]
    together = (await embed(engine, TEXTS)).all
    backwards = (await embed(engine, TEXTS[::-1])).all[::-1]
    shared = await asyncio.gather(*(embed(engine, text) for text in TEXTS * 3))
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(backwards, alone, atol=1e-5)
    assert np.allclose([one.all[0] for one in shared], alone * 3, atol=1e-5)


async def test_tokens_give_what_their_text_gives(
    engine: OnnxEmbeddingEngine, reference: Reference
) -> None:
    """A client may tokenize for itself, special tokens included."""
    tokens = [reference.tokenizer.encode(text).ids for text in PUBLISHED]
    of_tokens, of_text = await embed(engine, tokens), await embed(engine, PUBLISHED)
    assert np.allclose(of_tokens.all, of_text.all, atol=1e-6)
    assert of_tokens.usage == of_text.usage
    assert np.allclose((await embed(engine, tokens[0])).all, of_text.all[:1], atol=1e-6)


async def test_usage_counts_every_token_that_is_read(
    engine: OnnxEmbeddingEngine, reference: Reference
) -> None:
    """Special tokens too, and no filling."""
    usage = (await embed(engine, TEXTS)).usage
    assert usage.prompt_tokens == sum(len(reference.tokenizer.encode(text).ids) for text in TEXTS)
    assert usage.completion_tokens == 0


async def test_many_inputs_are_read_in_many_calls(
    start: Start, options: OnnxEmbeddingOptions, reference: Reference
) -> None:
    """The order of the answers is the engine's, their indices are the client's."""
    engine = await start(options, batch_tokens=128)
    texts = [f"{word} " * (1 + i % 40) for i, word in enumerate(["router", "door"] * 60)]
    answer = await embed(engine, texts)
    assert answer.order != sorted(answer.order)
    for place in (0, 1, 57, 119):
        assert np.allclose(answer.all[place], reference.embed(texts[place]), atol=1e-5)


async def test_a_prefix_is_put_before_each_text(
    start: Start, options: OnnxEmbeddingOptions, reference: Reference
) -> None:
    """As if the client had written it."""
    engine = await start(options, prefix="query: ")
    answer = await embed(engine, PUBLISHED[:1])
    assert np.allclose(answer.all[0], reference.embed("query: " + PUBLISHED[0]), atol=1e-5)


async def test_vectors_are_cut_where_the_operator_allows(
    start: Start, options: OnnxEmbeddingOptions, engine: OnnxEmbeddingEngine
) -> None:
    """Length 1 again; and the engine says that it honours the parameter."""
    cutting = await start(options, matryoshka=[64, 128])
    assert cutting.capabilities.parameters == {"dimensions"}
    whole = (await embed(cutting, PUBLISHED)).all
    cut = (await embed(cutting, PUBLISHED, dimensions=64)).all
    expected = whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True)
    assert cut.shape == (3, 64)
    assert np.allclose(cut, expected, atol=1e-6)
    with pytest.raises(InvalidValue, match="64 or 128 or 384"):
        await embed(cutting, PUBLISHED, dimensions=100)
    assert not engine.capabilities.parameters
    with pytest.raises(Unsupported):
        await embed(engine, PUBLISHED, dimensions=64)


async def test_what_is_too_long_is_refused_by_its_place(engine: OnnxEmbeddingEngine) -> None:
    """Before any vector is made."""
    with pytest.raises(ContextLengthExceeded, match="256 tokens") as caught:
        await embed(engine, ["fine", "word " * 300])
    assert caught.value.param == "input[1]"
    assert engine.health().running == 0


async def test_long_texts_are_tokenized_beside_the_event_loop(
    engine: OnnxEmbeddingEngine,
) -> None:
    """The loop goes on meanwhile, and the request counts as waiting."""
    asked = asyncio.create_task(embed(engine, ["word " * 200_000]))
    turns = 0
    while not asked.done():
        turns += 1
        await asyncio.sleep(0)
        if turns == 10:
            assert engine.health().queued == 1
    assert turns > 50
    with pytest.raises(ContextLengthExceeded, match="has 200002 tokens"):
        await asked


async def test_it_says_what_it_can_do(engine: OnnxEmbeddingEngine) -> None:
    """Embeddings, up to a length, and nothing else."""
    capabilities = engine.capabilities
    assert capabilities.tasks == {"embedding"}
    assert (capabilities.context_length, capabilities.device) == (256, "cpu")
    with pytest.raises(WrongEndpoint):
        engine.generate(ChatRequest("model", [Message("user", "Hello")]))


async def test_other_poolings_are_other_vectors(start: Start, tiny: Tiny) -> None:
    """The operator's word reaches the vectors."""
    engines: dict[Any, Any] = {
        pooling: await start(tiny({"pooling": pooling, "normalize": False}))
        for pooling in (None, "mean", "cls", "last")
    }
    found = {
        pooling: (await embed(one, "two four")).all[0].tolist() for pooling, one in engines.items()
    }
    assert found["cls"] == [2, 1, -1, 1]
    assert found["last"] == [3, 2, -2, 1]
    assert found["mean"] == found[None] == [5.25, 1.25, -4.25, 1]
