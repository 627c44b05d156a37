"""``balance: session``: requests that belong together stay together."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta, Struct

from hoonify_plugins.balancers.load import take_less_busy
from hoonify_router.api import Balancer, Candidate, RequestContext
from hoonify_router.types import HomeView

_BITS = 52  # what a float can tell apart below 1


class SessionSettings(Struct, forbid_unknown_fields=True):
    """What tells a session."""

    header: Annotated[
        str,
        Meta(
            description="Request header with the session's name; without it `prompt_cache_key`, then `user` counts.",
            pattern="^[A-Za-z0-9-]+$",
        ),
    ] = "x-session-id"


class Session(Balancer):
    """Sends all requests of a session to one home, by weighted rendezvous hashing.

    Nothing is remembered, and all gateways agree. When a home goes, only its own sessions move, each to
    where it would have gone next; when it comes back, they return.

    Args:
        settings: What tells a session.
        dice: Draws for requests that belong to none.
    """

    def __init__(self, settings: SessionSettings, dice: random.Random | None = None) -> None:
        self._header = settings.header.lower()
        self._dice = dice or random.Random()

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        """Return the session's home, or the less busy one of two."""
        session = self._session_of(ctx)
        if session is None:
            return take_less_busy(candidates, self._dice)
        return max(candidates, key=lambda one: _score(session, one.home))

    def _session_of(self, ctx: RequestContext) -> bytes | None:
        name = (
            ctx.headers.get(self._header)
            or getattr(ctx.request, "prompt_cache_key", None)
            or getattr(ctx.request, "user", None)
        )
        return name.encode("utf-8", "surrogatepass") if name else None


def _score(session: bytes, home: HomeView) -> float:
    """Return how well a session and a home fit; a home wins as many sessions as its weight says."""
    name = (
        home.address if home.kind == "server" else home.id
    )  # an engine's socket is new at each start
    digest = blake2b(session, digest_size=8, person=_person(name)).digest()
    drawn = ((int.from_bytes(digest, "big") >> (64 - _BITS)) + 0.5) / 2.0**_BITS
    return -home.weight / math.log(drawn)


def _person(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()
