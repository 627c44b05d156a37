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
    """What its scheduler and its vision towers call of the compiled extension; all else needs a GPU."""

    class BC_LinearFP16:
        """A handle for kernels of other parts; a tower's matrices are multiplied by torch."""

        def __init__(self, *tensors: Any) -> None: ...

    def rms_norm(self, rows: Any, weight: Any, out: Any, epsilon: float, *rest: Any) -> None:
        """Norm rows by their size."""
        bias, scale, _, added = rest[:4]
        plain = rows.float()
        normed = plain * plain.pow(2).mean(-1, keepdim=True).add(epsilon).rsqrt()
        normed *= (weight.float() + bias) * scale
        out.copy_(out.float() + normed if added else normed)

    def rms_norm_res_in(
        self, rows: Any, weight: Any, out: Any, residual: Any, epsilon: float, *rest: Any
    ) -> None:
        """Add rows to what they were, and norm the sum."""
        residual += rows
        self.rms_norm(residual, weight, out, epsilon, *rest, False, False)

    def hgemm(self, rows: Any, weight: Any, out: Any) -> None:
        """Multiply matrices."""
        out.copy_(rows.float() @ weight.float())

    def silu_mul(self, gate: Any, up: Any, out: Any, limit: float) -> None:
        """Let one half of a layer say how much of the other goes on."""
        out.copy_(torch.nn.functional.silu(gate.float()) * up.float())

    def gelu(self, rows: Any, out: Any) -> None:
        """Bend numbers."""
        out.copy_(torch.nn.functional.gelu(rows.float(), approximate="tanh"))

    def rope(self, q: Any, q_out: Any, k: Any, k_out: Any, angles: Any, *rest: Any) -> None:
        """Turn the two halves of each head by the angles of their places in the image."""
        places = rest[2]
        for heads, out in ((q, q_out), (k, k_out)):
            turned = angles[places][:, :, None].float()
            first, second = heads.float().chunk(2, -1)
            cos, sin = turned.cos(), turned.sin()
            out.copy_(torch.cat((first * cos - second * sin, second * cos + first * sin), -1))

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
import exllamav3.modules.attn  # noqa: E402

exllamav3.generator.generator.torch = Unpinned()


def attend(q: Any, k: Any, v: Any, sm_scale: float, **rest: Any) -> Any:
    """Let every patch of an image see every other, by torch: a tower's attention."""
    if rest["causal"] or rest["cu_seqlens"] is not None:
        raise NotImplementedError("this stand-in is for towers")
    heads = (one.transpose(1, 2) for one in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(*heads, scale=sm_scale).transpose(1, 2)


exllamav3.modules.attn.attn_dispatch = attend

__all__ = ["exllamav3", "torch"]
