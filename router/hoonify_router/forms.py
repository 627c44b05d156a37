"""Which form an answer takes: a stream or one piece, for each kind of request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from hoonify_router.answer import Answer
from hoonify_router.chat_chunks import ChatChunks
from hoonify_router.completion import Completion, Mailbox
from hoonify_router.embeddings import Embeddings
from hoonify_router.identity import Names
from hoonify_router.stream import EventStream, Outlet
from hoonify_router.text_chunks import TextChunks
from hoonify_router.text_completion import TextCompletion
from hoonify_router.types import ChatRequest, EmbeddingRequest, InferenceRequest


class Paper(Outlet, Mailbox, Protocol):
    """Where an answer of either form goes; a ``Reply`` is one."""


def new_answer(
    request: InferenceRequest, names: Names, reply: Paper, on_end: Callable[[], object]
) -> Answer:
    """Return what a home's answer to ``request`` is poured into.

    Args:
        request: What was asked.
        names: Makes the answer's id.
        reply: Where it goes.
        on_end: Called once, when the answer has ended.
    """
    created = int(time.time())
    model, choices = request.model, request.choices
    if isinstance(request, ChatRequest):
        answer_id = names.completion_id()
        if request.stream:
            chunks = ChatChunks(answer_id, created, model, request.wants_usage)
            return EventStream(reply, chunks, choices, on_end)
        return Completion(reply, (answer_id, created, model), choices, on_end)
    if isinstance(request, EmbeddingRequest):
        return Embeddings(reply, request, on_end)
    answer_id = names.text_id()
    if request.stream:
        return EventStream(
            reply, TextChunks(answer_id, created, model, request.wants_usage), choices, on_end
        )
    return TextCompletion(reply, (answer_id, created, model), choices, on_end)
