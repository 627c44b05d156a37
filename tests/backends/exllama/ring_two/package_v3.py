"""The real ExLlamaV3, over a stand-in for its compiled extension; where it is missing, the tests that import this skip."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

import pytest

if importlib.util.find_spec("exllamav3") is None:
    pytest.skip(
        "ExLlamaV3 is not in this environment: `make test-exllama` makes one and runs these tests there",
        allow_module_level=True,
    )

import torch


class Extension(types.ModuleType):
    """What its scheduler calls of the compiled extension; all else needs a GPU."""

    def generator_stage_decode(self, arena: Any, width: int, *tables: Any) -> None:
        """Write one step's tables, and its tokens into their pages."""
        pages, places, _, batch, sequences, page_tokens, page_places = tables
        rows = len(pages)
        arena[: rows * width] = 0
        table = arena[: rows * width].view(rows, width)
        for row, (known, place) in enumerate(zip(pages, places, strict=True)):
            count = min(known.numel(), width)
            table[row, :count] = known.view(-1)[:count]
            arena[rows * width + row] = place
        for row, tokens in enumerate(sequences):
            token = tokens.view(-1)[places[row]]
            batch[row, 0] = token
            page_tokens[row].view(-1)[page_places[row]] = token

    def count_match_tensor(self, a: Any, b: Any, most: int) -> int:
        """Return how many first tokens of two rows are the same."""
        size = min(int(most), a.shape[-1], b.shape[-1])
        same = a[0, :size] == b[0, :size]
        return size if bool(same.all()) else int((~same).nonzero()[0])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def needs_gpu(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(f"{name} of the compiled extension was called: it needs a GPU")

        return needs_gpu


class Unpinned:
    """torch for a module that pins memory for a GPU, where there is none."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def empty(*args: Any, pin_memory: bool = False, **kwargs: Any) -> Any:
        return torch.empty(*args, **kwargs)

    @staticmethod
    def zeros(*args: Any, pin_memory: bool = False, **kwargs: Any) -> Any:
        return torch.zeros(*args, **kwargs)

    class cuda:
        """Nothing runs ahead that could be waited for."""

        @staticmethod
        def synchronize(*args: Any) -> None: ...


_NAME = "exllamav3_ext"
_FILE = _NAME + importlib.machinery.EXTENSION_SUFFIXES[0]  # taken for a compiled one
_extension = Extension(_NAME)
_extension.__spec__ = importlib.machinery.ModuleSpec(_NAME, loader=object(), origin=_FILE)  # type: ignore[arg-type]
_extension.__file__ = _FILE
sys.modules[_NAME] = _extension

import exllamav3  # noqa: E402 - not before its extension is there
import exllamav3.generator.generator  # noqa: E402

exllamav3.generator.generator.torch = Unpinned()

__all__ = ["exllamav3", "torch"]
