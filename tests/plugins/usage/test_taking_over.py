"""From journals into the database: each record once, whoever collects, and whoever is killed."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.plugins.usage.test_journal import row

from hoonify_plugins.database.opening import Database
from hoonify_plugins.usage.collector import UsageCollector
from hoonify_plugins.usage.journal import Journal
from hoonify_plugins.usage.reading import Reading
from hoonify_plugins.usage.record import Row
from hoonify_plugins.usage.store import UsageStore

LOG = logging.getLogger(__name__)

COLLECTING = """
import logging, sys
from pathlib import Path
from hoonify_plugins.usage.collector import UsageCollector
from hoonify_plugins.usage.store import UsageStore

class Telling(UsageStore):
    def take_over(self, readings):
        print("begins", flush=True)
        told = super().take_over(readings)
        print("ended", flush=True)
        return told

store = Telling(sys.argv[1])
collector = UsageCollector(lambda: store, Path(sys.argv[2]), logging.getLogger(), batch=3)
while True:
    collector.collect()
"""


@pytest.fixture
def store(database_url: str) -> Iterator[UsageStore]:
    """The database."""
    made = UsageStore(database_url)
    yield made
    made.close()


def kept(store: UsageStore) -> list[str]:
    """Return the ids of all records in the database."""
    return sorted(record.request_id for record in store.last(100_000))


def test_a_collector_that_is_killed_anywhere_takes_each_record_over_once(
    store: UsageStore, database_url: str, tmp_path: Path
) -> None:
    """One after the other is killed in the middle of its work; the last one ends it."""
    folder, chance = tmp_path / "usage", random.Random(5)
    journals = [Journal(folder), Journal(folder)]
    expected = []
    for _ in range(3):
        for number in range(len(expected), len(expected) + 400):
            journals[number % 2].write(row(number))
            expected.append(f"req-{number}")
        killed = subprocess.Popen(
            [sys.executable, "-c", COLLECTING, database_url, str(folder)], stdout=subprocess.PIPE
        )
        assert killed.stdout is not None
        for _ in range(chance.randint(1, 150)):
            killed.stdout.readline()
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    for journal in journals:
        journal.close()
    collector = UsageCollector(lambda: store, folder, LOG)
    assert collector.collect() > 0
    assert kept(store) == sorted(expected)
    assert list(folder.iterdir()) == []


def test_collectors_side_by_side_take_each_record_over_once(
    store: UsageStore, database_url: str, tmp_path: Path
) -> None:
    """The command beside the supervisor, while gateways write."""
    folder = tmp_path / "usage"
    Journal(folder).close()
    writing = threading.Event()
    writing.set()
    failed: list[BaseException] = []

    def collect() -> None:
        try:
            own = UsageStore(database_url)
            collector = UsageCollector(lambda: own, folder, LOG, batch=5)
            while writing.is_set() or any(folder.iterdir()):
                collector.collect()
            own.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=collect) for _ in range(3)]
    for thread in threads:
        thread.start()
    for first in range(0, 600, 200):
        journal = Journal(folder)
        for number in range(first, first + 200):
            journal.write(row(number))
        journal.close()
    writing.clear()
    for thread in threads:
        thread.join()
    assert failed == []
    assert kept(store) == sorted(f"req-{number}" for number in range(600))


def test_what_somebody_else_has_taken_over_is_left(store: UsageStore) -> None:
    """Whoever comes second is told how far the first one came."""
    rows: list[Row] = [row(1), row(2)]
    assert store.take_over([Reading("j", 0, 100, rows)]) == {"j": 100}
    assert store.take_over([Reading("j", 0, 60, rows[:1])]) == {"j": 100}
    assert store.take_over([Reading("j", 100, 150, [row(3)]), Reading("k", 0, 9, [row(4)])]) == {
        "j": 150,
        "k": 9,
    }
    assert kept(store) == ["req-1", "req-2", "req-3", "req-4"]
    assert (store.place_of("j"), store.place_of("other")) == (150, 0)


def test_a_record_that_does_not_fit_is_mended(store: UsageStore, tmp_path: Path) -> None:
    """What an engine makes up must not keep the others out: numbers and texts as large as there is room for."""
    fields = list(row(2, "x" * 300))
    fields[11], fields[15] = 2**63 + 5, 1e30
    fields[8] = "a\0b" + "c" * 100
    odd: Row = tuple(fields)  # type: ignore[assignment]
    journal = Journal(tmp_path / "usage")
    for each in (row(1), odd, row(3)):
        journal.write(each)
    journal.close()
    collector = UsageCollector(lambda: store, tmp_path / "usage", LOG)
    assert collector.collect() == 3
    assert kept(store) == ["req-1", "req-2", "req-3"]
    (mended,) = [each for each in store.last(10) if each.request_id == "req-2"]
    assert mended.prompt_tokens == 2**63 - 1
    assert mended.error.startswith("abc")
    assert (len(mended.error), len(mended.owner), mended.at) == (64, 200, 1.0)


def test_texts_come_back_as_they_were(store: UsageStore) -> None:
    """Whatever the way into the database makes of tabs, line ends, backslashes, and what looks like nothing."""
    owners = ["a\tb", "c\nd", "\\N", "", "é 語", "\\."]
    store.take_over([Reading("j", 0, 9, [row(n, owner) for n, owner in enumerate(owners)])])
    assert sorted(record.owner for record in store.last(10)) == sorted(owners)


def test_databases_of_before_are_taken_along(database_url: str, tmp_path: Path) -> None:
    """They kept with each record where it had stood; how far each journal had come stays known."""
    UsageStore(database_url).close()
    database = Database(database_url)
    with database.write() as connection:
        for statement in (
            "DROP TABLE usage_journals",
            "ALTER TABLE usage_records ADD COLUMN journal VARCHAR(64) DEFAULT '' NOT NULL",
            "ALTER TABLE usage_records ADD COLUMN place BIGINT DEFAULT 0 NOT NULL",
            "CREATE UNIQUE INDEX usage_once ON usage_records (journal, place)",
            "UPDATE alembic_version SET version_num = '0004'",
        ):
            connection.execute(text(statement))
        for journal, place in (("j", 10), ("j", 30), ("k", 20)):
            connection.execute(
                text(
                    "INSERT INTO usage_records (request_id, at, key_id, model, status, journal, place)"
                    " VALUES (:id, 1.5, 'key', 'm', 200, :journal, :place)"
                ),
                {"id": f"{journal}-{place}", "journal": journal, "place": place},
            )
    database.close()
    store = UsageStore(database_url)
    assert (store.place_of("j"), store.place_of("k")) == (30, 20)
    assert kept(store) == ["j-10", "j-30", "k-20"]
    (total,) = store.totals("model")
    assert total.requests == 3
    store.close()


def test_a_batch_ends_in_the_middle_of_a_journal(store: UsageStore, tmp_path: Path) -> None:
    """And the next one goes on there."""
    folder = tmp_path / "usage"
    journals = [Journal(folder) for _ in range(3)]
    for number in range(31):
        journals[number % 3].write(row(number))
    collector = UsageCollector(lambda: store, folder, LOG, batch=4)
    assert collector.collect() == 31
    assert collector.collect() == 0
    for journal in journals:
        journal.close()
    assert collector.collect() == 0
    assert list(folder.iterdir()) == []
    assert len(kept(store)) == 31
