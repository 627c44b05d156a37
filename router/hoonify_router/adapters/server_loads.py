"""How busy servers say that they are, asked again and again by each gateway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from hoonify_router.adapters.fetch import fetch
from hoonify_router.adapters.pool import Pool
from hoonify_router.adapters.upstream import UpstreamError
from hoonify_router.api import LoadSignal
from hoonify_router.types import Health, HomeView

log = logging.getLogger(__name__)

INTERVAL = 1.0
_TIMEOUT = 5.0


class ServerLoads:
    """Asks the servers of some homes for their load, as long as they are in the table.

    Args:
        signals: Where servers tell it, by the name of their backend; others are not asked.
    """

    def __init__(self, signals: Mapping[str, LoadSignal] | None = None) -> None:
        self._signals = dict(signals or {})
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._told: dict[tuple[str, str], Health] = {}

    def of(self, home: HomeView) -> Health | None:
        """Return what a home's server has last said; ``None`` where it does not tell."""
        return self._told.get((home.address, home.api_key))

    def begin(self, home: HomeView, pool: Pool, path: str) -> None:
        """Ask a server from now on, if it is one of those that tell.

        Args:
            home: Whose server it is.
            pool: Connections to it.
            path: Of its API, below which OpenAI's endpoints are; the load is told from the root.
        """
        signal = self._signals.get(home.backend)
        key = home.address, home.api_key
        if signal is None or key in self._tasks:
            return
        root = path.removesuffix("/v1")
        self._tasks[key] = asyncio.get_running_loop().create_task(
            self._follow(key, pool, f"{root}{signal.path}", signal)
        )

    def end(self, key: tuple[str, str]) -> None:
        """Ask the server at this address, with this key, no more."""
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()
        self._told.pop(key, None)

    def close(self) -> None:
        """Ask nobody any more."""
        for key in list(self._tasks):
            self.end(key)

    async def _follow(
        self, key: tuple[str, str], pool: Pool, path: str, signal: LoadSignal
    ) -> None:
        while True:
            health = None
            with contextlib.suppress(UpstreamError, TimeoutError):
                async with asyncio.timeout(_TIMEOUT):
                    answer = await fetch(pool, path, api_key=key[1])
                if answer.status == 200:
                    health = self._read(signal, answer.body)
            if health is None:
                self._told.pop(key, None)  # what is too old says nothing
            else:
                self._told[key] = health
            await asyncio.sleep(INTERVAL)

    def _read(self, signal: LoadSignal, body: bytes) -> Health | None:
        try:
            return signal.read(body)
        except Exception:  # a plugin's code
            log.debug("a load cannot be read", exc_info=True)
            return None
