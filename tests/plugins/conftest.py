"""Real servers, each started by the first test that wants it, and stopped at the end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import new_database, postgres

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of our own, without a database's name."""
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a new, empty database."""
    return new_database(postgres_server, f"test_{next(_NUMBERS)}")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database, one of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/hoonify.db"
    return str(request.getfixturevalue("postgres_url"))
