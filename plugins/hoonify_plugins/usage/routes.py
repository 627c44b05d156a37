"""Usage over HTTP: a key's own at ``GET /v1/usage``, everybody's at ``GET /v1/admin/usage``.

A key with the scope ``usage:read`` and an owner is told of all keys of its owner at the first one.

Both take ``by`` (``model`` or ``day``, for admins ``key`` too), ``since`` and ``until`` (a day such as 2026-11-01, a
moment in ISO 8601, or how long ago, such as 24h).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from hoonify_plugins.database.address import DatabaseError
from hoonify_plugins.usage.moments import read_moment
from hoonify_router.api import APIRoute, RequestContext, Result
from hoonify_router.errors import InvalidValue, ModelUnavailable, UnknownParameter

if TYPE_CHECKING:
    from hoonify_plugins.usage.store import Grouping, Total, UsageStore

USAGE_READ = "usage:read"
_OWN = ("model", "day")
_ALL = ("model", "day", "key")
_GIVEN = ("by", "since", "until")


class UsageReport:
    """Answers the requests.

    Args:
        open_store: Opens the database; may block, and is called in a thread.
    """

    def __init__(self, open_store: Callable[[], UsageStore]) -> None:
        self._open_store = open_store

    def routes(self) -> list[APIRoute]:
        """Return the routes."""
        return [
            APIRoute("/v1/usage", self.own, None),
            APIRoute("/v1/admin/usage", self.all, "admin"),
        ]

    async def own(self, ctx: RequestContext, given: Mapping[str, str]) -> Result:
        """Add up what the caller's own key has used, or all keys of its owner if it may know that."""
        caller = ctx.principal
        if caller is not None and caller.owner and USAGE_READ in caller.scopes:
            return await self._report((*_GIVEN, "key"), given, _ALL, given.get("key"), caller.owner)
        return await self._report(_GIVEN, given, _OWN, "" if caller is None else caller.id)

    async def all(self, ctx: RequestContext, given: Mapping[str, str]) -> Result:
        """Add up what all keys, or one of them, have used."""
        return await self._report((*_GIVEN, "key"), given, _ALL, given.get("key"))

    async def _report(
        self,
        known: tuple[str, ...],
        given: Mapping[str, str],
        groupings: tuple[str, ...],
        key_id: str | None,
        owner: str | None = None,
    ) -> Result:
        for name in given:
            if name not in known:
                raise UnknownParameter(f"Unknown parameter: '{name[:100]}'.", param=name[:100])
        by = given.get("by", "model")
        if by not in groupings:
            raise InvalidValue(f"'by' must be one of {', '.join(groupings)}.", param="by")
        since, until = _moment(given, "since"), _moment(given, "until")
        totals = await asyncio.to_thread(self._totals, by, since, until, key_id, owner)
        rows = [_row(by, total) for total in totals]
        return Result({"object": "list", "by": by, "since": since, "until": until, "data": rows})

    def _totals(
        self,
        by: str,
        since: float | None,
        until: float | None,
        key_id: str | None,
        owner: str | None,
    ) -> list[Total]:
        try:
            store = self._open_store()
            try:
                grouping = cast("Grouping", by)
                return store.totals(grouping, since=since, until=until, key_id=key_id, owner=owner)
            finally:
                store.close()
        except DatabaseError as error:
            raise ModelUnavailable(
                "The usage records cannot be read at the moment.", retry_after=5
            ) from error


def _row(by: str, total: Total) -> dict[str, Any]:
    return {by if name == "group" else name: value for name, value in asdict(total).items()}


def _moment(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        return read_moment(text)
    except ValueError as error:
        raise InvalidValue(f"Invalid value for '{name}': {error}.", param=name) from None
