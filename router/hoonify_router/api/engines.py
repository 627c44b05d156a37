"""Engines: a model in memory, in a worker process of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import ClassVar, Generic, TypeVar

from msgspec import Struct

from hoonify_router.errors import WrongEndpoint
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Event,
    Health,
    Usage,
)

OptionsT = TypeVar("OptionsT", bound=Struct)

ProgressCallback = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``, from any thread; ``total`` 0 when it is not known."""


class Metered(AsyncIterator[Event]):
    """An engine's events, and what their request has cost so far.

    An engine that returns one is believed when a request is abandoned: it is charged what ``usage`` says once the
    events are closed. Without it, a token is charged for each piece of the answer, and about as many as it has
    for the prompt.

    Args:
        events: As ``Engine.generate`` makes them.
        usage: The engine keeps it up to date.

    Example::

        def generate(self, request):
            usage = Usage()
            return Metered(self._generate(request, usage), usage)
    """

    __slots__ = ("_events", "usage")

    def __init__(self, events: AsyncGenerator[Event, None], usage: Usage) -> None:
        self._events = events
        self.usage = usage

    def __anext__(self) -> Awaitable[Event]:
        """Return the next event."""
        return self._events.__anext__()

    async def aclose(self) -> None:
        """Stop: nothing more is wanted."""
        await self._events.aclose()


class Engine(ABC, Generic[OptionsT]):
    """A model in memory that answers requests; lives in a worker process of its own.

    The worker creates it, awaits ``load`` once, runs any number of ``generate`` calls at the same time,
    and awaits ``close`` at the end. All methods are called on the worker's event loop and must not block
    it; heavy work belongs in a thread of the engine's own. Import the engine's library inside ``load``.

    Example::

        class ParrotEngine(Engine[ParrotOptions]):
            options_type = ParrotOptions

            async def load(self, options, progress):
                progress("waking the parrot", 1, 1)

            @property
            def capabilities(self):
                return Capabilities(frozenset({"max_tokens"}), context_length=4096)

            async def generate(self, request):
                yield Text(str(request.messages[-1].content))
                yield Finish("stop")
                yield Counted(Usage(prompt_tokens=1, completion_tokens=1))
    """

    options_type: ClassVar[type[Struct]]
    """The backend's options Struct; the worker makes the argument of ``load`` of it."""

    @abstractmethod
    async def load(self, options: OptionsT, progress: ProgressCallback) -> None:
        """Load the model.

        Raises:
            RouterError: It cannot be loaded; the message tells an operator why.
        """

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """Return what the engine can do; asked for once, after ``load``."""

    def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Answer one chat request: texts, a ``Finish`` for each answer, then one ``Counted``.

        The worker closes the iterator when the request is cancelled; the engine must then give the
        request's slot back at once, while others go on. A ``Metered`` iterator also tells what it has cost.

        Raises:
            RouterError: The request cannot be served; raise it before the first event where possible.
        """
        raise WrongEndpoint("This model does not chat.", param="model")

    def complete(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Go on with each of the request's prompts; events as ``generate`` yields them.

        The answers of prompt ``p`` have the indices from ``p * n`` on. An engine that honours it says
        ``completion`` in its capabilities' ``tasks``.
        """
        raise WrongEndpoint("This model completes no plain text.", param="model")

    def embed(self, request: EmbeddingRequest) -> AsyncIterator[Event]:
        """Return the request's vectors: one ``Embedded`` for each input, in any order, then one ``Counted``.

        An engine that honours it says ``embedding`` in its capabilities' ``tasks``.
        """
        raise WrongEndpoint("This model makes no embeddings.", param="model")

    def health(self) -> Health:
        """Return how the engine does; asked for every second, must be quick."""
        return Health()

    async def close(self) -> None:
        """Give everything back; nothing is called afterwards."""
