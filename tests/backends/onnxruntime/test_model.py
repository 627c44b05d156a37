"""The shipped model through rows and bindings, against plain ONNX Runtime that knows no trick."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hoonify_backends.onnxruntime.graph import Graph
from hoonify_backends.onnxruntime.kv_cache import DeviceCache, HostCache, KVLayout
from hoonify_backends.onnxruntime.loading import LoadedModel, check_rows, copies_rows
from hoonify_backends.onnxruntime.model import OnnxModel
from hoonify_backends.onnxruntime.model_folder import Decoder
from hoonify_backends.onnxruntime.sessions import session_settings
from hoonify_router.errors import ModelUnavailable

CLOSE = {"rtol": 1e-3, "atol": 2e-3}


def greedy(model: OnnxModel, row: int, prompt: Sequence[int], count: int, chunk: int) -> list[int]:
    """Answer one prompt, read in chunks into a row; the rows before it ride along."""
    tokens = list(prompt)
    for start in range(0, len(prompt), chunk):
        scores = model.prefill(row, prompt[start : start + chunk], start)
    for _ in range(count):
        tokens.append(int(scores[-1].argmax()))
        last = [0] * row + [tokens[-1]]
        scores = model.decode(last, [0] * row + [len(tokens) - 1])
    return tokens[len(prompt) :]


def on_a_device(loaded: LoadedModel) -> OnnxModel:
    """Return the model with memory outside of numpy: what a GPU uses, with the CPU as its device."""
    graph = Graph(loaded.model._graph.session, loaded.folder.config.model.decoder)
    decoder = loaded.folder.config.model.decoder
    layout = KVLayout(
        graph.kv_names,
        heads=decoder.num_key_value_heads,
        length=128,
        head_size=decoder.head_size,
        dtype=graph.kv_dtype,
    )
    cache = DeviceCache(layout, 3, ("cpu", 0))
    vocabulary = loaded.model.vocabulary
    return OnnxModel(graph, layout, cache, slots=3, chunk=64, vocabulary=vocabulary, on_gpu=True)


@pytest.mark.parametrize("chunk", [7, 32, 256])
def test_greedy_tokens_are_those_of_the_plain_graph(
    loaded: LoadedModel, reference: Any, prompts: list[list[int]], chunk: int
) -> None:
    """Whatever the row and however the prompt is cut."""
    for row, prompt in zip((0, 1, 3), prompts[:3], strict=True):
        assert greedy(loaded.model, row, prompt, 12, chunk) == reference.greedy(prompt, 12)


def test_scores_are_those_of_the_plain_graph(
    loaded: LoadedModel, reference: Any, prompts: list[list[int]]
) -> None:
    """For prompts in pieces and for several rows of different length in one call."""
    model = loaded.model
    for row, prompt in enumerate(prompts[:4]):
        half = len(prompt) // 2
        model.prefill(row, prompt[:half], 0)
        scores = model.prefill(row, prompt[half:-1], half)
        np.testing.assert_allclose(scores[0], reference.scores(prompt[:-1]), **CLOSE)
    together = model.decode([p[-1] for p in prompts[:4]], [len(p) - 1 for p in prompts[:4]])
    assert together.shape == (4, model.vocabulary)
    for scores, prompt in zip(together, prompts[:4], strict=True):
        np.testing.assert_allclose(scores, reference.scores(prompt), **CLOSE)


def test_swapped_rows_go_on_where_they_were(
    loaded: LoadedModel, reference: Any, prompts: list[list[int]]
) -> None:
    """Both rows' keys and values have changed places."""
    model = loaded.model
    first, second = prompts[0], prompts[3]
    model.prefill(0, first[:-1], 0)
    model.prefill(2, second[:-1], 0)
    model.swap(0, 2, max(len(first), len(second)))
    scores = model.decode([second[-1], 0, first[-1]], [len(second) - 1, 0, len(first) - 1])
    np.testing.assert_allclose(scores[0], reference.scores(second), **CLOSE)
    np.testing.assert_allclose(scores[2], reference.scores(first), **CLOSE)


def test_few_rows_and_many_may_have_sessions_of_their_own(
    loaded: LoadedModel, reference: Any, prompts: list[list[int]]
) -> None:
    """An answer goes from one to the other and back, as others come and go."""
    from onnxruntime import InferenceSession

    decoder, settings = loaded.folder.config.model.decoder, session_settings(2, spinning=False)
    wide = InferenceSession(loaded.folder.graph, settings, providers=["CPUExecutionProvider"])
    graph, lone = Graph(wide, decoder), Graph(loaded.model._graph.session, decoder)
    layout = KVLayout(
        graph.kv_names,
        heads=decoder.num_key_value_heads,
        length=256,
        head_size=decoder.head_size,
        dtype=graph.kv_dtype,
    )
    vocabulary = loaded.model.vocabulary
    model = OnnxModel(
        graph, layout, HostCache(layout, 5), slots=5, chunk=64, vocabulary=vocabulary, lone=lone
    )
    prompt = prompts[1]
    tokens, wanted = list(prompt), reference.greedy(prompt, 12)
    scores = model.prefill(0, prompt, 0)
    for rows in (1, 5, 4, 3, 1, 2, 5, 1, 4, 5, 3, 5):
        tokens.append(int(scores[0].argmax()))
        scores = model.decode([tokens[-1]] + [7] * (rows - 1), [len(tokens) - 1] + [0] * (rows - 1))
    assert tokens[len(prompt) :] == wanted


@pytest.mark.parametrize("device", [False, True])
def test_copied_rows_go_on_as_their_original(
    loaded: LoadedModel, reference: Any, prompts: list[list[int]], device: bool
) -> None:
    """In numpy's memory and outside of it; what the row held before is forgotten."""
    model = on_a_device(loaded) if device else loaded.model
    prompt, other = prompts[1], prompts[3]
    model.prefill(0, prompt[:-1], 0)
    model.prefill(2, other, 0)
    model.copy(0, 2, len(prompt) - 1)
    scores = model.decode([prompt[-1], 0, prompt[-1]], [len(prompt) - 1, 0, len(prompt) - 1])
    np.testing.assert_allclose(scores[0], reference.scores(prompt), **CLOSE)
    np.testing.assert_allclose(scores[2], scores[0], **CLOSE)


def test_copies_that_are_wrong_or_fail_are_found(loaded: LoadedModel) -> None:
    """Then every answer reads its prompt by itself."""
    model = on_a_device(loaded)
    assert copies_rows(model)
    copy = model._cache.copy
    model._cache.copy = lambda source, target, length: None  # type: ignore[method-assign]
    assert not copies_rows(model)

    def fail(*args: Any) -> None:
        raise RuntimeError("no kernel")

    model._cache.copy = fail  # type: ignore[method-assign]
    assert not copies_rows(model)
    model._cache.copy = copy  # type: ignore[method-assign]
    model.can_copy = False
    assert copies_rows(model)


def test_a_row_can_be_filled_to_its_end(loaded: LoadedModel, reference: Any) -> None:
    """The last place is as good as the first."""
    model = loaded.model
    tokens = [(11 * i + 5) % model.vocabulary for i in range(model.context_length)]
    for start in range(0, len(tokens) - 1, 200):
        model.prefill(1, tokens[start : start + 200][: len(tokens) - 1 - start], start)
    scores = model.decode([0, tokens[-1]], [0, len(tokens) - 1])
    np.testing.assert_allclose(scores[1], reference.scores(tokens), **CLOSE)


def test_memory_outside_of_numpy_is_bound_the_same_way(
    loaded: LoadedModel, reference: Any, prompts: list[list[int]]
) -> None:
    """What a GPU uses, with the CPU as its device: the arithmetic on addresses is the same."""
    model = on_a_device(loaded)
    assert not model.can_swap
    check_rows(model)
    assert greedy(model, 2, prompts[1], 8, 16) == reference.greedy(prompts[1], 8)
    with pytest.raises(NotImplementedError):
        model.swap(0, 1, 1)
    assert copies_rows(model)


def entry(name: str, kind: str = "tensor(float)", shape: Sequence[Any] = (1, 2, "n", 8)) -> Any:
    return SimpleNamespace(name=name, type=kind, shape=list(shape))


def session(**changes: Any) -> Any:
    """A session of one layer, as the exporter makes them, with some entries changed."""
    integers = "tensor(int64)"
    entries = {
        "input_ids": entry("input_ids", integers),
        "attention_mask": entry("attention_mask", integers),
        "past_key_values.0.key": entry("past_key_values.0.key"),
        "past_key_values.0.value": entry("past_key_values.0.value"),
        "logits": entry("logits", shape=("b", "n", 50)),
    } | changes
    logits = entries.pop("logits")
    inputs = [one for one in entries.values() if one is not None]
    return SimpleNamespace(get_inputs=lambda: inputs, get_outputs=lambda: [logits])


DECODER = Decoder("model.onnx", head_size=8, num_hidden_layers=1, num_key_value_heads=2)


def test_a_graph_tells_its_types_and_sizes() -> None:
    """Half precision, positions, and scores of the last place only are found out."""
    graph = Graph(
        session(
            position_ids=entry("position_ids", "tensor(int64)"),
            logits=entry("logits", "tensor(float16)", ("b", 1, "v")),
        ),
        DECODER,
    )
    assert graph.has_positions
    assert graph.last_only
    assert graph.vocabulary is None
    assert graph.logits_dtype is np.float16
    assert graph.kv_dtype is np.float32
    assert graph.kv_names == [
        ("past_key_values.0.key", "present.0.key"),
        ("past_key_values.0.value", "present.0.value"),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input_ids": None}, "not a decoder"),
        ({"pixel_values": entry("pixel_values")}, "pixel_values"),
        ({"logits": entry("scores")}, "an output logits"),
        ({"past_key_values.0.key": entry("past_key_values.0.key", "tensor(bfloat16)")}, "bfloat16"),
        (
            {"past_key_values.0.key": entry("past_key_values.0.key", shape=("b", 7, "n", 8))},
            "7 heads",
        ),
        ({"input_ids": entry("input_ids", "tensor(float)")}, "input_ids"),
    ],
)
def test_a_graph_of_another_kind_is_refused(changes: dict[str, Any], said: str) -> None:
    """With a sentence that says what it is."""
    with pytest.raises(ModelUnavailable, match=said):
        Graph(session(**changes), DECODER)


class RecordingSession:
    """Takes bindings and runs, and notes what was bound."""

    def __init__(self) -> None:
        plain = session(position_ids=entry("position_ids", "tensor(int64)"))
        self.get_inputs, self.get_outputs = plain.get_inputs, plain.get_outputs
        self.bound: dict[str, Any] = {}
        self.runs: list[dict[str, Any]] = []

    def io_binding(self) -> Any:
        return self

    def bind_cpu_input(self, name: str, array: Any) -> None:
        self.bound[name] = array

    def bind_input(self, name: str, *where: Any) -> None:
        self.bound[name] = where

    def bind_output(self, name: str, *where: Any) -> None:
        self.bound[name] = where

    def run_with_iobinding(self, binding: Any, settings: Any = None) -> None:
        self.runs.append(
            {k: np.copy(v) if hasattr(v, "shape") else v for k, v in self.bound.items()}
        )


@pytest.fixture
def recording() -> RecordingSession:
    return RecordingSession()


@pytest.fixture
def recorded(recording: RecordingSession, monkeypatch: pytest.MonkeyPatch) -> OnnxModel:
    """A model whose session only notes what it is given."""
    layout = KVLayout(
        Graph(recording, DECODER).kv_names, heads=2, length=16, head_size=8, dtype=np.float32
    )
    cache = SimpleNamespace(can_swap=True, can_copy=True, bind=lambda binding, first, rows: None)
    return OnnxModel(Graph(recording, DECODER), layout, cache, slots=3, chunk=8, vocabulary=50)


def test_positions_are_given_to_graphs_that_ask(
    recording: RecordingSession, recorded: OnnxModel
) -> None:
    """The places of a prompt's piece, and each row's own place in a decode step."""
    recorded.prefill(0, [5, 6, 7], 4)
    recorded.decode([1, 2], [9, 3])
    first, second = recording.runs
    assert first["position_ids"].tolist() == [[4, 5, 6]]
    assert first["attention_mask"].tolist() == [[1] * 7]
    assert second["position_ids"].tolist() == [[9], [3]]
    assert second["attention_mask"].sum(axis=1).tolist() == [10, 4]
    assert second["attention_mask"].shape == (2, 10)


@pytest.mark.parametrize(("last_only", "scored"), [(False, 3), (True, 1)])
def test_no_more_scores_are_asked_for_than_the_graph_gives(
    recording: RecordingSession, last_only: bool, scored: int
) -> None:
    """One that scores only a prompt's last place needs room for one row."""
    if last_only:
        recording.get_outputs = lambda: [entry("logits", shape=("b", 1, 50))]
    graph = Graph(recording, DECODER)
    layout = KVLayout(graph.kv_names, heads=2, length=16, head_size=8, dtype=np.float32)
    cache = SimpleNamespace(can_swap=True, can_copy=True, bind=lambda binding, first, rows: None)
    model = OnnxModel(graph, layout, cache, slots=3, chunk=8, vocabulary=50)
    assert model.prefill(0, [5, 6, 7], 0).shape == (1, 50)
    assert recording.runs[-1]["logits"][3] == (1, scored, 50)
