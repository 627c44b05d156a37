"""The test instrument: a backend without any model, which says what it is told to say.

It is for trying out a configuration, a client or a plugin, and for this project's own tests; it is no
language model. ``EchoOptions`` says how its homes behave, and magic words in the last user message say
how one answer does: see ``script``. Its log probabilities and embeddings are invented: see ``inventions``.
"""

from __future__ import annotations

from hoonify_backends.echo.options import PARAMETERS, TASKS, EchoOptions
from hoonify_router.api import Backend, WorkerBackend, hookimpl

__all__ = ["EchoOptions", "hoonify_register_backends"]


@hookimpl
def hoonify_register_backends() -> list[Backend]:
    """Register ``echo``."""
    return [
        WorkerBackend(
            name="echo",
            summary="Test instrument without a model: says the last message again, or what a script wants.",
            options=EchoOptions,
            engine="hoonify_backends.echo.engine:EchoEngine",
            parameters=PARAMETERS,
            tasks=TASKS,
        )
    ]
