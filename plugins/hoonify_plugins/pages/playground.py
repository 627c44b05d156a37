"""``/playground``: chat with any model that the key may use, and see the request as code."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.api_keys.record import StoreError
from hoonify_plugins.pages.samples import chat_samples
from hoonify_plugins.pages.site import HEADERS, Site, redirect
from hoonify_plugins.pages.visitors import SIGN_IN, Visitor, Visitors
from hoonify_router.api import Route

INFERENCE = "inference"
_LARGEST = 1 << 20


class Said(Struct, forbid_unknown_fields=True):
    """A turn of a conversation."""

    role: str
    content: str


class Asked(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What the playground can ask for, in the order in which code shows it."""

    model: str
    messages: Annotated[list[Said], Meta(max_length=10_000)]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: str | None = None
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None


class Playground:
    """Answers with it.

    Args:
        site: What all pages share.
        visitors: Knows who is looking.
    """

    def __init__(self, site: Site, visitors: Visitors) -> None:
        self._site = site
        self._visitors = visitors

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/playground", self.show, ("GET", "HEAD")),
            Route("/playground/code", self.code, ("POST",)),
        ]

    async def show(self, request: Request) -> HTTPResponse:
        """Show it, with the models that the visitor's key may use."""
        try:
            visitor = await self._visitors.of(request)
        except StoreError:
            return self._visitors.away()
        if visitor is None and self._visitors.keys is not None:
            return redirect(f"{SIGN_IN}?next=/playground")
        if visitor is not None and not visitor.may(INFERENCE):
            told = f"This key lacks the scope “{INFERENCE}”."
            return self._site.failure(403, "Not with this key", told)
        chats = [one for one in self._site.entries() if "chat" in one.tasks or not one.homes]
        listed = [one for one in chats if _may_use(visitor, one.id)]
        wanted = request.args.get("model") or ""
        ready = next((one.id for one in listed if one.condition.state == "ready"), "")
        return self._site.page(
            "playground.html",
            here="playground",
            visitor=visitor,
            listed=listed,
            chosen=wanted if any(one.id == wanted for one in listed) else ready,
        )

    async def code(self, request: Request) -> HTTPResponse:
        """Return a request as code, for the script of the page."""
        try:
            if len(request.body) > _LARGEST:
                raise msgspec.DecodeError("too large")
            asked = msgspec.json.decode(request.body, type=Asked)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _json(
                {"error": {"message": "This is no request that the playground makes."}}, 400
            )
        body: dict[str, Any] = msgspec.to_builtins(asked)
        samples = chat_samples(body, self._site.address(request))
        return _json([one._asdict() for one in samples])


def _may_use(visitor: Visitor | None, model: str) -> bool:
    globs = () if visitor is None else visitor.record.models
    return not globs or any(fnmatchcase(model, glob) for glob in globs)


def _json(content: Any, status: int = 200) -> HTTPResponse:
    told = {"cache-control": "no-store", **HEADERS}
    return HTTPResponse(msgspec.json.encode(content), status, told, "application/json")
