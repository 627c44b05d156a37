"""A place for keys, and requests that carry them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_router.api import PluginContext, RequestContext
from hoonify_router.config.model import Config, LoadedConfig


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where the keys of the test are kept; nothing is there yet."""
    return tmp_path / "state" / "hoonify.db"


@pytest.fixture
def store(database: Path) -> Iterator[DatabaseKeyStore]:
    """Return an open store."""
    store = DatabaseKeyStore(f"sqlite:///{database}")
    yield store
    store.close()


@pytest.fixture
def open_again() -> Callable[[Path], DatabaseKeyStore]:
    """Open another store on a file; it is the caller's to close."""
    return lambda path: DatabaseKeyStore(f"sqlite:///{path}")


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., PluginContext]:
    """Return a maker of plugin contexts: ``make_context(pipeline, settings)``."""

    def make(pipeline: tuple[str, ...] = ("api_keys",), **settings: object) -> PluginContext:
        config = Config(models={}, pipeline=list(pipeline), plugins={"api_keys": settings})
        loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path / "state")
        shared = tmp_path / "runtime"
        shared.mkdir(exist_ok=True)
        log = logging.getLogger("hoonify_router.plugins")
        return PluginContext(loaded, log, runtime_dir=shared)

    return make


@pytest.fixture
def request_with() -> Callable[[str | None], RequestContext]:
    """Return a maker of requests with this Authorization header."""

    def make(authorization: str | None) -> RequestContext:
        headers = {} if authorization is None else {"authorization": authorization}
        return RequestContext("req-1", "POST", "/v1/chat/completions", headers, "127.0.0.1", 0.0)

    return make
