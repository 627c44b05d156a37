"""The first request of a freshly loaded engine: it must answer before anyone may ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import RouterError
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Counted,
    EmbeddingRequest,
    Event,
    InferenceRequest,
    Message,
)

_PROMPT = "Hello"
_LIMITS = ("max_tokens", "max_completion_tokens")


async def warm_up(
    connection: WorkerConnection, model: str, capabilities: Capabilities | None
) -> None:
    """Ask for as little as can be, as a client would, and wait for the end of the answer.

    Raises:
        Trouble: The engine fails it.
    """
    request = _smallest_request(model, capabilities or Capabilities(frozenset(), 0))
    answer = _Answer(connection)
    try:
        answer.rid = connection.submit(request, answer)
        await answer.ended
    except RouterError as exc:
        told = f"warm-up: {type(exc).__name__}: {exc}"
        raise Trouble("Its engine failed its first answer.", told) from exc


def _smallest_request(model: str, capabilities: Capabilities) -> InferenceRequest:
    """Return a request of a kind that the engine is there for, for one token where it can be told so."""
    known, tasks = capabilities.parameters, capabilities.tasks
    limit = next((name for name in _LIMITS if name in known), None)
    if "chat" in tasks:
        chat = ChatRequest(model, [Message("user", _PROMPT)])
        if limit is not None:
            setattr(chat, limit, 1)
        return chat
    if "completion" in tasks:
        return CompletionRequest(model, _PROMPT, max_tokens=1 if "max_tokens" in known else None)
    return EmbeddingRequest(model, _PROMPT)


class _Answer:
    """The answer to a warm-up request."""

    def __init__(self, connection: WorkerConnection) -> None:
        self.rid = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection

    def on_events(self, events: Sequence[Event]) -> None:
        """Take the next events."""
        self._connection.grant(self.rid, len(events))
        if isinstance(events[-1], Counted) and not self.ended.done():
            self.ended.set_result(None)

    def on_failure(self, error: RouterError) -> None:
        """Note the failure."""
        if not self.ended.done():
            self.ended.set_exception(error)
