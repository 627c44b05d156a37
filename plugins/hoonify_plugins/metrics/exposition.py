"""``GET /metrics``: what all gateways have counted, in Prometheus' text form."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from sanic.request import Request
from sanic.response import HTTPResponse


class Exposition:
    """Answers for all gateway processes of one router.

    Args:
        folder: Where they write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def answer(self, request: Request) -> HTTPResponse:
        """Add everything up, in a thread: it takes milliseconds, and streams go on."""
        body = await asyncio.to_thread(self.text)
        return HTTPResponse(body, content_type=CONTENT_TYPE_LATEST)

    def text(self) -> bytes:
        """Return the text."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)
