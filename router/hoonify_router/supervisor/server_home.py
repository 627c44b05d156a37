"""The controller of a home that is a server which already runs: nothing is started, only looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from hoonify_router.api import ServerBackend
from hoonify_router.supervisor import lifecycle
from hoonify_router.supervisor.home import Home
from hoonify_router.supervisor.lifecycle import Trouble
from hoonify_router.supervisor.plan import HomePlan
from hoonify_router.supervisor.probe import probe

log = logging.getLogger(__name__)

_INTERVAL = 10.0
_SECOND_LOOK = 0.5


def base_url(url: str) -> str:
    """Return ``url`` as OpenAI clients want it: a bare host gets ``/v1``."""
    stripped = url.rstrip("/")
    return stripped if urlsplit(stripped).path else f"{stripped}/v1"


class ServerHome(Home):
    """Probes a server at intervals and publishes whether it may be asked.

    Args:
        plan: What it should be; its ``url`` is set.
        on_change: Called when what is published of it has changed.
    """

    def __init__(self, plan: HomePlan, on_change: Callable[[Home], None]) -> None:
        super().__init__(plan, on_change)
        self.address = base_url(plan.home.url or "")

    @property
    def served_name(self) -> str:
        """Return the model name that the server expects."""
        return str(self.plan.options.get("model") or self.plan.model)

    @property
    def _needed(self) -> str:
        """Return the model that must be on the server's list; the only one need not be named."""
        backend = self.plan.backend
        lists = isinstance(backend, ServerBackend) and backend.lists_models
        return str(self.plan.options.get("model") or "") if lists else ""

    async def run(self) -> None:
        """Look at the server until the stop."""
        self._set(lifecycle.start(self.life, self._loop.time()))
        while not self._stop_asked.done():
            trouble = await self._look()
            if trouble is not None and self.life.state == "ready":
                await self._pause(_SECOND_LOOK)  # one lost packet is no outage
                trouble = await self._look()
            if self._stop_asked.done():
                break
            now = self._loop.time()
            if trouble is None:
                if self.life.state != "ready":
                    log.info("%s: its server answers", self.plan.id)
                self._set(lifecycle.answered(self.life, now))
                await self._pause(_INTERVAL)
                continue
            if self.life.state != "failed":
                log.error("%s: %s %s", self.plan.id, trouble.reason, trouble.detail)
            self._set(lifecycle.unanswered(self.life, now, trouble))
            await self._pause((self.life.retry_at or now) - now)
        self._set(lifecycle.stopped(self.life, self._loop.time()))

    async def _look(self) -> Trouble | None:
        """Return what is wrong with the server, if anything is."""
        backend = self.plan.backend
        ready_path = backend.ready_path if isinstance(backend, ServerBackend) else ""
        look = asyncio.create_task(
            probe(self.address, self.plan.home.api_key, self._needed, ready_path)
        )
        await asyncio.wait({look, self._stop_asked}, return_when=asyncio.FIRST_COMPLETED)
        if not look.done():
            look.cancel()
            return None
        error = look.exception()
        if error is None or isinstance(error, Trouble):
            return error
        raise error
