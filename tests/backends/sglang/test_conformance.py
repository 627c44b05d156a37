"""The conformance kit on a real SGLang server, on the CPU."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from tests.backends.sglang.servers import interpreter
from tests.e2e.conftest import ROOT

from hoonify_router.testing import BackendConformance

_PYTHON = interpreter("cpu")

pytestmark = [
    pytest.mark.sglang,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        _PYTHON is None,
        reason="SGLang's environment is not built: hoonify-router env sync sglang --accelerator cpu",
    ),
]


class TestSGLang(BackendConformance):
    """The model that ships, launched as any home is."""

    backend = "sglang"
    python = _PYTHON
    patience = 600.0
    options = MappingProxyType(
        {
            "model": str(ROOT / "models" / "tiny-chat" / "hf"),
            "device": "cpu",
            "context_length": 1024,
            # What a model was never taught it says only as a grammar has it: for this dialect SGLang's is whole.
            "tool_call_parser": "pythonic",
            "extra_args": ["--constrained-json-disable-any-whitespace"],
        }
    )
