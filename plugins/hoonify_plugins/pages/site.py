"""What all pages of one gateway share: templates, headers, the catalog, who is looking."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.pages import shown
from hoonify_plugins.pages.assets import Assets
from hoonify_plugins.pages.deeds import deeds_for
from hoonify_plugins.pages.listing import Entry, entries, mood, words_of
from hoonify_plugins.pages.settings import PagesSettings
from hoonify_router.api import PluginContext

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_HTML = "text/html; charset=utf-8"


class Site:
    """Makes pages.

    Args:
        settings: How they are set up.
        context: The router.
    """

    def __init__(self, settings: PagesSettings, context: PluginContext) -> None:
        self.settings = settings
        self.context = context
        self.assets = Assets()
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            title=settings.title,
            currency=settings.currency,
            asset=self.assets.url,
            asks_keys="api_keys" in context.loaded.config.pipeline,
        )
        self._templates.filters.update(
            marked=shown.marked,
            tokens=shown.tokens,
            price=shown.price,
            number=shown.number,
            seconds=shown.seconds,
            moment=shown.moment,
            mood=mood,
            state_words=words_of,
            deeds=deeds_for,
        )

    # ------------------------------------------------------------ what the pages tell

    def entries(self) -> list[Entry]:
        """Return the catalog as it is now."""
        return entries(self.context.current.config.models, self.context.vitals().homes)

    @property
    def generation(self) -> int:
        """Return the number of the routing table that is served now."""
        return self.context.vitals().generation

    def address(self, request: Request) -> str:
        """Return where clients reach the router: as it is set, or as this browser has."""
        if self.settings.url is not None:
            return self.settings.url
        host = request.headers.get("host", "")
        if _HOST.fullmatch(host) is None:
            server = self.context.loaded.config.server
            host = f"{server.host}:{server.port}"
        return f"{'https' if is_secure(request) else 'http'}://{host}"

    # ------------------------------------------------------------ answers

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a page as text."""
        return self._templates.get_template(template).render(values)

    def page(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] = {}, **values: Any
    ) -> HTTPResponse:
        """Return a page that is made for this one request."""
        told = {"cache-control": "no-store", **HEADERS, **headers}
        return HTTPResponse(self.render(template, values), status, told, _HTML)

    def ready_made(self, body: bytes, tag: str, request: Request, kind: str) -> HTTPResponse:
        """Return what was made before and may be shown again as long as its tag is the same."""
        told = {"cache-control": "no-cache", "etag": f'"{tag}"', **HEADERS}
        if told["etag"] in request.headers.get("if-none-match", ""):
            return HTTPResponse(b"", 304, told)
        return HTTPResponse(body, 200, told, kind)

    def failure(self, status: int, heading: str, told: str, **headers: str) -> HTTPResponse:
        """Return a page that says what went wrong."""
        values = {"here": "", "heading": heading, "told": told}
        return self.page("failure.html", status=status, headers=headers, **values)


def redirect(path: str, **headers: str) -> HTTPResponse:
    """Send the browser elsewhere on this site."""
    told = {"location": path, "cache-control": "no-store", **HEADERS, **headers}
    return HTTPResponse(b"", 303, told)


def is_secure(request: Request) -> bool:
    """Tell whether the browser speaks TLS, with us or with what stands before us."""
    return "https" in (request.scheme, request.headers.get("x-forwarded-proto", "").lower())
