"""A router's keys and usage behind the pages, and browsers that have signed in."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hoonify_plugins.api_keys.middleware import APIKeysMiddleware
from hoonify_plugins.api_keys.record import KeyRecord
from hoonify_plugins.api_keys.session_store import DatabaseSessionStore
from hoonify_plugins.api_keys.sessions import Sessions
from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_plugins.rate_limits.middleware import RateLimits
from hoonify_plugins.rate_limits.settings import Plan, RateLimitsSettings
from hoonify_plugins.rate_limits.shared_ledger import SharedLedger
from hoonify_plugins.usage.record import UsageRecord
from hoonify_plugins.usage.store import UsageStore

from .doors import Answer, Browser, OpenPages

PIPELINE = ("api_keys", "rate_limits", "usage", "pages")
PLANS = {"rate_limits": {"plans": {"free": {"requests_per_minute": 7}, "open": {}}}}
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
KEY = re.compile(r"hoo_[0-9A-Za-z]{46}")
SignIn = Callable[..., Awaitable[tuple[Browser, str, KeyRecord]]]


class Place:
    """The database of a router, and its gateway's middleware."""

    def __init__(self, folder: Path) -> None:
        (folder / "state").mkdir()
        self.url = f"sqlite:///{folder}/state/hoonify.db"
        self.keys = DatabaseKeyStore(self.url)
        self.usage = UsageStore(self.url)
        sessions = Sessions(lambda: DatabaseSessionStore(self.url))
        log = logging.getLogger("hoonify_router.plugins")
        self.api_keys = APIKeysMiddleware(
            lambda: DatabaseKeyStore(self.url), log, 3600, sessions=sessions
        )
        settings = RateLimitsSettings({"free": Plan(requests_per_minute=7), "open": Plan()})
        self.limits = RateLimits(
            settings, {}, lambda: SharedLedger(folder / "limits", shared=False), log
        )

    def used(self, key: KeyRecord, model: str = "qwen-3", **more: Any) -> None:
        """Write one request of a key down."""
        self._count = getattr(self, "_count", 0) + 1
        values: dict[str, Any] = {
            "request_id": f"r{self._count}",
            "at": time.time(),
            "key_id": key.id,
            "owner": key.owner,
            "model": model,
            "home": model,
            "task": "chat",
            "status": 200,
            "error": "",
            "finish_reason": "stop",
            "streamed": True,
            "prompt_tokens": 1000,
            "completion_tokens": 234,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "price": 0.5,
            "first_token": 0.25,
            "duration": 1.0,
        }
        self.usage.add([UsageRecord(**values | more)])


async def open_up(place: Place, open_pages: OpenPages, **more: Any) -> Browser:
    middleware = {"api_keys": place.api_keys, "rate_limits": place.limits}
    return await open_pages(pipeline=PIPELINE, plugins=PLANS, middleware=middleware, **more)


async def knock(browser: Browser, key: str) -> Answer:
    """Fill in the form."""
    page = (await browser.get("/dashboard/sign-in")).text
    form = {"csrf": CSRF.findall(page)[0], "key": key, "next": "/dashboard"}
    return await browser.post("/dashboard/sign-in", form)
