"""From options to a model: what is refused, and why."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hoonify_backends.onnxruntime import loading, sessions
from hoonify_backends.onnxruntime.loading import (
    LoadedModel,
    check_rows,
    load_model,
)
from hoonify_backends.onnxruntime.options import OnnxOptions
from hoonify_router.api import Unavailable
from hoonify_router.errors import ModelUnavailable

LOG = logging.getLogger(__name__)


def load(options: OnnxOptions, **changes: Any) -> LoadedModel:
    return load_model(msgspec.structs.replace(options, **changes), LOG, lambda stage: None)


def test_a_loaded_model_knows_itself(loaded: LoadedModel, model_path: Path) -> None:
    """Where it runs, how much memory it takes, and what its folder says."""
    model = loaded.model
    assert loaded.device == "cpu"
    assert loaded.details["provider"] == "CPUExecutionProvider"
    assert (model.slots, model.context_length) == (4, loaded.folder.config.model.context_length)
    assert loaded.memory_bytes > (model_path / "model.onnx").stat().st_size
    assert loaded.folder.path == model_path


def test_stages_are_told(options: OnnxOptions) -> None:
    """An operator sees what takes so long."""
    stages: list[str] = []
    load_model(msgspec.structs.replace(options, max_length=32), LOG, stages.append)
    assert stages[0] == "reading the model's folder"
    assert "loading weights" in stages


def test_paths_count_from_the_working_directory(
    options: OnnxOptions, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is the configuration's folder in a worker."""
    monkeypatch.chdir(model_path.parent)
    assert load(options, model=model_path.name, max_length=32).folder.path == model_path


def test_a_shorter_context_takes_less_memory(options: OnnxOptions, loaded: LoadedModel) -> None:
    """``max_length`` is what prompt and answer may take together."""
    short = load(options, max_length=64)
    assert short.model.context_length == 64
    assert short.memory_bytes < loaded.memory_bytes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_length": 1_000_000}, "max_length: 1000000 is over the model's"),
        ({"kv_memory_gib": 0.0001}, "over kv_memory_gib: 0.0001"),
        ({"kv_memory_gib": 0.0001, "slots": None}, "keys and values of 1 x"),
        ({"model": "nowhere"}, "no folder"),
    ],
)
def test_impossible_wishes_are_refused(
    options: OnnxOptions, changes: dict[str, Any], said: str
) -> None:
    """With the option's name and the numbers."""
    with pytest.raises(ModelUnavailable, match=said):
        load(options, **changes)


def test_slots_follow_from_the_budget(options: OnnxOptions, loaded: LoadedModel) -> None:
    """As many as fit, when the operator names none."""
    row = (loaded.memory_bytes - _weights(loaded)) / loaded.model.slots
    budget = 2.5 * row / 1024**3
    assert load(options, slots=None, kv_memory_gib=budget).model.slots == 2


def _weights(loaded: LoadedModel) -> int:
    return sum(file.stat().st_size for file in loaded.folder.path.glob("model.onnx*"))


def test_a_broken_file_is_ort_s_own_exception(
    options: OnnxOptions, model_path: Path, tmp_path: Path
) -> None:
    """It is told apart by ``failures``, where all of ONNX Runtime's exceptions are."""
    folder = tmp_path / "broken"
    shutil.copytree(model_path, folder)
    (folder / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(Exception, match="model") as caught:
        load(options, model=str(folder))
    assert caught.type.__module__.startswith("onnxruntime.")


def test_a_clash_of_installations_is_refused(
    options: OnnxOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in an interpreter of the home's own, which the router cannot look into."""
    monkeypatch.setattr(loading, "clashing_libraries", lambda: Unavailable("broken", "uninstall"))
    with pytest.raises(ModelUnavailable, match="uninstall"):
        load(options)


def test_a_gpu_that_is_not_there_is_refused_or_done_without(
    options: OnnxOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``cuda`` insists, ``auto`` falls back with a warning and says where it really runs."""
    import onnxruntime

    real = onnxruntime.InferenceSession

    def session(*args: Any, providers: Any, **more: Any) -> Any:
        """Fall back without a word, as ONNX Runtime does."""
        return real(*args, providers=["CPUExecutionProvider"], **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(sessions, "has_nvidia_device", lambda: True)
    with pytest.raises(ModelUnavailable, match="fell back to CPUExecutionProvider"):
        load(options, provider="cuda", max_length=32)
    fallen = load(options, provider="auto", max_length=32)
    assert fallen.device == "cpu"
    assert "running on CPUExecutionProvider instead" in caplog.text


def test_a_gpu_session_that_cannot_open_falls_back(
    options: OnnxOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of the GPU's provider is a reason for ``auto`` to use the CPU."""
    import onnxruntime

    real = onnxruntime.InferenceSession

    def session(*args: Any, providers: Any, **more: Any) -> Any:
        if providers[0][0] != "CPUExecutionProvider":
            raise RuntimeError("no kernel image")
        return real(*args, providers=providers, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(sessions, "has_nvidia_device", lambda: True)
    assert load(options, provider="auto", max_length=32).device == "cpu"
    assert "no kernel image" in caplog.text


@pytest.mark.parametrize("can_swap", [True, False])
@pytest.mark.parametrize("slots", [1, 2])
def test_rows_that_keep_to_themselves_pass(fake_model: Any, slots: int, can_swap: bool) -> None:
    """The check compares alone with together, whole with pieces."""
    check_rows(fake_model(slots=slots, can_swap=can_swap))


def test_rows_that_mix_are_found(fake_model: Any) -> None:
    """A kernel that ignores where each row stands gives other scores."""
    model = fake_model()
    decode = model.decode
    model.decode = lambda tokens, places: decode(tokens, [max(places)] * len(places))
    with pytest.raises(ModelUnavailable, match="several requests at once"):
        check_rows(model)


def test_scores_that_are_no_numbers_are_found(fake_model: Any) -> None:
    """Half precision that overflows on a device gives such."""
    model = fake_model()
    model.decode = lambda tokens, places: np.full((len(tokens), model.vocabulary), np.nan)
    with pytest.raises(ModelUnavailable):
        check_rows(model)


def test_few_answers_of_a_small_model_are_made_by_one_thread(
    options: OnnxOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operators are too short for several threads; prompts and steps of many rows have all of them."""
    opened: list[int] = []
    real = loading.open_session

    def note(*arguments: Any, **wishes: Any) -> Any:
        opened.append(wishes["threads"])
        return real(*arguments, **wishes)

    monkeypatch.setattr(loading, "open_session", note)
    monkeypatch.setattr(sessions, "usable_cores", lambda: 2)
    load(options, threads=2, max_length=32)
    assert opened == [2, 1]
    opened.clear()
    load(options, threads=1, max_length=32)
    assert opened == [1]
    opened.clear()
    monkeypatch.setattr(sessions, "usable_cores", lambda: 1)
    load(options, threads=2, max_length=32)
    assert opened == [2]
    opened.clear()
    monkeypatch.setattr(sessions, "usable_cores", lambda: 2)
    monkeypatch.setattr(loading, "_SMALL", 1)  # a large one is not kept in memory twice
    load(options, threads=2, max_length=32)
    assert opened == [2]
