"""From options to an embedding model that is ready, and a proof that inputs do not disturb each other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hoonify_backends.generation.folder import FolderProblem
from hoonify_backends.onnxruntime.availability import clashing_libraries
from hoonify_backends.onnxruntime.embedding.folder import EmbeddingFolder, read_embedding_folder
from hoonify_backends.onnxruntime.embedding.inputs import InputReader
from hoonify_backends.onnxruntime.embedding.model import (
    EmbeddingModel,
    Graph,
    Tokens,
    scale,
)
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_backends.onnxruntime.providers import device_name
from hoonify_backends.onnxruntime.sessions import open_session
from hoonify_router.errors import ModelUnavailable

_SAME = 0.98  # cosine; int8 activations come near it, an input that sees another falls far below
_EXACT = 0.9999  # cosine; below, an operator is told
_CPU_TOKENS = 512  # as fast as more: what is between the layers still fits into the cache
_GPU_TOKENS = 16384
_PROBES = (
    "ok",
    "Two inputs of different length share one call of the model.",
    "The longest of three inputs decides how much is filled up, and nobody may notice: " * 2,
)


@dataclass(frozen=True)
class LoadedEmbeddings:
    """A model and what an operator wants to know of it.

    Args:
        model: Ready to run.
        reader: Reads its requests.
        batch_tokens: Tokens of one call.
        max_length: Tokens of one input.
        device: Where it runs, such as ``cpu``.
        memory_bytes: Weights.
        details: More facts.
    """

    model: EmbeddingModel
    reader: InputReader
    batch_tokens: int
    max_length: int
    device: str
    memory_bytes: int
    details: dict[str, str]


def load_embeddings(
    options: OnnxEmbeddingOptions, log: logging.Logger, stage: Callable[[str], None]
) -> LoadedEmbeddings:
    """Load the model that the options name; blocks.

    Args:
        options: The home's options; relative paths count from the working directory.
        log: Where warnings go.
        stage: Told what is done now.

    Raises:
        ModelUnavailable: It cannot be loaded.
    """
    clash = clashing_libraries()
    if clash is not None:
        raise ModelUnavailable(clash.detail)
    stage("reading the model's folder")
    try:
        folder = read_embedding_folder(Path(options.model).resolve(), options)
    except FolderProblem as problem:
        raise ModelUnavailable(problem.detail) from problem
    tokenizer = read_tokenizer(folder.tokenizer)
    stage("loading weights")
    session, provider = open_session(
        folder.graph,
        log,
        provider=options.provider,
        device_id=options.device_id,
        threads=options.threads,
        spinning=options.spinning,
        provider_options=options.provider_options,
    )
    from onnxruntime import RunOptions

    graph = Graph(session, RunOptions, whole=options.pooling is None, beyond=folder.beyond)
    model = EmbeddingModel(
        graph,
        pooling=folder.pooling,
        normalize=folder.normalize,
        pad=folder.config.pad_token_id or 0,
    )
    stage("checking the model")
    dimensions = check_batches(model, _probe(tokenizer, folder.max_length), log)
    weights = sum(file.stat().st_size for file in folder.graph.parent.glob(f"{folder.graph.name}*"))
    on_cpu = provider == "CPUExecutionProvider"
    return LoadedEmbeddings(
        model,
        InputReader(
            tokenizer,
            prefix=folder.prefix,
            max_length=folder.max_length,
            vocabulary=folder.config.vocab_size,
            dimensions=dimensions,
            sizes=_read_sizes(options.matryoshka, dimensions),
        ),
        options.batch_tokens or (_CPU_TOKENS if on_cpu else _GPU_TOKENS),
        folder.max_length,
        device_name(provider, options.device_id),
        weights,
        _describe(folder, graph, dimensions, provider, weights),
    )


def read_tokenizer(path: Path) -> Any:
    """Return the model's tokenizer; what it cuts or pads by itself is switched off."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()  # too long is for the client to know
    tokenizer.no_padding()
    return tokenizer


def _probe(tokenizer: Any, max_length: int) -> list[Tokens]:
    encoded = tokenizer.encode_batch_fast(list(_PROBES))
    return [np.array(encoding.ids[:max_length], np.int32) for encoding in encoded]


def _read_sizes(matryoshka: bool | list[int], dimensions: int) -> Sequence[int] | None:
    if matryoshka is False:
        return None
    sizes = [] if matryoshka is True else matryoshka
    for size in sizes:
        if size > dimensions:
            raise ModelUnavailable(
                f"matryoshka: {size} is over the model's {dimensions} dimensions"
            )
    return sizes


def _describe(
    folder: EmbeddingFolder, graph: Graph, dimensions: int, provider: str, weights: int
) -> dict[str, str]:
    return {
        "dimensions": str(dimensions),
        "file": folder.graph.name,
        "model_type": folder.config.model_type or "unknown",
        "normalize": "yes" if folder.normalize else "no",
        "pooling": folder.pooling if graph.pools else f"in the graph ({graph.output})",
        "provider": provider,
        "weights": f"{weights / 1024**2:.1f} MiB",
    }


def check_batches(model: EmbeddingModel, rows: Sequence[Tokens], log: logging.Logger) -> int:
    """Prove that inputs of different length in one call give what each gives alone; return the dimensions.

    Quantized activations are scaled over a whole call and so differ a little: that is told, and no more.

    Raises:
        ModelUnavailable: They do not.
    """
    alone = scale(np.concatenate([model.embed([row]) for row in rows]))
    together = scale(model.embed(rows))
    likeness = float((alone * together).sum(1).min())
    # Written so that a result that is not a number fails too.
    if not likeness >= _SAME:
        raise ModelUnavailable(
            "the model gives other vectors for several inputs at once than for each alone (cosine"
            f" {likeness:.4f}): export it with an attention_mask that its attention heeds, or choose"
            " another provider or another pooling:"
        )
    if likeness < _EXACT:
        log.warning(
            "vectors depend a little on what else is in a call (cosine %.5f), as with quantized"
            " activations; batch_tokens: 1 gives each input a call of its own",
            likeness,
        )
    return int(alone.shape[1])
