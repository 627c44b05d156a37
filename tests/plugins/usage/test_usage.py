"""Records of requests: written at once, taken over once, added up."""

from __future__ import annotations

import logging
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples

from hoonify_plugins.usage.collector import UsageCollector
from hoonify_plugins.usage.journal import Journal
from hoonify_plugins.usage.middleware import UsageMiddleware
from hoonify_plugins.usage.reading import has_a_writer, read_journal
from hoonify_plugins.usage.record import UsageRecord
from hoonify_plugins.usage.store import UsageStore
from hoonify_router.api import (
    LoadedConfig,
    ModelConfig,
    PluginContext,
    Principal,
    RequestContext,
)
from hoonify_router.config.model import Config, Pricing
from hoonify_router.errors import EngineDead
from hoonify_router.types import ChatRequest, HomeView, Message, Usage

LOG = logging.getLogger(__name__)
NOON = 1_800_000_000.0


def record(number: int = 1, **changes: object) -> UsageRecord:
    """Return a record."""
    fields: dict[str, object] = {
        "request_id": f"req-{number}",
        "at": NOON + number,
        "key_id": "key_1",
        "owner": "",
        "model": "m",
        "home": "m",
        "task": "chat",
        "status": 200,
        "error": "",
        "finish_reason": "stop",
        "streamed": False,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "price": 0.25,
        "first_token": 0.1,
        "duration": 0.5,
    }
    return UsageRecord(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where journals are."""
    return tmp_path / "usage"


@pytest.fixture
def collector(database_url: str, folder: Path) -> Iterator[UsageCollector]:
    """A collector that works when it is told to."""
    made = UsageCollector(lambda: UsageStore(database_url), folder, LOG, interval=0.01)
    yield made
    if made._store is not None:
        made._store.close()


@pytest.fixture
def store(database_url: str) -> Iterator[UsageStore]:
    """The database."""
    made = UsageStore(database_url)
    yield made
    made.close()


def test_records_are_in_the_file_at_once(folder: Path) -> None:
    """Whole, in order; a second reader begins where the first one stopped."""
    journal = Journal(folder)
    journal.write(record(1).row())
    (path,) = folder.iterdir()
    first = read_journal(path, 0, 10)
    assert first.rows == [record(1).row()]
    journal.write(record(2).row())
    assert read_journal(path, first.place, 10).rows == [record(2).row()]
    assert path.stat().st_mode & 0o777 == 0o600
    assert has_a_writer(path)
    journal.close()
    assert not has_a_writer(path)


@settings(max_examples=examples(50), deadline=None)
@given(st.integers(0, 400), st.integers(1, 4))
def test_a_record_that_is_not_whole_yet_waits(
    tmp_path_factory: pytest.TempPathFactory, cut: int, count: int
) -> None:
    """However the file is cut, whole records are read and nothing else."""
    folder = tmp_path_factory.mktemp("usage")
    journal = Journal(folder)
    for number in range(count):
        journal.write(record(number).row())
    journal.close()
    (path,) = folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: min(cut, len(content))])
    read = read_journal(path, 0, 10)
    assert read.rows == [record(n).row() for n in range(len(read.rows))]
    path.write_bytes(content)
    rest = read_journal(path, read.place, 10).rows
    assert rest == [record(n).row() for n in range(len(read.rows), count)]


def test_a_large_journal_is_followed_by_another(folder: Path, collector: UsageCollector) -> None:
    """So that what is taken over can be deleted."""
    journal = Journal(folder, large=300, window=2 * mmap.PAGESIZE)
    for number in range(300):
        journal.write(record(number).row())
    journal.close()
    assert len(list(folder.iterdir())) > 2
    assert collector.collect() == 300


def test_records_are_taken_over_once(
    collector: UsageCollector, store: UsageStore, folder: Path, database_url: str
) -> None:
    """By whoever collects, also after a restart; a journal that nobody writes is deleted."""
    journal = Journal(folder)
    for number in range(3):
        journal.write(record(number).row())
    assert collector.collect() == 3
    assert collector.collect() == 0
    journal.write(record(3).row())
    again = UsageCollector(lambda: UsageStore(database_url), folder, LOG)
    assert again.collect() == 1
    assert again._store is not None
    again._store.close()
    journal.close()
    collector._places.clear()
    collector.collect()
    assert list(folder.iterdir()) == []
    (total,) = store.totals("model")
    assert (total.group, total.requests, total.prompt_tokens) == ("m", 4, 40)


def test_sums_by_key_model_and_day(store: UsageStore) -> None:
    """Of a time, and of one key."""
    day = 86400.0
    records = [
        record(1, model="a", key_id="key_1"),
        record(2, model="b", key_id="key_2", error="engine_dead", price=0.0),
        record(3, model="b", key_id="key_1", at=NOON + day),
    ]
    store.add(records)
    assert [(t.group, t.requests, t.failed, t.price) for t in store.totals("model")] == [
        ("a", 1, 0, 0.25),
        ("b", 2, 1, 0.25),
    ]
    assert [(t.group, t.requests) for t in store.totals("key", until=NOON + day)] == [
        ("key_1", 1),
        ("key_2", 1),
    ]
    assert [(t.group, t.requests) for t in store.totals("day", key_id="key_1")] == [
        ("2027-01-15", 1),
        ("2027-01-16", 1),
    ]
    assert [t.group for t in store.totals("day", since=NOON + day)] == ["2027-01-16"]


def test_a_damaged_journal_is_left_where_it_is(
    collector: UsageCollector, store: UsageStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, and others are taken over."""
    folder.mkdir()
    (folder / "a.journal").write_bytes(b"\xff" * 100)
    journal = Journal(folder)
    journal.write(record().row())
    assert collector.collect() == 1
    assert collector.collect() == 0
    assert caplog.text.count("damaged") == 1
    assert (folder / "a.journal").exists()
    journal.close()


def test_what_is_whole_is_not_lost_with_a_damage_behind_it(
    collector: UsageCollector, folder: Path
) -> None:
    """Records that stand before it are taken over."""
    journal = Journal(folder)
    journal.write(record().row())
    journal.write(record().row())
    journal.close()
    (path,) = folder.glob("*.journal")
    with path.open("ab") as file:
        file.write(b"\xff" * 100)
    assert collector.collect() == 2
    assert collector.collect() == 0
    assert path.exists()


def test_a_request_is_written_down_as_it_ended(folder: Path) -> None:
    """With its price by the catalog."""
    models = {"m": ModelConfig("P", 100, pricing=Pricing(2.0, 6.0))}
    middleware = UsageMiddleware(models, lambda: Journal(folder))
    middleware._journal = Journal(folder)
    ctx = RequestContext("req-1", "POST", "/", {}, "", time.perf_counter() - 2)
    ctx.request = ChatRequest("m", [Message("user", "hi")], stream=True)
    ctx.principal = Principal("key_1", owner="ada")
    ctx.home = HomeView("m/1", "m", "echo", "worker", "ready")
    ctx.usage, ctx.finish_reason, ctx.status = Usage(100_000, 50_000, 10, 7), "stop", 200
    ctx.first_token_at = ctx.started + 1
    middleware.on_finally(ctx)
    failed = RequestContext("req-2", "POST", "/", {}, "", time.perf_counter())
    failed.request = ChatRequest("no-such", [])
    failed.error, failed.status = EngineDead("gone"), 503
    middleware.on_finally(failed)
    (path,) = folder.iterdir()
    good, bad = (UsageRecord(*row) for row in read_journal(path, 0, 10).rows)
    assert (good.key_id, good.owner, good.model, good.home) == ("key_1", "ada", "m", "m/1")
    assert (good.streamed, good.finish_reason, good.reasoning_tokens) == (True, "stop", 7)
    assert good.price == pytest.approx(0.5)
    assert good.first_token == pytest.approx(1)
    assert good.duration == pytest.approx(2, abs=0.5)
    assert (bad.model, bad.status, bad.error) == ("other", 503, "model_unavailable")


WRITER = """
import sys
from pathlib import Path
from hoonify_plugins.usage.journal import Journal

journal = Journal(Path(sys.argv[1]))
number = 0
while True:
    journal.write((
        f"req-{number}", 0.0, "", "", "m", "", "chat", 200, "", "", 0, 1, 1, 0, 0, 0.0, None, 0.0
    ))
    number += 1
    print(number, flush=True)  # the client has seen the end of its answer
"""


def test_the_kill_of_a_gateway_loses_no_answered_request(
    collector: UsageCollector, store: UsageStore, folder: Path
) -> None:
    """Whenever it is killed, what was told to a client is in the end in the database."""
    answered = 0
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(200)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.communicate()[0].splitlines(keepends=True)
        answered += int([line for line in lines if line.endswith("\n")][-1])
    collector.collect()
    (total,) = store.totals("model")
    assert total.requests >= answered
    assert list(folder.iterdir()) == []


def test_prices_change_while_it_runs(folder: Path) -> None:
    """A request that ends afterwards has the new price."""

    def model(price: float) -> dict[str, ModelConfig]:
        return {"m": ModelConfig("Nobody", 10, backend="echo", pricing=Pricing(price, price))}

    middleware = UsageMiddleware(model(1), lambda: Journal(folder))
    loaded = LoadedConfig(Path("router.yaml"), Config(models=model(2)), Path("var"))
    middleware.reload(None, PluginContext(loaded, LOG))
    assert middleware._prices == {"m": (2, 2)}
