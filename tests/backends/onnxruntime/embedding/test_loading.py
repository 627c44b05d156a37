"""From options to a model: what is checked at load, and what an operator is told."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.backends.onnxruntime.embedding.conftest import Tiny, tiny_graph

from hoonify_backends.onnxruntime.embedding import loading
from hoonify_backends.onnxruntime.embedding.loading import (
    LoadedEmbeddings,
    check_batches,
    load_embeddings,
)
from hoonify_backends.onnxruntime.embedding.options import OnnxEmbeddingOptions
from hoonify_router.api import Unavailable
from hoonify_router.errors import ModelUnavailable

LOG = logging.getLogger(__name__)


def load(options: OnnxEmbeddingOptions, **changes: Any) -> LoadedEmbeddings:
    return load_embeddings(msgspec.structs.replace(options, **changes), LOG, lambda stage: None)


def test_the_real_model_knows_itself(loaded: LoadedEmbeddings) -> None:
    """Where it runs, and what it found in its folder."""
    assert loaded.device == "cpu"
    assert loaded.max_length == 256
    assert loaded.details["dimensions"] == "384"
    assert loaded.details["provider"] == "CPUExecutionProvider"
    assert loaded.details["pooling"] == "mean"
    assert 80e6 < loaded.memory_bytes < 100e6


def test_stages_are_told(tiny: Tiny) -> None:
    """An operator sees what takes so long."""
    stages: list[str] = []
    load_embeddings(tiny(), LOG, stages.append)
    assert stages == ["reading the model's folder", "loading weights", "checking the model"]


def test_paths_count_from_the_working_directory(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is the configuration's folder in a worker."""
    options = tiny()
    monkeypatch.chdir(Path(options.model).parent)
    assert load(options, model="tiny").max_length == 16


def test_the_graph_may_do_all_of_it(tiny: Tiny) -> None:
    """Then the folder may ask for what this engine does not do; an explicit pooling takes the tokens."""
    modules = [{"type": "x.Transformer"}, {"type": "x.Dense"}, {"type": "x.Normalize"}]
    whole = tiny_graph(outputs=["token_embeddings", "sentence_embedding"])
    options = tiny(graph=whole, modules=modules)
    assert load(options).details["pooling"] == "in the graph (sentence_embedding)"
    with pytest.raises(ModelUnavailable, match="does not do a module Dense"):
        load(options, pooling="mean")


def test_inputs_that_see_each_other_are_found(tiny: Tiny) -> None:
    """As where an export lost its mask: every vector would depend on who else asks."""
    with pytest.raises(ModelUnavailable, match="other vectors for several inputs at once"):
        load(tiny(graph=tiny_graph(leaky=True)))


class Off:
    """A model whose vectors are off by an angle when they are made together."""

    def __init__(self, angle: float) -> None:
        self._angle = angle

    def embed(self, rows: Any) -> Any:
        angle = self._angle if len(rows) > 1 else 0.0
        return np.array([[np.cos(angle), np.sin(angle)]] * len(rows), np.float32)


@pytest.mark.parametrize(
    ("angle", "warned"), [(0.0, False), (0.001, False), (0.1, True), (0.15, True)]
)
def test_small_differences_are_told(
    angle: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Quantized activations are scaled over a whole call; a home works with them all the same."""
    model: Any = Off(angle)
    assert check_batches(model, [np.array([1], np.int32)] * 3, LOG) == 2
    assert bool(caplog.records) == warned


@pytest.mark.parametrize("angle", [0.4, 3.0, float("nan")])
def test_large_differences_are_refused(angle: float) -> None:
    """Half precision that overflows gives no numbers at all, and is refused too."""
    model: Any = Off(angle)
    with pytest.raises(ModelUnavailable):
        check_batches(model, [np.array([1], np.int32)] * 3, LOG)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "nowhere"}, "no folder"),
        ({"file": "other.onnx"}, "no file"),
        ({"max_length": 17}, "max_length: 17 is over the model's 16"),
        ({"matryoshka": [2, 5]}, "matryoshka: 5 is over the model's 4 dimensions"),
    ],
)
def test_impossible_wishes_are_refused(tiny: Tiny, changes: dict[str, Any], said: str) -> None:
    """With the option's name and the numbers, in one line."""
    with pytest.raises(ModelUnavailable, match=said) as caught:
        load(tiny(), **changes)
    assert "\n" not in caught.value.message


def test_a_short_max_length_is_no_trouble_for_the_check(tiny: Tiny) -> None:
    """Its texts are cut to what the model may read."""
    assert load(tiny(), max_length=1).max_length == 1


def test_a_clash_of_libraries_is_told_first(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else means anything then."""
    monkeypatch.setattr(loading, "clashing_libraries", lambda: Unavailable("broken", "uninstall"))
    with pytest.raises(ModelUnavailable, match="uninstall"):
        load(tiny())


@pytest.mark.parametrize(("wish", "tokens"), [(None, 512), (77, 77)])
def test_how_much_a_call_reads(tiny: Tiny, wish: int | None, tokens: int) -> None:
    """The operator's word, or what suits a CPU."""
    assert load(tiny(), batch_tokens=wish).batch_tokens == tokens
