"""The `openai` backend keeps every promise before a server that does: another router."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from hoonify_router.loader import load_plugins
from hoonify_router.testing import BackendConformance
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.subject import make_subject

pytestmark = pytest.mark.slow


class TestOpenAI(BackendConformance):
    """Its server is a gateway before a home of the test instrument."""

    backend = "openai"
    options: ClassVar = {"model": "subject"}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls) -> Iterator[None]:
        """Run the server in a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        bench = Bench(make_subject(load_plugins(), "echo", {"token_delay": 0.005}))
        door = asyncio.run_coroutine_threadsafe(bench.door(), loop).result()
        cls.url = f"http://127.0.0.1:{door.port}/v1"
        yield
        asyncio.run_coroutine_threadsafe(bench.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
