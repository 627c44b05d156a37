"""``/console``: how everything does now, for admins, and what they may do about it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.api_keys.record import StoreError
from hoonify_plugins.pages.deeds import HOME_DEEDS, RELOAD, Deed, Deeds
from hoonify_plugins.pages.live_status import LiveStatus
from hoonify_plugins.pages.site import HEADERS, Site, redirect
from hoonify_plugins.pages.visitors import ADMIN, Visitor, Visitors, field
from hoonify_router.api import Route

_EVERY = 1.0
_LOOK_AGAIN = 5.0
_PING = 10.0
_WAIT = 2.0
_WATCHERS = 32


class Console:
    """Answers with it.

    Args:
        site: What all pages share.
        visitors: Knows who is looking.
    """

    def __init__(self, site: Site, visitors: Visitors) -> None:
        self._site = site
        self._visitors = visitors
        self._live = LiveStatus(site.context)
        self._deeds = Deeds(site.context)
        self._watchers = 0

    def routes(self) -> list[Route]:
        """Return the routes."""
        only = self._visitors.only
        return [
            Route("/console", only(self.show, scope=ADMIN), ("GET", "HEAD")),
            Route("/console/events", only(self.watch, scope=ADMIN)),
            Route("/console/deed", only(self.ask, scope=ADMIN), ("GET", "HEAD")),
            Route("/console/deed", only(self.do, scope=ADMIN), ("POST",)),
        ]

    async def show(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Show it as it is now; its script keeps it so."""
        return self._site.page(
            "console.html",
            here="dashboard",
            visitor=visitor,
            live=await self._parts(),
            history=await self._live.history(),
            reload=RELOAD,
        )

    async def watch(self, request: Request, visitor: Visitor) -> HTTPResponse | None:
        """Send what has changed as server-sent events, until the browser leaves or its session ends."""
        if self._watchers >= _WATCHERS:
            told = "Too many are watching this router already."
            return self._site.failure(503, "Not now", told, **{"retry-after": "30"})
        self._watchers += 1
        try:
            headers = {"cache-control": "no-store", "x-accel-buffering": "no", **HEADERS}
            response = await request.respond(content_type="text/event-stream", headers=headers)
            await self._send_changes(request, response)
            await response.eof()
        finally:
            self._watchers -= 1
        return None

    async def _send_changes(self, request: Request, response: Any) -> None:
        seen: dict[str, str] = {}
        looked = said = time.monotonic()
        while True:
            now = time.monotonic()
            if now - looked >= _LOOK_AGAIN:
                looked = now
                with contextlib.suppress(StoreError):
                    visitor = await self._visitors.of(request)
                    if visitor is None or not visitor.is_admin:
                        await response.send("event: over\ndata: {}\n\n")
                        return
            parts = await self._parts()
            news = {name: html for name, html in parts.items() if seen.get(name) != html}
            if news or now - said >= _PING:
                seen, said = parts, now
                data = msgspec.json.encode(news).decode()
                await response.send(f"data: {data}\n\n" if news else ": still here\n\n")
            await asyncio.sleep(_EVERY)

    async def _parts(self) -> dict[str, str]:
        """Return the parts of the page that change, as HTML by their ids."""
        status = await self._live.status()
        values: dict[str, Any] = {
            "status": status,
            "pending": await self._live.pending(),
            "deeds": list(self._deeds.last),
            "home_deeds": HOME_DEEDS,
            "reload": RELOAD,
        }
        names = ["summary", "pending", "homes", "gpus", "errors", "deeds"]
        return {name: self._site.render(f"console/{name}.html", values) for name in names}

    # ------------------------------------------------------------ deeds

    async def ask(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Ask whether it is meant."""
        found = await self._deed(request.args.get("deed") or "", request.args.get("name") or "")
        if found is None:
            return self._unknown()
        deed, name, home = found
        return self._site.page(
            "confirm.html",
            here="dashboard",
            visitor=visitor,
            deed=deed,
            name=name,
            home=home,
            pending=await self._live.pending() if deed is RELOAD else None,
        )

    async def do(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Have it done; the console tells how it went."""
        found = await self._deed(field(request, "deed"), field(request, "name"))
        if found is None:
            return self._unknown()
        deed, name, _ = found
        digest = field(request, "digest") if deed is RELOAD else ""
        own = visitor.record
        task = self._deeds.begin(deed, name, own.id, own.name, digest)
        await asyncio.wait({task}, timeout=_WAIT)
        self._live.forget()
        return redirect("/console")

    async def _deed(
        self, command: str, name: str
    ) -> tuple[Deed, str, Mapping[str, Any] | None] | None:
        """Return a deed and the home that it is for; a home must be one that there is."""
        if command == RELOAD.command:
            return RELOAD, "", None
        status = await self._live.status()
        deed = HOME_DEEDS.get(command)
        if deed is None or status is None:
            return None
        for model in status["models"]:
            for home in model["homes"]:
                if home["id"] == name:
                    return deed, name, home
        return None

    def _unknown(self) -> HTTPResponse:
        told = "There is no such home now, or nothing of this kind to do with it."
        return self._site.failure(404, "Not to be done", told)
