"""The first request to a server that is to take over a model: through the same adapter as those of clients."""

from __future__ import annotations

import asyncio

from hoonify_router.adapters.base import Job
from hoonify_router.adapters.server import ServerAdapter
from hoonify_router.answer import Answer
from hoonify_router.api import Backend, ServerBackend
from hoonify_router.completion import Completion
from hoonify_router.embeddings import Embeddings
from hoonify_router.errors import RouterError
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.text_completion import TextCompletion
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    HomeView,
    InferenceRequest,
    Message,
)

PATIENCE = 300.0
"""Seconds that a first answer may take: a server may compile something for it."""

_PROMPT = "Hello"


class _Nowhere:
    """Where the answer goes."""

    def send(self, status: int, body: bytes) -> None:
        """Drop it."""


async def warm_up_server(home: HomeView, backend: Backend, patience: float = PATIENCE) -> None:
    """Ask for as little as can be, as a client would, and wait for the end of the answer.

    Raises:
        Trouble: The server fails it.
    """
    assert isinstance(backend, ServerBackend)
    ended = asyncio.Event()
    request, answer = _smallest(home.model, backend, ended)
    adapter = ServerAdapter()
    try:
        async with asyncio.timeout(patience):
            await adapter.start(Job("warm-up", request, None, home), answer)
            await ended.wait()
    except TimeoutError:
        raise Trouble("Its server failed its first answer.", f"none in {patience:g} s") from None
    except RouterError as error:
        answer.fail(error)
    finally:
        await adapter.close()
    if (failure := answer.error) is not None:
        told = f"warm-up: {type(failure).__name__}: {failure.message}"
        raise Trouble("Its server failed its first answer.", told)


def _smallest(
    model: str, backend: ServerBackend, ended: asyncio.Event
) -> tuple[InferenceRequest, Answer]:
    """Return a request of a kind that the server is there for, and what its answer is poured into."""
    nowhere, identity = _Nowhere(), ("warm-up", 0, model)
    if "chat" in backend.tasks:
        chat = ChatRequest(model, [Message("user", _PROMPT)], max_tokens=1)
        return chat, Completion(nowhere, identity, 1, ended.set)
    if "completion" in backend.tasks:
        text = CompletionRequest(model, _PROMPT, max_tokens=1)
        return text, TextCompletion(nowhere, identity, 1, ended.set)
    vectors = EmbeddingRequest(model, _PROMPT)
    return vectors, Embeddings(nowhere, vectors, ended.set)
