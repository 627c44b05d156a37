"""``/dashboard/sign-in`` and ``/dashboard/sign-out``."""

from __future__ import annotations

from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.api_keys.record import StoreError
from hoonify_plugins.api_keys.sessions import csrf_token
from hoonify_plugins.pages.site import Site, is_secure, redirect
from hoonify_plugins.pages.visitors import (
    FORM_COOKIE,
    SIGN_IN,
    Visitor,
    Visitors,
    field,
    form_is_meant,
    new_form_token,
)
from hoonify_router.api import Route

_PLACES = frozenset({"/dashboard", "/playground", "/console"})
_WRONG = "This is no key that is good here. It may have expired, or have been revoked."
_SLOWLY = "Too many tries from your address. Try again in {seconds} s."


class SignIn:
    """Answers with them.

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
            Route(SIGN_IN, self.ask, ("GET", "HEAD")),
            Route(SIGN_IN, self.enter, ("POST",)),
            Route("/dashboard/sign-out", self._visitors.only(self.leave), ("POST",)),
        ]

    async def ask(self, request: Request) -> HTTPResponse:
        """Show the form."""
        return self._form(request)

    async def enter(self, request: Request) -> HTTPResponse:
        """Take a key, and give a session for it."""
        token = request.cookies.get(FORM_COOKIE) or ""
        if not token or not form_is_meant(request, token):
            return self._form(request, "Your browser has sent no cookie: try again.", 403)
        if seconds := self._visitors.wait(request):
            headers = {"retry-after": str(seconds)}
            return self._form(request, _SLOWLY.format(seconds=seconds), 429, **headers)
        given = field(request, "key").strip()
        try:
            session = await self._visitors.begin(request, given)
        except StoreError:
            return self._visitors.away()
        if session is None:
            return self._form(request, _WRONG, 401)
        return self._visitors.remember(redirect(_place(request)), request, session[1])

    async def leave(self, request: Request, visitor: Visitor) -> HTTPResponse:
        """End the session, on all machines."""
        if self._visitors.sessions is not None:
            await self._visitors.sessions.end(visitor.token)
        return self._visitors.forget(redirect(SIGN_IN), request)

    def _form(
        self, request: Request, wrong: str = "", status: int = 200, **headers: str
    ) -> HTTPResponse:
        token = request.cookies.get(FORM_COOKIE) or new_form_token()
        page = self._site.page(
            "sign_in.html",
            status=status,
            headers=headers,
            here="dashboard",
            csrf=csrf_token(token),
            wrong=wrong,
            possible=self._visitors.keys is not None,
            next=_place(request),
        )
        page.add_cookie(
            FORM_COOKIE,
            token,
            path="/dashboard",
            httponly=True,
            samesite="Strict",
            secure=is_secure(request),
            max_age=None,
        )
        return page


def _place(request: Request) -> str:
    """Return where somebody wants to go: one of our pages, nothing else."""
    wanted = field(request, "next") if request.method == "POST" else request.args.get("next")
    return wanted if wanted and wanted in _PLACES else "/dashboard"
