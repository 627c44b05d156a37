"""Who is looking: browsers that have signed in with a key, and forms that they mean to send."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.api_keys.record import KeyRecord, StoreError
from hoonify_plugins.api_keys.sessions import COOKIE, csrf_token, is_meant
from hoonify_plugins.pages.site import Site, is_secure, redirect

if TYPE_CHECKING:
    from hoonify_plugins.api_keys.middleware import APIKeysMiddleware
    from hoonify_plugins.api_keys.sessions import Sessions
    from hoonify_plugins.rate_limits.shared_ledger import SharedLedger

SIGN_IN = "/dashboard/sign-in"
FORM_COOKIE = "hoonify_form"
SIGN_INS_PER_MINUTE = 10
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser that has signed in.

    Args:
        record: The key that it has signed in with.
        token: What its cookie says.
    """

    record: KeyRecord
    token: str

    @property
    def csrf(self) -> str:
        """Return what its forms and scripts must send along."""
        return csrf_token(self.token)

    @property
    def is_admin(self) -> bool:
        """Return whether the key may do everything."""
        return ADMIN in self.record.scopes

    def may(self, scope: str) -> bool:
        """Tell whether the key has a scope."""
        return scope in self.record.scopes


Handler = Callable[..., Awaitable[HTTPResponse | None]]
"""``await handler(request, visitor)``; ``None`` where it has sent everything itself."""


class Visitors:
    """Knows who is looking.

    Args:
        site: What all pages share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ledger: SharedLedger | None = None

    @property
    def keys(self) -> APIKeysMiddleware | None:
        """Return what checks keys here, if it is our own plugin."""
        found: Any = self._site.context.middleware().get("api_keys")
        return found if getattr(found, "sessions", None) is not None else None

    @property
    def sessions(self) -> Sessions | None:
        """Return the sessions, where there can be any."""
        return None if self.keys is None else self.keys.sessions

    async def of(self, request: Request) -> Visitor | None:
        """Return who sends a request, as its cookie says.

        Raises:
            StoreError: The sessions cannot be read.
        """
        keys, token = self.keys, request.cookies.get(COOKIE)
        if keys is None or keys.sessions is None or not token:
            return None
        digest = await keys.sessions.find(token)
        if digest is None:
            return None
        record = keys.record_of(digest)
        if record is None:
            await keys.catch_up()
            record = keys.record_of(digest)
        return None if record is None else Visitor(record, token)

    def only(self, handler: Handler, *, scope: str | None = None) -> Handler:
        """Return a Sanic handler that lets visitors pass to ``handler``; a form must have been meant.

        Args:
            handler: Answers them.
            scope: What their key must be allowed to do.
        """

        async def answer(request: Request, **parts: Any) -> HTTPResponse | None:
            try:
                visitor = await self.of(request)
                if visitor is None:
                    return redirect(SIGN_IN)
                if scope is not None and not visitor.may(scope):
                    told = f"This key lacks the scope “{scope}”."
                    return self._site.failure(403, "Not with this key", told)
                if request.method == "POST" and not form_is_meant(request, visitor.token):
                    return self.not_meant()
                return await handler(request, visitor, **parts)
            except StoreError:
                return self.away()

        return answer

    async def begin(self, request: Request, key: str) -> tuple[KeyRecord, str] | None:
        """Sign in with a key: return its record and what the cookie shall say; ``None`` if it is no good.

        Raises:
            StoreError: Keys or sessions cannot be read.
        """
        keys = self.keys
        if keys is None or keys.sessions is None:
            return None
        record = await keys.check(key)
        if record is None:
            return None
        lasts = self._site.settings.session_hours * 3600
        return record, await keys.sessions.begin(record.digest, lasts)

    def wait(self, request: Request) -> int:
        """Count one more try of an address to sign in; return the seconds that it must wait, 0 for none.

        All gateways of a machine count together.
        """
        from hoonify_plugins.rate_limits.ledger import WINDOW, Charge, scope_tag
        from hoonify_plugins.rate_limits.settings import Limits
        from hoonify_plugins.rate_limits.shared_ledger import SharedLedger

        if self._ledger is None:
            context = self._site.context
            folder: Path = context.runtime_dir or context.state_dir
            workers = context.loaded.config.server.workers
            self._ledger = SharedLedger(folder / "sign_ins", shared=workers > 1)
        limits = Limits(requests_per_minute=SIGN_INS_PER_MINUTE)
        now = time.time()
        verdict = self._ledger.admit(
            [Charge(scope_tag(_address(request), "sign in"), limits)], 0, now
        )
        return 0 if verdict.refused_by is None else WINDOW - int(now) % WINDOW

    # ------------------------------------------------------------ cookies and forms

    def remember(self, response: HTTPResponse, request: Request, token: str) -> HTTPResponse:
        """Give the browser its session."""
        hours = self._site.settings.session_hours
        response.add_cookie(
            COOKIE,
            token,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=is_secure(request),
            max_age=hours * 3600,
        )
        return response

    def forget(self, response: HTTPResponse, request: Request) -> HTTPResponse:
        """Take it back."""
        response.add_cookie(
            COOKIE,
            "",
            path="/",
            httponly=True,
            samesite="Strict",
            secure=is_secure(request),
            max_age=0,
        )
        return response

    def not_meant(self) -> HTTPResponse:
        """Answer a form that did not come from one of our pages, or from one that is too old."""
        told = (
            "The form did not come from this site, or its page was too old. Go back and try again."
        )
        return self._site.failure(403, "Not sent", told)

    def away(self) -> HTTPResponse:
        """Say that the database cannot be reached."""
        told = "The key database cannot be used at the moment. Try again in a few seconds."
        headers = {"retry-after": "5"}
        return self._site.failure(503, "Not now", told, **headers)


def field(request: Request, name: str) -> str:
    """Return what a form says in a field; nothing where it has none."""
    form: Any = request.form
    return (form.get(name) or "") if form else ""


def form_is_meant(request: Request, token: str) -> bool:
    """Tell whether a form came from a page that this browser was given."""
    return is_meant(token, field(request, "csrf"))


def new_form_token() -> str:
    """Return what the cookie of somebody who has not signed in says, so that the form can be known again."""
    return secrets.token_urlsafe(32)


def _address(request: Request) -> str:
    """Return where a request comes from; of IPv6, the network that one client has to itself."""
    peer = request.conn_info.client_ip if request.conn_info is not None else ""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if address.version == 6:
        return str(ipaddress.ip_network((peer, 64), strict=False))
    return peer
