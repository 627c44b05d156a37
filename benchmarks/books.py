"""What usage records cost: CPU microseconds a record, by the clock of the thread that does the work.

    .venv/bin/python -m benchmarks.books [--rounds 12] [--rate 5000] [--json FILE]

``written`` is the gateway's part, a record into its journal; ``taken over`` is the supervisor's, from the journals of two
gateways into the database, one look at what a second brings. The more keys ask, the more places of an index each
batch touches. SQLite is measured on this machine's disk, PostgreSQL where it is installed (its own work is not counted:
it is another process's, and often another machine's).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import pwd
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.arguments import positive
from hoonify_plugins.usage.collector import UsageCollector
from hoonify_plugins.usage.journal import Journal
from hoonify_plugins.usage.record import Row
from hoonify_plugins.usage.store import UsageStore

KEYS = (1, 100, 10_000)
GATEWAYS = 2


def rows(count: int, keys: int, first: int) -> list[Row]:
    """Return records as requests of so many keys leave them."""
    now = time.time()
    return [
        (
            f"req_{number:032x}",
            now + number / 1e6,
            f"key_{number * 7919 % keys:016x}",
            "ada",
            "bench",
            "bench/1",
            "chat",
            200,
            "",
            "stop",
            number & 1,
            12,
            4,
            0,
            0,
            0.000_02,
            0.001,
            0.002,
        )
        for number in range(first, first + count)
    ]


class Book:
    """A database with the journals of gateways beside it.

    Args:
        url: The database.
        folder: For the journals.
        keys: Whose requests are written down.
    """

    def __init__(self, url: str, folder: Path, keys: int) -> None:
        self._keys = keys
        self._numbers = itertools.count()
        self._journals = [Journal(folder) for _ in range(GATEWAYS)]
        self._store = UsageStore(url)
        log = logging.getLogger(__name__)
        self._collector = UsageCollector(lambda: self._store, folder, log)

    def measure(self, count: int) -> tuple[float, float, float]:
        """Return µs of CPU to write a record, to take one over, and records a second of the latter by the clock."""
        new = rows(count, self._keys, next(self._numbers) * count)
        began = time.thread_time()
        for journal, part in zip(self._journals, (new[::2], new[1::2]), strict=True):
            write = journal.write
            for each in part:
                write(each)
        written = time.thread_time() - began
        began, clock = time.thread_time(), time.perf_counter()
        if self._collector.collect() != count:
            raise RuntimeError("records were lost")
        taken, clock = time.thread_time() - began, time.perf_counter() - clock
        return written / count * 1e6, taken / count * 1e6, count / clock

    def close(self) -> None:
        """Close everything."""
        for journal in self._journals:
            journal.close()
        self._store.close()


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str | None]:
    """Run a PostgreSQL of our own on a unix socket and give its URL; ``None`` where it is not installed."""
    found = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    programs = [Path(each).parent for each in found if each]
    root = os.geteuid() == 0  # it refuses to be root
    if not programs or (root and "postgres" not in {each.pw_name for each in pwd.getpwall()}):
        yield None
        return
    user = "postgres" if root else None
    folder.mkdir()
    shutil.chown(folder, user or os.geteuid())
    data = folder / "data"
    made: list[str | Path] = [
        programs[-1] / "initdb",
        "-D",
        data,
        "-U",
        "bench",
        "-A",
        "trust",
        "--no-sync",
    ]
    subprocess.run(made, user=user, cwd=folder, check=True, capture_output=True)
    command: list[str | Path] = [programs[-1] / "postgres", "-D", data, "-k", folder, "-h", ""]
    with subprocess.Popen(
        command, user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            while "ready to accept connections" not in (line := server.stderr.readline()):
                if not line:
                    raise RuntimeError("PostgreSQL did not start")
            yield f"postgresql+psycopg://bench@/postgres?host={folder}"
        finally:
            server.terminate()
            server.stderr.read() if server.stderr else None


def run(
    rate: int, rounds: int, report: Callable[[str], object], keys: Sequence[int] = KEYS
) -> list[dict[str, float | str]]:
    """Measure, report a table, and return its rows."""
    table: list[dict[str, float | str]] = []
    report(
        f"{'database':<12}{'keys':>8}{'written µs':>12}{'taken over µs':>15}{'last round':>12}{'records/s':>12}"
    )
    with tempfile.TemporaryDirectory(prefix="hoonify-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's user passes through
        with postgres(folder / "postgres") as server:
            for kind, number in itertools.product(("SQLite", "PostgreSQL"), keys):
                if kind == "PostgreSQL" and server is None:
                    continue
                url = f"sqlite:///{folder}/{number}.db"
                if server is not None and kind == "PostgreSQL":
                    url = _new_database(server, f"keys_{number}")
                book = Book(url, folder / f"{kind}-{number}", number)
                measured = [book.measure(rate) for _ in range(rounds)][1:]
                book.close()
                written, taken, clock = (list(each) for each in zip(*measured, strict=True))
                row: dict[str, float | str] = {
                    "database": kind,
                    "keys": number,
                    "written_us": statistics.median(written),
                    "taken_over_us": statistics.median(taken),
                    "taken_over_last_us": taken[-1],
                    "records_per_second": statistics.median(clock),
                }
                table.append(row)
                report(
                    f"{kind:<12}{number:>8}{row['written_us']:>12.1f}{row['taken_over_us']:>15.1f}"
                    f"{taken[-1]:>12.1f}{row['records_per_second']:>12.0f}"
                )
    return table


def _new_database(server: str, name: str) -> str:
    from sqlalchemy import create_engine, text

    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.books", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=12, help="seconds' worth of records")
    parser.add_argument("--rate", type=positive, default=5000, help="records a second brings")
    parser.add_argument("--json", type=Path, help="where the record goes")
    given = parser.parse_args()
    table = run(given.rate, given.rounds, print)
    if given.json is not None:
        given.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
