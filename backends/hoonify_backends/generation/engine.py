"""What all engines of the kit do the same way once they are loaded, whatever library steps behind their desk."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from msgspec import Struct

from hoonify_backends.generation.desk import Desk
from hoonify_router.api import Engine
from hoonify_router.errors import ModelUnavailable
from hoonify_router.types import Capabilities, ChatRequest, CompletionRequest, Event, Health

OptionsT = TypeVar("OptionsT", bound=Struct)


def end_process() -> None:
    """End the worker: a GPU error stays for good, and only a new process gets rid of it."""
    os._exit(70)


class DeskEngine(Engine[OptionsT]):
    """Answers chats and texts at a desk; a subclass's ``load`` sets up that and ``_capabilities``.

    Args:
        on_fatal: Called when the model fails again and again; by default the process ends.
    """

    def __init__(self, on_fatal: Callable[[], None] = end_process) -> None:
        self._on_fatal = on_fatal
        self._capabilities: Capabilities | None = None
        self._desk: Desk[Any] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Return what the engine can do; see ``Engine.capabilities``."""
        if self._capabilities is None:
            raise ModelUnavailable("the engine is not loaded")
        return self._capabilities

    def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Answer one chat request; see ``Engine.generate``."""
        return self._serve(request)

    def complete(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Go on with each of the request's prompts; see ``Engine.complete``."""
        return self._serve(request)

    def health(self) -> Health:
        """Return how the engine does; see ``Engine.health``."""
        return Health() if self._desk is None else self._desk.health()

    async def close(self) -> None:
        """Stop the thread and end what still runs; a GPU's memory is free when the process has ended."""
        desk, self._desk = self._desk, None
        if desk is not None:
            await desk.close()

    def _serve(self, request: ChatRequest | CompletionRequest) -> AsyncIterator[Event]:
        if self._desk is None:
            raise ModelUnavailable("the engine is not loaded")
        return self._desk.serve(request)
