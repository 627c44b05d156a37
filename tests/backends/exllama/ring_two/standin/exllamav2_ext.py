"""A stand-in for ExLlamaV2's compiled extension: what its scheduler, its cache and its sampler call on a CPU.

ExLlamaV2 imports a module of this name before it thinks of compiling one, so the package itself runs as it is. A
function that is not here needs a GPU, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_GREEDY_BELOW = 0.01


def count_match(a: torch.Tensor, b: torch.Tensor, most: int) -> int:
    """Return how many first tokens of two rows are the same."""
    size = min(int(most), a.shape[-1], b.shape[-1])
    for place in range(size):
        if a[0, place] != b[0, place]:
            return place
    return size


def cache_rotate(cache: torch.Tensor, order: torch.Tensor, buffer: torch.Tensor) -> None:
    """Let each page named take the content of the next one named, the last one that of the first."""
    pages = order.tolist()
    cache[pages] = cache[[*pages[1:], pages[0]]].clone()


def fast_fill_cpu_ones_bool(mask: torch.Tensor) -> None:
    """Let all tokens through."""
    mask.fill_(True)


def sample_basic(logits: torch.Tensor, temperature: float, top_k: int, *rest: Any) -> list[float]:
    """Take the likeliest token: all that a sampler is asked for whose choice is made already."""
    if not (temperature < _GREEDY_BELOW or top_k == 1):
        raise NotImplementedError("this stand-in takes the likeliest token only")
    out_tokens, out_probs = rest[6:8]
    for row in range(logits.shape[0]):
        out_tokens[row, 0] = logits[row, 0].argmax()
        out_probs[row, 0] = 1.0
    return []


def stloader_read(file: str, offset: int, size: int, tensor: torch.Tensor) -> None:
    """Read a tensor's bytes from a file."""
    with open(file, "rb") as reader:
        reader.seek(offset)
        read = torch.frombuffer(bytearray(reader.read(size)), dtype=tensor.dtype)
    tensor.copy_(read.view(tensor.shape))


def rms_norm(
    rows: torch.Tensor, weight: torch.Tensor, out: torch.Tensor, epsilon: float, *rest: Any
) -> None:
    """Norm rows by their size."""
    plain = rows.float()
    out.copy_(plain * plain.pow(2).mean(-1, keepdim=True).add(epsilon).rsqrt() * weight.float())


def layer_norm(
    rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, epsilon: float
) -> None:
    """Norm rows by their mean and size."""
    shift = None if bias.is_meta else bias.float()
    out.copy_(
        torch.nn.functional.layer_norm(
            rows.float(), rows.shape[-1:], weight.float(), shift, epsilon
        )
    )


def rope_(
    heads: torch.Tensor,
    sin: torch.Tensor,
    cos: torch.Tensor,
    past: int,
    *rest: Any,
) -> None:
    """Turn the two halves of each head by the angles of their places."""
    _, size, _, halves = rest
    if not halves:
        raise NotImplementedError("this stand-in turns halves only")
    length = heads.shape[1]
    first, second = heads.float().chunk(2, -1)
    cosines, sines = (
        table.reshape(-1, table.shape[-1])[past : past + length, None, : size // 2].float()
        for table in (cos, sin)
    )
    heads.copy_(torch.cat((first * cosines - second * sines, second * cosines + first * sines), -1))


def gen_mrope_pos_ids(
    places: torch.Tensor,
    tokens: torch.Tensor,
    merge: int,
    spans: list[tuple[int, int]],
    grids: list[tuple[int, int, int]],
) -> int:
    """Write each token's place in time, height and width, and return the next one's."""
    base = following = 0
    for place, token in enumerate(tokens.tolist()):
        its = next((one for one, (a, b) in enumerate(spans) if a <= token < b), None)
        if its is None:
            base = following
            places[:, place] = base
            following = base + 1
            base = following
            continue
        number = token - spans[its][0]
        times, height, width = grids[its]
        height, width = height // merge, width // merge
        where = (number // width // height % times, number // width % height, number % width)
        for axis, value in enumerate(where):
            places[axis, place] = base + value
            following = max(following, base + value + 1)
    return following


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    def needs_gpu(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{name} of the compiled extension was called: it needs a GPU")

    return needs_gpu
