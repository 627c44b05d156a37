"""Why a home of onnxruntime-genai cannot run here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec
import pytest

from hoonify_backends.onnxruntime import availability
from hoonify_backends.onnxruntime.genai.availability import check
from hoonify_backends.onnxruntime.genai.options import GenaiOptions
from hoonify_router.api import HomeConfig

HOME = HomeConfig("onnxruntime_genai", python="/opt/genai/bin/python")


def test_the_library_is_looked_for_in_our_own_interpreter_only(
    monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    """Another one is asked by the router."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    options = GenaiOptions(str(model_path))
    refused = check(options, msgspec.structs.replace(HOME, python=None), Path())
    assert refused is not None
    assert refused.detail == "run: hoonify-router env sync onnxruntime_genai"
    assert check(options, HOME, Path()) is None


def test_a_gpu_and_a_folder_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, model_path: Path, tmp_path: Path
) -> None:
    """Each missing one is a reason."""
    monkeypatch.setattr(availability, "has_nvidia_device", lambda: False)
    wishes = [
        (GenaiOptions(str(model_path), provider="cuda"), "there is none"),
        (GenaiOptions(str(tmp_path / "none")), "no folder"),
    ]
    for options, told in wishes:
        refused = check(options, HOME, Path())
        assert refused is not None
        assert told in f"{refused.reason} {refused.detail}"
