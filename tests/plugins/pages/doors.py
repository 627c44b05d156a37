"""The pages on a door of their own, asked as a browser without scripts would."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sanic.response import HTTPResponse

from hoonify_router.api import HomeVitals, ModelConfig
from hoonify_router.config.model import Pricing
from hoonify_router.types import HomeView

MODELS = {
    "qwen-3": ModelConfig(
        "Qwen", 131072, "For long documents.", pricing=Pricing(0.2, 0.6), backend="echo"
    ),
    "llama-4": ModelConfig(
        "Meta", 10485760, "Sees.", modalities=["text", "image"], pricing=Pricing(0.11, 0.34)
    ),
    "tiny": ModelConfig("Hoonify", 1024, "For trying things out."),
}


def home(model: str, state: Any = "ready", **more: Any) -> HomeVitals:
    """Return a home in some state."""
    known = {name: more.pop(name) for name in ("parameters", "tasks") if name in more}
    return HomeVitals(HomeView(model, model, "echo", "worker", state, **more), **known)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        status: Its status.
        headers: By lower-case names.
        text: The body.
        cookies: What it set, each whole.
    """

    status: int
    headers: dict[str, str]
    text: str
    cookies: list[str] = field(default_factory=list)


class Browser:
    """Asks one door, and keeps its cookies.

    Args:
        port: Where the door is.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> Answer:
        """Open a page."""
        return await self.ask("GET", path, headers)

    async def post(self, path: str, form: Mapping[str, Any], **headers: str) -> Answer:
        """Send a form."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return await self.ask("POST", path, {**kind, **headers}, urlencode(form, doseq=True))

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] = {}, body: str | None = None
    ) -> Answer:
        """Send any request."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return await asyncio.to_thread(self._ask, method, path, given, body)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: str | None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        cookies = [value for name, value in answer.getheaders() if name.lower() == "set-cookie"]
        for cookie in cookies:
            name, _, rest = cookie.partition("=")
            value = rest.partition(";")[0].strip('"')
            if value and "max-age=0" not in cookie.lower():
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return Answer(answer.status, told, text, cookies)


async def elsewhere(request: Any) -> HTTPResponse:
    """Stand for the rest of the router."""
    return HTTPResponse("elsewhere")


OpenPages = Callable[..., Awaitable[Browser]]
