"""``balance: least_loaded``."""

from __future__ import annotations

import random
from collections.abc import Sequence

from msgspec import Struct

from hoonify_plugins.balancers.load import take_less_busy
from hoonify_router.api import Balancer, Candidate, RequestContext


class LeastLoadedSettings(Struct, forbid_unknown_fields=True):
    """It needs no settings."""


class LeastLoaded(Balancer):
    """Takes the less busy one of two homes drawn at random, each against its weight.

    Args:
        settings: There are none.
        dice: Draws.
    """

    def __init__(self, settings: LeastLoadedSettings, dice: random.Random | None = None) -> None:
        self._dice = dice or random.Random()

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        """Return the less busy one of two."""
        return take_less_busy(candidates, self._dice)
