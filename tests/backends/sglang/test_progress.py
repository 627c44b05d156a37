"""What SGLang's log says of its start, and how busy its servers say that they are."""

from __future__ import annotations

import pytest

from hoonify_backends.sglang.loads import read_loads
from hoonify_backends.sglang.progress import read_progress
from hoonify_router.types import Health


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (
            "Loading safetensors checkpoint shards:  25% Completed | 24/96 [00:01<00:03, 22.2it/s]",
            ("loading weights", 24, 96),
        ),
        (
            "Multi-thread loading shards: 100% Completed | 1/1 [00:00<00:00, 72.22it/s]",
            ("loading weights", 1, 1),
        ),
        (
            "Capturing batches (bs=128 avail_mem=8.25 GB):  30%|###    | 7/23 [00:03<00:05]",
            ("capturing graphs", 7, 23),
        ),
        ("Fetching 12 files:  50%|#####     | 6/12 [00:10<00:10]", ("downloading weights", 6, 12)),
        ("Sorting shoes:  50%|#####     | 6/12 [00:10<00:10]", ("sorting shoes", 6, 12)),
        (
            "[2026-11-29 17:16:38 TP0] Load weight begin. avail mem=78.00 GB",
            ("loading weights", 0, 0),
        ),
        (
            "[2026-11-29 17:16:39] KV Cache is allocated. dtype: torch.float32, #tokens: 8192",
            ("allocating the KV cache", 0, 0),
        ),
        (
            "[2026-11-29 17:16:39] INFO:     Application startup complete.",
            ("starting the server", 0, 0),
        ),
        ("[2026-11-29 17:16:38] Ignore import error when loading sglang.srt.models.mamba", None),
        ("[2026-11-29 17:16:38] Cuda graph is disabled because of using torch native", None),
        ("[2026-11-29 17:16:38] server_args={'jit': 1, 'deepgemm': 2}", ("starting", 0, 0)),
        ("", None),
    ],
)
def test_a_line_of_its_log(line: str, step: tuple[str, int, int] | None) -> None:
    """Bars are counted, other lines name the stage."""
    assert read_progress(line) == step


def test_loads_of_all_ranks_add_up() -> None:
    """Data-parallel ranks tell each for itself."""
    body = (
        b'{"timestamp": "2026", "loads": [{"dp_rank": 0, "num_running_reqs": 2, "num_waiting_reqs": 1},'
        b' {"dp_rank": 1, "num_running_reqs": 3, "num_waiting_reqs": 0}]}'
    )
    assert read_loads(body) == Health(running=5, queued=1)
    for nonsense in (b"", b"[]", b'{"loads": 3}', b'{"error": "Unauthorized"}', b"\xff"):
        assert read_loads(nonsense) is None
