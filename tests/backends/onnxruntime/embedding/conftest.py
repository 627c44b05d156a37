"""A real model out of a package, a tiny one made here, and ways to ask them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.backends.onnxruntime.embedding.graphs import GraphWriter
from tests.backends.onnxruntime.embedding.minilm import (
    MISSING,
    Reference,
    find_package,
    write_folder,
)

from hoonify_backends.onnxruntime.embedding.engine import OnnxEmbeddingEngine
from hoonify_backends.onnxruntime.embedding.loading import LoadedEmbeddings, load_embeddings
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_router.types import Counted, Embedded, EmbeddingRequest, Event

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "zero", "one", "two", "three", "four", "five")
WIDTH = 4


@pytest.fixture(scope="session")
def package() -> Path:
    """The folder of the packaged model."""
    found = find_package()
    if found is None:
        pytest.skip(MISSING)
    return found


@pytest.fixture(scope="session")
def minilm(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """all-MiniLM-L6-v2 as a folder for a home; 90 MB, and gone after the session."""
    folder = write_folder(package, tmp_path_factory.mktemp("minilm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def reference(package: Path) -> Reference:
    """The same model in plain numpy."""
    return Reference(package)


@pytest.fixture(scope="session")
def options(minilm: Path) -> OnnxEmbeddingOptions:
    """Options that suit the real model on a busy machine."""
    return OnnxEmbeddingOptions(str(minilm), provider="cpu", threads=1)


@pytest.fixture(scope="session")
def loaded(options: OnnxEmbeddingOptions) -> LoadedEmbeddings:
    """The real model."""
    return load_embeddings(options, logging.getLogger(__name__), lambda stage: None)


def tiny_table() -> NDArray[np.float32]:
    """Return the tiny model's vectors, one for each word."""
    places = np.arange(len(WORDS), dtype=np.float32)
    return np.stack([places + 1, places % 3, -places, np.ones_like(places)], 1)


def tiny_graph(
    *,
    outputs: Sequence[str] = ("last_hidden_state",),
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    dtype: str = "int64",
    leaky: bool = False,
) -> bytes:
    """Return an encoder that only looks words up.

    Args:
        outputs: A name with ``sentence``, ``pooler`` or ``flat`` gives the first token's vector, any other
            the vectors of all tokens.
        inputs: Its inputs; ``input_ids`` is needed.
        dtype: Type of all inputs.
        leaky: Whether every token sees what fills the call up, as when attention forgets its mask.
    """
    graph = GraphWriter()
    tokens = graph.node("Gather", graph.constant(tiny_table()), "input_ids")
    if leaky:
        everything = graph.node("ReduceMean", tokens, graph.constant([1]), keepdims=1)
        tokens = graph.node("Sub", tokens, graph.node("Mul", everything, graph.constant(1.5)))
    shapes: dict[str, tuple[str, Sequence[int | str]]] = {}
    for name in outputs:
        if any(part in name for part in ("sentence", "pooler", "flat")):
            graph.node("Gather", tokens, graph.constant(np.array(0, np.int64)), axis=1, output=name)
            shapes[name] = ("float32", ("batch", WIDTH))
        else:
            graph.node("Identity", tokens, output=name)
            shapes[name] = ("float32", ("batch", "tokens", WIDTH))
    given: dict[str, tuple[str, Sequence[int | str]]] = dict.fromkeys(
        inputs, (dtype, ("batch", "tokens"))
    )
    return graph.finish(given, shapes)


def write_tiny(
    folder: Path, graph: bytes | None = None, file: str = "model.onnx", **files: Any
) -> Path:
    """Write a folder with the tiny model.

    Args:
        folder: Where.
        graph: The ONNX file; ``None`` takes the plain one.
        file: Its name.
        files: Content of JSON files by their stem, ``1_Pooling`` for that folder's; ``None`` leaves one out.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_truncation(4)  # as many published tokenizers have it; nobody may be cut by it
    tokenizer.enable_padding(length=6)
    tokenizer.save(str(folder / "tokenizer.json"))
    known: dict[str, Any] = {
        "config": {"model_type": "tiny", "max_position_embeddings": 16, "vocab_size": len(WORDS)},
        **files,
    }
    for name, content in known.items():
        if content is None:
            continue
        path = folder / (f"{name}/config.json" if name == "1_Pooling" else f"{name}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(tiny_graph() if graph is None else graph)
    return folder


Tiny = Callable[..., OnnxEmbeddingOptions]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Write a tiny model; return the options of its home. Arguments of ``write_tiny``, ``changes`` for options."""

    def write(changes: dict[str, Any] | None = None, **what: Any) -> OnnxEmbeddingOptions:
        folder = write_tiny(tmp_path / "tiny", **what)
        return OnnxEmbeddingOptions(str(folder), provider="cpu", threads=1, **(changes or {}))

    return write


class Vectors:
    """One request's events, taken apart."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        found = [event for event in events if type(event) is Embedded]
        self.order = [event.index for event in found]
        by_index = {event.index: np.frombuffer(event.vector, "<f4") for event in found}
        assert sorted(self.order) == list(range(len(found)))
        self.all: NDArray[np.float32] = np.array([by_index[i] for i in range(len(found))])
        [*_, last] = events
        assert type(last) is Counted
        self.usage = last.usage


async def embed(engine: OnnxEmbeddingEngine, given: Any, **wishes: Any) -> Vectors:
    """Ask and wait for all vectors."""
    request = EmbeddingRequest("model", given, **wishes)
    return Vectors([event async for event in engine.embed(request)])


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start engines; they are closed after the test."""
    engines: list[OnnxEmbeddingEngine] = []

    async def start_one(options: OnnxEmbeddingOptions, **changes: Any) -> OnnxEmbeddingEngine:
        engine = OnnxEmbeddingEngine(on_fatal=lambda: None)
        engines.append(engine)
        await engine.load(msgspec.structs.replace(options, **changes), lambda *stage: None)
        return engine

    yield start_one
    for engine in engines:
        await engine.close()
