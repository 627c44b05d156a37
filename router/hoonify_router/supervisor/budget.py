"""What homes take of the GPUs, and what there is of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from hoonify_router.api import Backend, Unavailable
from hoonify_router.config import HomeConfig, LoadedConfig, options_for
from hoonify_router.config.sizes import show_size
from hoonify_router.supervisor.eviction import Claim, fits

if TYPE_CHECKING:
    from hoonify_router.supervisor.memory import GpuMemory

log = logging.getLogger(__name__)


def claim_of(loaded: LoadedConfig, home: HomeConfig, backend: Backend) -> dict[int, int]:
    """Return the bytes that a home takes on each GPU, by the file's word or else by the backend's estimate.

    A home that names GPUs and says no more claims nothing of them; it still makes room there for one that
    runs out of memory.
    """
    if home.url is not None:
        return {}
    size: int | list[int] | Mapping[int, int] | None = home.gpu_memory
    if size is None:
        size = _estimate(loaded, home, backend)
    if isinstance(size, Mapping):
        return dict(size)
    if isinstance(size, list):
        return dict(zip(home.gpu, size, strict=False))
    if size is None:
        return dict.fromkeys(home.gpu, 0)
    return dict.fromkeys(home.gpu or [0], size)


def _estimate(
    loaded: LoadedConfig, home: HomeConfig, backend: Backend
) -> int | Mapping[int, int] | None:
    options = options_for(loaded, home, backend.options)
    try:
        return backend.estimate(options, home, loaded.base_dir)
    except Exception:
        log.exception("backend %r cannot estimate the memory of a home", backend.name)
        return None


class Budget:
    """The memory that homes may take together, by GPU.

    Args:
        capacity: Bytes by GPU; one that is not in here takes anything.
        each: Bytes of every other GPU that a home claims.
        ask: Returns what is there, where nothing is given; asked once, and only if a home claims any of it.

    Attributes:
        capacity: What is known so far.
    """

    def __init__(
        self,
        capacity: Claim,
        *,
        each: int | None = None,
        ask: Callable[[], Claim] | None = None,
    ) -> None:
        self.capacity = dict(capacity)
        self._each = each
        self._ask = ask

    @classmethod
    def of(cls, loaded: LoadedConfig, memory: GpuMemory, claims: Iterable[Claim]) -> Budget:
        """Return what ``server: gpu_budget:`` allows, or else all that is there.

        Args:
            loaded: The configuration.
            memory: Asked only if it matters.
            claims: What the homes take.
        """
        given = loaded.config.server.gpu_budget
        if isinstance(given, list):
            return cls(dict(enumerate(given)))
        budget = cls({}, each=given, ask=memory.total if given is None else None)
        for claim in claims:
            budget.cover(claim)
        return budget

    def cover(self, claim: Claim) -> None:
        """Find out what there is of the GPUs that a home claims, where that is not known yet."""
        for gpu in [gpu for gpu, size in claim.items() if size and gpu not in self.capacity]:
            if self._each is not None:
                self.capacity[gpu] = self._each
            elif self._ask is not None:
                ask, self._ask = self._ask, None
                self.capacity.update(ask())

    def fits(self, held: Iterable[Claim], new: Claim) -> bool:
        """Tell whether ``new`` fits beside what is held."""
        return fits(held, new, self.capacity)

    def why_never(self, claim: Claim) -> Unavailable | None:
        """Return why a home cannot run here even alone, if that is so."""
        for gpu, size in claim.items():
            if size and size > self.capacity.get(gpu, size):
                told = f"gpu_memory: {show_size(size)} on GPU {gpu}, whose budget is"
                return Unavailable(
                    "It needs more GPU memory than there is.",
                    f"{told} {show_size(self.capacity[gpu])}",
                )
        return None
