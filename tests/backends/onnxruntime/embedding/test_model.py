"""The graph's inputs and outputs, pooling, and one call of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.backends.onnxruntime.embedding.conftest import tiny_graph, tiny_table
from tests.backends.onnxruntime.embedding.graphs import GraphWriter

from hoonify_backends.onnxruntime.embedding.model import EmbeddingModel, Graph, Halt, pool, scale
from hoonify_router.errors import ModelUnavailable

ROWS = [np.array(row, np.int32) for row in ([1, 4, 2], [1, 5, 6, 7, 2], [9])]


def session(content: bytes) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])


def graph(content: bytes, **wishes: Any) -> Graph:
    return Graph(session(content), onnxruntime.RunOptions, **wishes)


@pytest.mark.parametrize(
    ("outputs", "whole", "taken", "pools"),
    [
        (["last_hidden_state"], True, "last_hidden_state", True),
        (["token_embeddings", "sentence_embedding"], True, "sentence_embedding", False),
        (["token_embeddings", "sentence_embedding"], False, "token_embeddings", True),
        (["last_hidden_state", "pooler_output"], True, "last_hidden_state", True),
        (["pooler_output"], True, "pooler_output", False),
        (["sentence_embedding"], False, "sentence_embedding", False),
        (["hidden"], True, "hidden", True),
        (["flat"], True, "flat", False),
        (["hidden", "more", "token_embeddings"], True, "token_embeddings", True),
    ],
)
def test_the_best_output_is_taken(outputs: list[str], whole: bool, taken: str, pools: bool) -> None:
    """The whole model's where there is one and nothing else is wished, else the tokens'."""
    found = graph(tiny_graph(outputs=outputs), whole=whole)
    assert (found.output, found.pools) == (taken, pools)


def test_unknown_outputs_are_refused() -> None:
    """With the names that there are."""
    with pytest.raises(
        ModelUnavailable, match=r"no output that holds embeddings: it has \['a', 'b'\]"
    ):
        graph(tiny_graph(outputs=["a", "b"]))


@pytest.mark.parametrize(
    "inputs", [["input_ids"], ["input_ids", "attention_mask", "past_key_values.0.key"]]
)
def test_unknown_inputs_are_refused(inputs: list[str]) -> None:
    """A graph without a mask cannot share a call, one with more inputs is something else."""
    with pytest.raises(ModelUnavailable, match="not an encoder that this engine knows"):
        graph(tiny_graph(inputs=inputs))


def test_types_that_are_not_taken_are_refused() -> None:
    """By the input's or output's name."""
    writer = GraphWriter()
    writer.node("Cast", "input_ids", to=7, output="last_hidden_state")
    shape = ("batch", "tokens", 4)
    inputs = dict.fromkeys(("input_ids", "attention_mask"), ("int64", shape))
    with pytest.raises(
        ModelUnavailable, match=r"last_hidden_state of the ONNX file is a tensor\(int64\)"
    ):
        graph(writer.finish(inputs, {"last_hidden_state": ("int64", shape)}))
    writer = GraphWriter()
    writer.node("Identity", "input_ids", output="last_hidden_state")
    inputs = dict.fromkeys(("input_ids", "attention_mask"), ("float32", shape))
    with pytest.raises(ModelUnavailable, match=r"input_ids of the ONNX file is a tensor\(float\)"):
        graph(writer.finish(inputs, {"last_hidden_state": ("float32", shape)}))


def test_what_is_beyond_this_engine_is_refused_unless_the_graph_does_it() -> None:
    """A Dense layer that nobody applies would give vectors that look right and are not."""
    with pytest.raises(ModelUnavailable, match="does not do a module Dense"):
        graph(tiny_graph(), beyond="a module Dense")
    assert graph(tiny_graph(outputs=["sentence_embedding"]), beyond="a module Dense").output


@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize(
    "inputs",
    [
        ["input_ids", "attention_mask"],
        ["attention_mask", "token_type_ids", "input_ids"],
    ],
)
def test_every_form_of_inputs_is_fed(dtype: str, inputs: list[str]) -> None:
    """Either width of integers, with token types or without."""
    model = EmbeddingModel(
        graph(tiny_graph(dtype=dtype, inputs=inputs)), pooling="mean", normalize=False
    )
    expected = [tiny_table()[row].mean(0) for row in ROWS]
    assert np.allclose(model.embed(ROWS), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "place"), [("cls", lambda row: row[0]), ("last", lambda row: row[-1])]
)
def test_one_token_stands_for_all(pooling: Any, place: Any) -> None:
    """The first, or the last before what fills the row up."""
    model = EmbeddingModel(graph(tiny_graph()), pooling=pooling, normalize=False)
    assert np.array_equal(model.embed(ROWS), [tiny_table()[place(row)] for row in ROWS])


def test_the_graphs_own_sentence_vector_is_left_alone() -> None:
    """Scaled, if that is wished, and not pooled again."""
    model = EmbeddingModel(
        graph(tiny_graph(outputs=["token_embeddings", "sentence_embedding"])),
        pooling="last",
        normalize=True,
    )
    first = np.array([tiny_table()[row[0]] for row in ROWS])
    assert np.allclose(model.embed(ROWS), first / np.linalg.norm(first, axis=1)[:, None])


def test_half_precision_comes_out_as_single() -> None:
    """Sums of many halves would lose digits."""
    writer = GraphWriter()
    table = writer.constant(tiny_table().astype(np.float16))
    writer.node("Gather", table, "input_ids", output="last_hidden_state")
    inputs = dict.fromkeys(("input_ids", "attention_mask"), ("int64", ("batch", "tokens")))
    content = writer.finish(inputs, {"last_hidden_state": ("float16", ("batch", "tokens", 4))})
    vectors = EmbeddingModel(graph(content), pooling="mean", normalize=False).embed(ROWS)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, [tiny_table()[row].mean(0) for row in ROWS], atol=1e-6)


def test_pooling_does_not_see_what_fills_rows_up() -> None:
    """Not even where the model gives it nonsense."""
    vectors = np.full((2, 3, 2), 1e9, np.float32)
    vectors[0, :2] = [[1, 2], [3, 4]]
    vectors[1, :1] = [[5, 6]]
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    assert np.array_equal(pool(vectors, mask, "mean"), [[2, 3], [5, 6]])
    assert np.array_equal(pool(vectors, mask, "last"), [[3, 4], [5, 6]])
    assert np.array_equal(pool(vectors, mask, "cls"), [[1, 2], [5, 6]])


def test_a_zero_vector_stays_zero() -> None:
    """There is no direction to scale, and no number to divide by."""
    assert np.array_equal(
        scale(np.array([[0, 0], [3, 4]], np.float32)), np.array([[0, 0], [0.6, 0.8]], np.float32)
    )


def test_a_call_that_nobody_wants_ends(minilm: Path) -> None:
    """Asked to end before it begins, it raises instead of reading on; the next call is a new one."""
    model = EmbeddingModel(
        graph((minilm / "onnx" / "model.onnx").read_bytes()), pooling="mean", normalize=True
    )
    halt = Halt()
    halt.request()
    with pytest.raises(Exception, match="terminate"):
        model.embed(ROWS, halt)
    assert model.embed(ROWS, Halt()).shape == (3, 384)
