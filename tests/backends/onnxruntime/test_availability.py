"""Why a home cannot run here: what clients may read, and what an operator should do."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_backends.onnxruntime import OnnxOptions, availability, hoonify_register_backends
from hoonify_backends.onnxruntime.availability import check
from hoonify_router.api import HomeConfig, Unavailable, WorkerBackend

HOME = HomeConfig("onnxruntime")


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Pretend that exactly these distributions are installed."""

    def distribution(name: str) -> object:
        if name not in names:
            raise PackageNotFoundError(name)
        return object()

    def find_spec(name: str) -> object | None:
        return object() if any(known.startswith("onnxruntime") for known in names) else None

    monkeypatch.setattr(availability, "distribution", distribution)
    monkeypatch.setattr(availability.importlib.util, "find_spec", find_spec)


def plain(problem: Unavailable | None) -> Unavailable:
    """Return the problem after checking that clients may read its reason."""
    assert problem is not None
    assert problem.reason.endswith(".")
    assert "/" not in problem.reason
    assert problem.detail
    return problem


def test_the_backend_is_registered() -> None:
    """By its name, with an engine that exists and options that are strict."""
    backend = hoonify_register_backends()[0]
    assert isinstance(backend, WorkerBackend)
    assert backend.name == "onnxruntime"
    assert backend.check is check
    module, _, name = backend.engine.partition(":")
    __import__(module)
    assert getattr(sys.modules[module], name).options_type is backend.options is OnnxOptions


def test_registering_imports_nothing_heavy() -> None:
    """The router's processes import this module, and never an engine."""
    code = (
        "import sys, hoonify_backends.onnxruntime;"
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'jinja2'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_complete_home_is_available(model_path: Path) -> None:
    """Relative to the configuration's folder."""
    assert check(OnnxOptions(model_path.name), HOME, model_path.parent) is None


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, model_path: Path) -> None:
    """The hint says what to install."""
    install(monkeypatch)
    problem = plain(check(OnnxOptions(str(model_path)), HOME, Path()))
    assert "pip install 'hoonify-router[onnx]'" in problem.detail


def test_both_flavours_at_once(monkeypatch: pytest.MonkeyPatch, model_path: Path) -> None:
    """They overwrite each other's files, and the last one installed wins silently."""
    install(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    problem = plain(check(OnnxOptions(str(model_path)), HOME, Path()))
    assert "uninstall" in problem.detail


@pytest.mark.parametrize("flavour", ["onnxruntime", "onnxruntime-gpu"])
def test_one_flavour_is_enough(
    monkeypatch: pytest.MonkeyPatch, model_path: Path, flavour: str
) -> None:
    """Either of them."""
    install(monkeypatch, flavour)
    assert check(OnnxOptions(str(model_path), provider="cpu"), HOME, Path()) is None


def test_an_interpreter_of_its_own_may_have_the_library(
    monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    """Then only files and devices are looked at."""
    install(monkeypatch)
    home = HomeConfig("onnxruntime", python="/opt/onnx/bin/python")
    assert check(OnnxOptions(str(model_path)), home, Path()) is None
    assert check(OnnxOptions("nowhere"), home, Path()) is not None


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_gpu_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, model_path: Path, provider: Any
) -> None:
    """Only where the operator demands one."""
    monkeypatch.setattr(availability, "has_nvidia_device", lambda: False)
    problem = plain(check(OnnxOptions(str(model_path), provider=provider), HOME, Path()))
    assert f"provider: {provider}" in problem.detail
    assert check(OnnxOptions(str(model_path), provider="auto"), HOME, Path()) is None
    monkeypatch.setattr(availability, "has_nvidia_device", lambda: True)
    monkeypatch.setattr(availability, "_is_installed", lambda name: name == "onnxruntime-gpu")
    assert check(OnnxOptions(str(model_path), provider=provider), HOME, Path()) is None


def test_a_gpu_needs_the_flavour_for_gpus(
    monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    """The one for the CPU is found out here, and not by a failed start; another interpreter has its own."""
    monkeypatch.setattr(availability, "has_nvidia_device", lambda: True)
    monkeypatch.setattr(availability, "_is_installed", lambda name: name == "onnxruntime")
    options = OnnxOptions(str(model_path), provider="cuda")
    problem = plain(check(options, HOME, Path()))
    assert problem.reason == "Its engine is installed for the CPU only."
    assert "env sync onnxruntime --accelerator cuda" in problem.detail
    elsewhere = msgspec.structs.replace(HOME, python="/opt/gpu/bin/python")
    assert check(options, elsewhere, Path()) is None
    assert check(OnnxOptions(str(model_path), provider="auto"), HOME, Path()) is None


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The path is for operators only."""
    problem = plain(check(OnnxOptions("models/none"), HOME, tmp_path))
    assert str(tmp_path / "models/none") in problem.detail
