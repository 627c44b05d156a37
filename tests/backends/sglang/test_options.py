"""The SGLang backend's record and options."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hoonify_backends import sglang
from hoonify_backends.sglang import PARAMETERS, SGLangOptions
from hoonify_router.types import ChatRequest, CompletionRequest, EmbeddingRequest


def test_it_registers_one_server_backend() -> None:
    """With the request fields that SGLang honours, all of them ours."""
    (backend,) = sglang.hoonify_register_backends()
    assert (backend.name, backend.kind) == ("sglang", "server")
    kinds = (ChatRequest, CompletionRequest, EmbeddingRequest)
    assert frozenset(name for kind in kinds for name in kind.__struct_fields__) > PARAMETERS
    assert backend.tasks == {"chat", "completion", "embedding"}
    assert "functions" not in PARAMETERS


@pytest.mark.parametrize(
    "wrong",
    [
        {"tensor_parallel": 0},
        {"tensor_parallel": "8"},
        {"mem_fraction_static": 1.0},
        {"mem_fraction_static": 0},
        {"kv_cache_dtype": "fp7"},
        {"chunked_prefill_size": -2},
        {"tensor_parralel": 8},
        {"device": "tpu"},
        {"node_rank": -1},
        {"extra_args": "--page-size 16"},
    ],
)
def test_options_are_strict(wrong: dict[str, Any]) -> None:
    """A mistake is refused when the file is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, SGLangOptions)
