"""The one interface behind which engines differ: a job goes in, an ``Answer`` is filled, a ``Call`` holds on.

An adapter starts the job and returns; whatever comes back later goes straight from the socket's callback
into the answer, no task in between. The answer enforces the truth (see ``hoonify_router.answer``), the
call carries back what the client does: ``cancel`` when it leaves, ``pause`` and ``resume`` when it lags.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from msgspec import Struct

from hoonify_router.answer import Answer
from hoonify_router.reply import Call
from hoonify_router.types import Health, HomeView, InferenceRequest, Usage


class Job(Struct):
    """One request for one home.

    Args:
        request_id: For the home's log.
        request: What is asked, checked.
        body: The client's own bytes of it, or ``None`` when ``request`` was changed on the way.
        home: Who shall answer.
        connect: Seconds until a connection to the home must stand; 0 is no limit.
        released: Called when the slot of a job that was cancelled is free, with what it has cost as far as
            that is known, by homes that tell.
        headers: What else the head says, to homes that are HTTP servers.
    """

    request_id: str
    request: InferenceRequest
    body: bytes | None
    home: HomeView
    connect: float = 5.0
    released: Callable[[Usage | None], None] | None = None
    headers: Mapping[str, str] | None = None


class Adapter(ABC):
    """Speaks to all homes of one kind; one instance per gateway process."""

    kind: ClassVar[str]

    @abstractmethod
    async def start(self, job: Job, answer: Answer) -> Call:
        """Send the job to its home and return at once; the answer fills later.

        Returns without waiting where a connection to the home is open.

        Raises:
            RouterError: The home cannot take it; the answer has heard nothing and may be asked of
                another home.
        """

    @abstractmethod
    def update(self, homes: Iterable[HomeView]) -> None:
        """Hear which homes there are now; connections to others are of no more use."""

    def load(self, home: HomeView) -> Health | None:
        """Return how busy the home's engine is, as it last said; ``None`` where it does not tell."""
        return None

    @abstractmethod
    async def close(self) -> None:
        """Close all connections; nothing is started afterwards."""


__all__ = ["Adapter", "Call", "Job"]
