"""How far an SGLang server has come, by the lines of its log."""

from __future__ import annotations

import re

from hoonify_router.api import LoadStep

_BAR = re.compile(r"^\s*(?P<name>[^%|]*?):?\s+\d{1,3}%.*?(?P<done>\d+)/(?P<total>\d+)")
_PREFIX = re.compile(r"^\[[^\]]*\]\s*")
_BRACKETS = re.compile(r"\s*\([^)]*\)")

_STAGES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), stage)
    for pattern, stage in (
        (r"^server_args=|^init parallel|^init torch distributed", "starting"),
        (r"checkpoint shards|loading shards|^load weight", "loading weights"),
        (r"^fetching \d+ files|^downloading", "downloading weights"),
        (r"^captur|cuda graph (begin|end|capture)", "capturing graphs"),
        (r"^kv cache is allocated|^memory pool|^max_total_num_tokens", "allocating the KV cache"),
        (r"deep_?gemm.*(warm|compil)|^jit|autotun", "compiling kernels"),
        (r"application startup complete|server is fired up", "starting the server"),
    )
)


def read_progress(line: str) -> LoadStep | None:
    """Return how far a load has come, if the line tells; counts come from progress bars."""
    text = _PREFIX.sub("", line)
    bar = _BAR.match(text)
    stage = next((stage for pattern, stage in _STAGES if pattern.search(text)), "")
    if bar is not None:
        name = _BRACKETS.sub("", bar["name"]).strip().lower()
        return stage or name or "loading", int(bar["done"]), int(bar["total"])
    return (stage, 0, 0) if stage else None
