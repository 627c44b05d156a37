"""``/docs`` and ``/openapi.json``: the documentation of this deployment, made from what it is made of.

Both are made once per generation and address, in a thread, so that making them holds nobody up.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.pages.openapi import description
from hoonify_plugins.pages.parameters import message_rows, rows_for
from hoonify_plugins.pages.refusals import refusals
from hoonify_plugins.pages.samples import chat_samples, embedding_samples, samples_for
from hoonify_plugins.pages.site import Site
from hoonify_router.api import Route

_MOST = 16
_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_LIMIT_HEADERS = (
    ("x-ratelimit-limit-requests", "Requests that your plan allows in a minute."),
    ("x-ratelimit-remaining-requests", "How many of them are left in this minute."),
    ("x-ratelimit-reset-requests", "When the next minute begins: ISO 8601, UTC."),
    (
        "x-ratelimit-limit-tokens",
        "Tokens, of prompts and answers, that your plan allows in a minute.",
    ),
    ("x-ratelimit-remaining-tokens", "How many of them are left in this minute."),
    ("x-ratelimit-reset-tokens", "When the next minute begins: ISO 8601, UTC."),
)


class Made(NamedTuple):
    """A page that is kept.

    Args:
        body: What is sent.
        tag: Changes whenever the body does.
    """

    body: bytes
    tag: str


class Manual:
    """Answers with them.

    Args:
        site: What all pages share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._made: dict[tuple[str, str, int], asyncio.Task[Made]] = {}

    def routes(self) -> list[Route]:
        """Return the routes."""
        methods = ("GET", "HEAD")
        return [
            Route("/docs", self.docs, methods),
            Route("/openapi.json", self.openapi, methods),
        ]

    async def docs(self, request: Request) -> HTTPResponse:
        """Show the documentation."""
        made = await self._kept("docs", request, self._docs)
        return self._site.ready_made(made.body, made.tag, request, _HTML)

    async def openapi(self, request: Request) -> HTTPResponse:
        """Tell programs the same."""
        made = await self._kept("openapi", request, self._openapi)
        return self._site.ready_made(made.body, made.tag, request, _JSON)

    async def _kept(self, what: str, request: Request, make: Callable[[str], bytes]) -> Made:
        """Return what was made for this generation and address; many who ask at once share one making."""
        address = self._site.address(request)
        place = (what, address, self._site.generation)
        task = self._made.get(place)
        if task is None:
            while len(self._made) >= _MOST:
                del self._made[next(iter(self._made))]
            task = asyncio.create_task(asyncio.to_thread(_make, make, address), name=f"make {what}")
            self._made[place] = task
        try:
            return await asyncio.shield(task)
        except Exception:
            self._made.pop(place, None)
            raise

    def _docs(self, address: str) -> bytes:
        listed = self._site.entries()
        chats = [one for one in listed if "chat" in one.tasks] or listed
        ready = [one for one in chats if one.condition.state == "ready"] or chats
        model = ready[0].id if ready else "MODEL"
        turns = [
            {"role": "system", "content": "You answer in one sentence."},
            {"role": "user", "content": "What is a router?"},
            {"role": "assistant", "content": "It sends each request where it can be answered."},
            {"role": "user", "content": "And who uses one?"},
        ]
        values: dict[str, Any] = {
            "here": "docs",
            "address": address,
            "model": model,
            "listed": listed,
            "first": samples_for("chat", model, address),
            "streamed": samples_for("chat", model, address, stream=True),
            "conversation": chat_samples({"model": model, "messages": turns}, address),
            "vector": embedding_samples(
                {"model": "MODEL", "input": ["One text.", "Another."]}, address
            ),
            "chat_rows": rows_for("chat", None),
            "message_rows": message_rows(),
            "completion_rows": rows_for("completion", None),
            "embedding_rows": rows_for("embedding", None),
            "embeds": any("embedding" in one.tasks for one in listed),
            "errors": refusals(),
            "limit_headers": _LIMIT_HEADERS,
            "limited": "rate_limits" in self._site.context.current.config.pipeline,
        }
        return self._site.render("docs.html", values).encode()

    def _openapi(self, address: str) -> bytes:
        config = self._site.context.current.config
        told = description(
            title=self._site.settings.title,
            address=address,
            models=list(config.models),
            asks_keys="api_keys" in config.pipeline,
            limited="rate_limits" in config.pipeline,
        )
        return msgspec.json.format(msgspec.json.encode(told), indent=1)


def _make(make: Callable[[str], bytes], address: str) -> Made:
    body = make(address)
    return Made(body, hashlib.sha256(body).hexdigest()[:20])
