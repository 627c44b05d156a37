"""How busy a server is, by its ``/v1/loads``."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from hoonify_router.api import AbortSignal, LoadSignal
from hoonify_router.types import Health


class _Rank(Struct):
    num_running_reqs: int = 0
    num_waiting_reqs: int = 0


class _Loads(Struct):
    loads: list[_Rank]


_decode = msgspec.json.Decoder(_Loads).decode


def read_loads(body: bytes) -> Health | None:
    """Return the requests of all data-parallel ranks; ``None`` where it is no such answer."""
    try:
        ranks = _decode(body).loads
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Health(
        running=sum(rank.num_running_reqs for rank in ranks),
        queued=sum(rank.num_waiting_reqs for rank in ranks),
    )


LOADS = LoadSignal("/v1/loads?include=core", read_loads)
ABORT = AbortSignal("/abort_request", "rid")
