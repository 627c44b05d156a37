"""The first request of a freshly loaded engine: it must answer before anyone may ask it."""

from __future__ import annotations

import asyncio

from hoonify_router.adapters.worker import WorkerConnection
from hoonify_router.errors import RouterError
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.types import Capabilities, ChatRequest, Counted, Event, Message


async def warm_up(
    connection: WorkerConnection, model: str, capabilities: Capabilities | None
) -> None:
    """Ask for one token, as a client would, and wait for the end of the answer.

    Raises:
        Trouble: The engine fails it.
    """
    request = ChatRequest(model, [Message("user", "Hello")])
    known = capabilities.parameters if capabilities else frozenset()
    if "max_tokens" in known:
        request.max_tokens = 1
    elif "max_completion_tokens" in known:
        request.max_completion_tokens = 1
    answer = _Answer(connection)
    try:
        answer.rid = connection.submit(request, answer)
        await answer.ended
    except RouterError as exc:
        told = f"warm-up: {type(exc).__name__}: {exc}"
        raise Trouble("Its engine failed its first answer.", told) from exc


class _Answer:
    """The answer to a warm-up request."""

    def __init__(self, connection: WorkerConnection) -> None:
        self.rid = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection

    def on_event(self, event: Event) -> None:
        """Take the next event."""
        self._connection.grant(self.rid, 1)
        if isinstance(event, Counted) and not self.ended.done():
            self.ended.set_result(None)

    def on_failure(self, error: RouterError) -> None:
        """Note the failure."""
        if not self.ended.done():
            self.ended.set_exception(error)
