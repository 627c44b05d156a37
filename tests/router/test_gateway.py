"""The life of one gateway: what it opens, and what it blames when that fails."""

from __future__ import annotations

import pytest

from hoonify_router.api import Middleware
from hoonify_router.catalog import Catalog
from hoonify_router.config.model import Config
from hoonify_router.errors import PluginError
from hoonify_router.gateway import Gateway


class Grumpy(Middleware):
    """Fails whenever it can."""

    name = "grumpy"

    async def startup(self) -> None:
        raise ZeroDivisionError("not today")

    async def shutdown(self) -> None:
        raise ZeroDivisionError("not even that")


def gateway(*middleware: Middleware) -> Gateway:
    return Gateway(Config(models={}), middleware, {}, Catalog(Config(models={}), {}))


async def test_middleware_that_cannot_start_is_blamed_by_name() -> None:
    """The door stays shut, and the operator knows because of whom."""
    with pytest.raises(PluginError, match="middleware 'grumpy' cannot start: ZeroDivisionError"):
        await gateway(Grumpy()).start()


async def test_middleware_that_cannot_shut_down_is_blamed_by_name(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are shut down all the same."""
    shut = []

    class Neat(Middleware):
        async def shutdown(self) -> None:
            shut.append(self)

    monkeypatch.setattr(Grumpy, "startup", Middleware.startup)
    running = gateway(Neat(), Grumpy())
    await running.start()
    await running.stop()
    assert "middleware 'grumpy' failed to shut down" in caplog.text
    assert len(shut) == 1
