"""Why a home for embeddings cannot run here, found without an engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.backends.onnxruntime.embedding.conftest import Tiny

from hoonify_backends.onnxruntime import OnnxEmbeddingOptions, hoonify_register_backends
from hoonify_backends.onnxruntime import availability as shared
from hoonify_backends.onnxruntime.embedding.availability import check
from hoonify_router.api import HomeConfig, WorkerBackend

HOME = HomeConfig("onnxruntime_embeddings")


def test_the_backend_is_registered() -> None:
    """By its name, for embeddings only, with an engine that exists."""
    backend = {backend.name: backend for backend in hoonify_register_backends()}[HOME.backend]
    assert isinstance(backend, WorkerBackend)
    assert (backend.check, backend.tasks) == (check, frozenset({"embedding"}))
    module, _, name = backend.engine.partition(":")
    __import__(module)
    engine = getattr(sys.modules[module], name)
    assert engine.options_type is backend.options is OnnxEmbeddingOptions


def test_looking_imports_nothing_heavy(tiny: Tiny) -> None:
    """The router's processes look at every home, and never import an engine."""
    code = (
        "import sys; from pathlib import Path;"
        "from hoonify_backends.onnxruntime.embedding.availability import check;"
        "from hoonify_backends.onnxruntime import OnnxEmbeddingOptions as Options;"
        "from hoonify_router.api import HomeConfig;"
        f"assert check(Options({tiny().model!r}), HomeConfig('x'), Path()) is None;"
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'jinja2'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_good_home_is_good(tiny: Tiny) -> None:
    """Its folder counts from the configuration's."""
    folder = Path(tiny().model)
    assert check(OnnxEmbeddingOptions(folder.name), HOME, folder.parent) is None


def test_what_is_missing_is_told(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder, a GPU, the library."""
    options = tiny()
    missing = check(OnnxEmbeddingOptions("nowhere"), HOME, tmp_path)
    assert missing is not None
    assert missing.reason == "The model's folder is missing."
    assert str(tmp_path / "nowhere") in missing.detail
    monkeypatch.setattr(shared, "has_nvidia_device", lambda: False)
    no_gpu = check(msgspec.structs.replace(options, provider="cuda"), HOME, tmp_path)
    assert no_gpu is not None
    assert "NVIDIA GPU" in no_gpu.reason
    monkeypatch.setattr(shared.importlib.util, "find_spec", lambda name: None)
    no_library = check(options, HOME, tmp_path)
    assert no_library is not None
    assert "not installed" in no_library.reason
    assert check(options, HomeConfig(HOME.backend, python="other"), tmp_path) is None
