"""``/dashboard``: a key's plan, limits and usage, and the keys of its owner; for admins, everybody's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.api_keys import words
from hoonify_plugins.api_keys.record import KeyRecord
from hoonify_plugins.pages import charts
from hoonify_plugins.pages.key_desk import LIFETIMES, OVERLAPS, KeyDesk, Refused, Wish, lineage
from hoonify_plugins.pages.limits import LimitsReader
from hoonify_plugins.pages.site import Site, redirect
from hoonify_plugins.pages.usage_book import UsageBook
from hoonify_plugins.pages.visitors import ADMIN, SIGN_IN, Visitor, Visitors, field
from hoonify_router.api import Route

_USAGE_READ = "usage:read"


class Dashboard:
    """Answers with it.

    Args:
        site: What all pages share.
        visitors: Knows who is looking.
        book: The usage records.
        desk: Makes and revokes keys.
    """

    def __init__(self, site: Site, visitors: Visitors, book: UsageBook, desk: KeyDesk) -> None:
        self._site = site
        self._visitors = visitors
        self._book = book
        self._desk = desk
        self._limits = LimitsReader(site.context)

    def routes(self) -> list[Route]:
        """Return the routes."""
        only = self._visitors.only
        read, post = ("GET", "HEAD"), ("POST",)
        return [
            Route("/dashboard", only(self.own), read),
            Route("/dashboard/everything", only(self.everything, scope=ADMIN), read),
            Route("/dashboard/keys", only(self.make), post),
            Route("/dashboard/rotate", only(self.rotate), post),
            Route("/dashboard/revoke", only(self.revoke), post),
        ]

    # ------------------------------------------------------------ pages

    async def own(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Show a key what is its own."""
        return await self._own(visitor)

    async def _own(self, visitor: Visitor, wrong: str = "") -> HTTPResponse:
        record, records = visitor.record, await self._desk.all()
        owns_all = bool(record.owner) and visitor.may(_USAGE_READ)
        used = (
            await self._book.used(owner=record.owner)
            if owns_all
            else await self._book.used(lineage(records, record.id))
        )
        makes = self._desk.may_make(visitor)
        mine = [
            one
            for one in records
            if one.id == record.id or (makes and record.owner and one.owner == record.owner)
        ]
        return self._site.page(
            "dashboard.html",
            status=422 if wrong else 200,
            here="dashboard",
            visitor=visitor,
            wrong=wrong,
            limits=await self._limits.of(record),
            used=used,
            of_owner=owns_all,
            chart=None if used is None else charts.by_day(used),
            rows=self._rows(mine),
            makes=makes,
            overlaps=OVERLAPS,
            lifetimes=LIFETIMES,
            scopes=self._desk.scopes_for(visitor),
            plans=self._desk.settings.plans,
            rotates=record.created > 0,  # those of the file have no date
        )

    async def everything(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Show an admin all keys and all usage."""
        used = await self._book.used()
        records = await self._desk.all()
        by_key = {} if used is None else {one.group: one for one in used.keys}
        return self._site.page(
            "everything.html",
            here="dashboard",
            visitor=visitor,
            used=used,
            chart=None if used is None else charts.by_day(used),
            rows=self._rows(records),
            by_key=by_key,
        )

    # ------------------------------------------------------------ deeds

    async def make(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Make a key; only this answer shows it."""
        lifetime = field(request, "lifetime")
        form: Any = request.form
        wish = Wish(
            field(request, "name"),
            form.getlist("scopes") or () if form else (),
            int(lifetime) if lifetime and lifetime in LIFETIMES else None,
            field(request, "plan"),
            field(request, "owner"),
        )
        try:
            record, key = await self._desk.make(visitor, wish)
        except Refused as refused:
            return await self._own(visitor, str(refused))
        return self._fresh(visitor, record, key, "")

    async def rotate(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Replace the visitor's key; the session goes on with the new one."""
        overlap = field(request, "overlap")
        try:
            record, key = await self._desk.rotate(visitor, overlap)
        except Refused as refused:
            return await self._own(visitor, str(refused))
        if self._visitors.sessions is not None:
            await self._visitors.sessions.change(visitor.token, record.digest)
        return self._fresh(visitor, record, key, OVERLAPS[overlap])

    async def revoke(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """Revoke a key; whoever revokes the own one is signed out by it."""
        try:
            record = await self._desk.revoke(visitor, field(request, "id"))
        except Refused as refused:
            return await self._own(visitor, str(refused))
        if record.id == visitor.record.id:
            return self._visitors.forget(redirect(SIGN_IN), request)
        return redirect("/dashboard/everything" if field(request, "all") else "/dashboard")

    def _fresh(self, visitor: Visitor, record: KeyRecord, key: str, ends: str) -> HTTPResponse:
        return self._site.page(
            "new_key.html",
            status=201,
            here="dashboard",
            visitor=visitor,
            record=record,
            key=key,
            ends=ends,
        )

    def _rows(self, records: Sequence[KeyRecord]) -> list[dict[str, Any]]:
        """Return keys as tables show them: those that are good first, the newest first among them."""
        now = time.time()
        listed = sorted(records, key=lambda one: (one.state(now) != "active", -one.created))
        return [words.row(one) | {"declared": one.created == 0} for one in listed]
