"""Real servers, each started by the first test that wants it, and stopped at the end."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NUMBERS = itertools.count(1)


def _postgres_programs() -> Path | None:
    """Return where initdb and postgres are; Debian keeps them out of the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        places.insert(0, Path(found).resolve().parent)
    return next((place for place in places if (place / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of our own, without a database's name; it listens on a unix socket only."""
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="hoonify-postgres-"))
    user = None
    if os.geteuid() == 0:  # it refuses to be root
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user `postgres`")
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = [programs / "initdb", "-D", data, "-U", "ada", "-A", "trust", "--no-sync"]
    subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
    arguments = [programs / "postgres", "-D", data, "-k", folder, "-h", "", "-F"]
    server = subprocess.Popen(
        arguments,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    while "ready to accept connections" not in (line := server.stderr.readline()):
        assert line, "postgres did not start"
    yield f"postgresql+psycopg://ada@/{{name}}?host={folder}"
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=20)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a new, empty database."""
    import psycopg

    name = f"test_{next(_NUMBERS)}"
    folder = postgres_server.partition("host=")[2]
    with psycopg.connect(f"dbname=postgres user=ada host={folder}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return postgres_server.format(name=name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database, one of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/hoonify.db"
    return str(request.getfixturevalue("postgres_url"))
