"""The SGLang backend: attaches to servers that run, and says so where it cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_backends import sglang
from hoonify_backends.sglang import PARAMETERS, SGLangOptions, check
from hoonify_router.api import HomeConfig
from hoonify_router.types import ChatRequest, CompletionRequest, EmbeddingRequest

HERE = Path(__file__).parent
OPTIONS = SGLangOptions(model="Qwen/Qwen3-235B")


def installed(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """Let it look as if SGLang were installed here, or not."""
    real = importlib.util.find_spec
    spec = importlib.util.spec_from_loader("sglang", loader=None)

    def find_spec(name: str, package: str | None = None) -> Any:
        return (spec if there else None) if name == "sglang" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def test_it_registers_one_server_backend() -> None:
    """With the request fields that SGLang honours, all of them ours."""
    (backend,) = sglang.hoonify_register_backends()
    assert (backend.name, backend.kind) == ("sglang", "server")
    kinds = (ChatRequest, CompletionRequest, EmbeddingRequest)
    assert frozenset(name for kind in kinds for name in kind.__struct_fields__) > PARAMETERS
    assert backend.tasks == {"chat", "completion", "embedding"}
    assert "functions" not in PARAMETERS


def test_with_a_url_it_attaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not SGLang is installed on this machine."""
    home = HomeConfig("sglang", url="http://gpu-1:30000")
    for there in (True, False):
        installed(monkeypatch, there)
        assert check(OPTIONS, home, HERE) is None
    assert check(OPTIONS, HomeConfig("sglang", url="nonsense"), HERE) is not None


def test_without_sglang_the_operator_reads_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients read that it is missing; to install it would not help the operator yet."""
    installed(monkeypatch, there=False)
    refused = check(OPTIONS, HomeConfig("sglang"), HERE)
    assert refused is not None
    assert refused.reason == "The sglang backend is not installed here."
    assert "url:" in refused.detail
    assert "pip install" not in refused.detail


def test_with_sglang_the_operator_reads_that_it_is_not_launched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same where another interpreter may have it."""
    for there, python in ((True, None), (False, "/opt/sglang/bin/python")):
        installed(monkeypatch, there)
        refused = check(OPTIONS, HomeConfig("sglang", python=python), HERE)
        assert refused is not None
        assert refused.reason == "This version attaches to running SGLang servers only."
        assert "url:" in refused.detail


@pytest.mark.parametrize(
    "wrong",
    [
        {"tensor_parallel": 0},
        {"tensor_parallel": "8"},
        {"memory_fraction": 1.0},
        {"memory_fraction": 0},
        {"kv_cache_dtype": "fp7"},
        {"chunked_prefill": -2},
        {"tensor_parralel": 8},
    ],
)
def test_options_are_strict(wrong: dict[str, Any]) -> None:
    """A mistake is refused when the file is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, SGLangOptions)


def test_options_of_the_large_models_are_taken() -> None:
    """As the shipped configuration has them."""
    options = msgspec.convert(
        {
            "model": "deepseek-ai/DeepSeek-R1",
            "tensor_parallel": 8,
            "expert_parallel": 2,
            "context_length": 131072,
            "memory_fraction": 0.88,
            "reasoning_parser": "deepseek-r1",
        },
        SGLangOptions,
    )
    assert options.tensor_parallel == 8
