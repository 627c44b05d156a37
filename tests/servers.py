"""Real servers for tests, each alone in a folder of its own; whoever asks for one that is not installed is skipped."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Redis:
    """A Redis on a unix socket, which keeps nothing.

    Args:
        folder: For its socket.
    """

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("redis", reason="the extra `redis` is not installed")
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        arguments = ["--port", "0", "--unixsocket", str(self._socket), "--save", ""]
        self._command = [program, *arguments, "--dir", str(folder)]
        self.start()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while "eady to accept" not in (line := self.process.stdout.readline()):
            assert line, "redis-server did not start"

    def kill(self) -> None:
        """End it without a word."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


@contextmanager
def redis() -> Iterator[Redis]:
    """Run a Redis."""
    with tempfile.TemporaryDirectory(prefix="hoonify-redis-") as folder:
        server = Redis(Path(folder))
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL on a unix socket; give its URL with ``{name}`` in place of the database's name."""
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
    try:
        assert server.stderr is not None
        while "ready to accept connections" not in (line := server.stderr.readline()):
            assert line, "postgres did not start"
        yield f"postgresql+psycopg://ada@/{{name}}?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str, name: str) -> str:
    """Make an empty database in a PostgreSQL; return its URL.

    Args:
        server: As ``postgres`` gives it.
        name: Of the database.
    """
    import psycopg

    folder = server.partition("host=")[2]
    with psycopg.connect(f"dbname=postgres user=ada host={folder}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return server.format(name=name)


def _postgres_programs() -> Path | None:
    """Return where initdb and postgres are; Debian keeps them out of the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        places.insert(0, Path(found).resolve().parent)
    return next((place for place in places if (place / "initdb").exists()), None)
