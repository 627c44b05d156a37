"""The real ExLlamaV2, over a stand-in for its compiled extension; where it is missing, the tests that import this skip."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("exllamav2") is None:
    pytest.skip(
        "ExLlamaV2 is not in this environment: `make test-exllama` makes one and runs these tests there",
        allow_module_level=True,
    )

sys.path.insert(0, str(Path(__file__).parent / "standin"))

import exllamav2
import exllamav2.attn
import exllamav2.generator
import torch

__all__ = ["exllamav2", "torch"]
