"""Which form an answer takes: a stream or one piece, for each kind of request."""

from __future__ import annotations

import time
from collections.abc import Callable

from hoonify_router.answer import Answer
from hoonify_router.chunks import Chunks
from hoonify_router.completion import Completion
from hoonify_router.errors import WrongEndpoint
from hoonify_router.identity import Names
from hoonify_router.reply import Reply
from hoonify_router.stream import ChatStream
from hoonify_router.types import ChatRequest, InferenceRequest


def new_answer(
    request: InferenceRequest, names: Names, reply: Reply, on_end: Callable[[], object]
) -> Answer:
    """Return what a home's answer to ``request`` is poured into.

    Args:
        request: What was asked.
        names: Makes the answer's id.
        reply: Where it goes.
        on_end: Called once, when the answer has ended.
    """
    created = int(time.time())
    if isinstance(request, ChatRequest):
        identity = names.completion_id()
        if request.stream:
            chunks = Chunks(identity, created, request.model, request.wants_usage)
            return ChatStream(reply, chunks, request.choices, on_end)
        return Completion(reply, (identity, created, request.model), request.choices, on_end)
    raise WrongEndpoint("This endpoint is not served yet.", param="model")
