"""Where a database is, without the libraries that open it: checked while the configuration is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from hoonify_router.api import LoadedConfig
from hoonify_router.errors import PluginError

SQLITE = "sqlite:///"
_POSTGRES = re.compile(r"postgres(ql)?(\+psycopg)?://", re.IGNORECASE)
DEFAULT_FILE = "hoonify.db"


class DatabaseError(PluginError):
    """The database cannot be read or written; the message shows no password."""


def database_url(store: str | None, loaded: LoadedConfig) -> str:
    """Return the URL that SQLAlchemy takes for what an operator wrote.

    Args:
        store: A URL, or ``None`` for the default file in the state folder.
        loaded: Relative paths count from this configuration's folder.
    """
    if store is None:
        return SQLITE + str(loaded.state_dir / DEFAULT_FILE)
    if store.startswith(SQLITE):
        path = Path(store.removeprefix(SQLITE)).expanduser()
        return SQLITE + str(loaded.base_dir / path)
    return _POSTGRES.sub("postgresql+psycopg://", store, count=1)


def problems_of(store: str | None, path: str) -> list[str]:
    """Return what is wrong with an operator's URL; it is never quoted, for it may hold a password.

    Args:
        store: What was written.
        path: Where it stands in the configuration.
    """
    if store is None:
        return []
    if store.startswith(SQLITE):
        return [] if len(store) > len(SQLITE) else [f"{path}: expected {SQLITE} and a path"]
    if _POSTGRES.match(store) is None:
        return [f"{path}: expected {SQLITE} and a path, or a URL postgresql://user@host/database"]
    if importlib.util.find_spec("psycopg") is None:
        return [f"{path}: PostgreSQL needs a driver: pip install 'hoonify-router[postgres]'"]
    return []
