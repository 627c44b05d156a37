"""The real ExLlamaV2, over a stand-in for its compiled extension; where it is missing, the tests that import this skip."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

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
import exllamav2.stloader
import exllamav2.vlm.vision_tower
import torch


class Unhurried:
    """torch for a module that waits for a GPU, where there is none."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    class cuda:
        """Nothing runs ahead that could be waited for."""

        @staticmethod
        def synchronize(*args: Any) -> None: ...


def stay(tensor: Any, device: Any, non_blocking: bool = False) -> Any:
    """Return a tensor where it is: there is one place."""
    return tensor


exllamav2.stloader.torch = Unhurried()
exllamav2.vlm.vision_tower.safe_move_tensor = stay

__all__ = ["exllamav2", "torch"]
