"""Keys in a database: durable, shared by processes; the same in SQLite and in PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from hoonify_plugins.api_keys.record import StoreError, new_key, successor_of
from hoonify_plugins.api_keys.store import DatabaseKeyStore


@pytest.fixture
def store(database_url: str) -> Iterator[DatabaseKeyStore]:
    """An open store, in a database of each kind."""
    store = DatabaseKeyStore(database_url)
    yield store
    store.close()


def test_a_key_comes_back_as_it_was(store: DatabaseKeyStore, database_url: str) -> None:
    """All of it, from another connection too."""
    record, _ = new_key("ada", "free", lifetime=60, models=("qwen*", "tiny-chat"))
    store.add(record)
    assert store.all() == [record]
    other = DatabaseKeyStore(database_url)
    assert other.all() == [record]
    other.close()


def test_a_revoked_key_stays_revoked(store: DatabaseKeyStore) -> None:
    """The first time of revocation is kept."""
    record, _ = new_key("ada", "free")
    store.add(record)
    first = store.revoke(record.id, 100)
    again = store.revoke(record.id, 200)
    assert first is not None
    assert first.revoked == 100
    assert again == first
    assert store.revoke("key_nobody", 100) is None


def test_changes_are_told_once(store: DatabaseKeyStore) -> None:
    """A reader that knows a mark gets only what came after it."""
    one, two = new_key("one", "free")[0], new_key("two", "free")[0]
    assert store.changes(0) == ([], 0)
    store.add(one)
    changed, mark = store.changes(0)
    assert changed == [one]
    store.add(two)
    store.revoke(one.id, 100)
    changed, later = store.changes(mark)
    assert [(record.name, record.revoked) for record in changed] == [("two", None), ("one", 100)]
    assert later > mark
    assert store.changes(later) == ([], later)
    store.revoke(one.id, 200)
    assert store.changes(later) == ([], later)


def test_the_first_key_is_only_for_an_empty_store(store: DatabaseKeyStore) -> None:
    """Also a revoked key is one: a restart never brings an unlimited key back."""
    first, _ = new_key("first", "unlimited")
    assert store.add_first(first)
    assert not store.add_first(new_key("second", "unlimited")[0])
    store.revoke(first.id, 100)
    assert not store.add_first(new_key("third", "unlimited")[0])


def test_the_same_key_twice_is_an_error(store: DatabaseKeyStore) -> None:
    """The error names no key, and the store goes on."""
    record, key = new_key("ada", "free")
    store.add(record)
    with pytest.raises(StoreError) as caught:
        store.add(record)
    assert key not in str(caught.value)
    assert record.digest.hex() not in str(caught.value)
    store.add(new_key("bob", "free")[0])


WRITER = """
import sys
from hoonify_plugins.api_keys.record import new_key
from hoonify_plugins.api_keys.store import DatabaseKeyStore

print("ready", flush=True)
sys.stdin.readline()
store = DatabaseKeyStore(sys.argv[1])
first = store.add_first(new_key("first", "unlimited")[0])
for number in range(int(sys.argv[2])):
    record, _ = new_key(f"{sys.argv[3]}-{number}", "free")
    store.add(record)
    if number % 2:
        store.revoke(record.id, 100)
print("first" if first else "not first")
"""


def test_processes_write_at_the_same_time(database_url: str) -> None:
    """Four processes make the file and 25 keys each: nothing is lost, one of them was the first."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, database_url, "25", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=60)[0].strip() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    assert sorted(said) == ["first", "not first", "not first", "not first"]
    store = DatabaseKeyStore(database_url)
    records, changes = store.changes(0)
    store.close()
    assert len(records) == 101
    assert sum(record.revoked is not None for record in records) == 48
    assert changes >= 149  # a number may be left out


def test_a_successor_takes_over(store: DatabaseKeyStore) -> None:
    """Both are good for a while; the old one ends at the latest when it would have ended anyway."""
    old, _ = new_key("ada", "free", owner="ada", scopes=("inference", "admin"), notes="laptop")
    store.add(old)
    new, key = successor_of(old)
    until = int(time.time()) + 60
    rotated = store.rotate(old.id, new, until)
    assert rotated is not None
    assert (rotated.expires, rotated.successor) == (until, new.id)
    assert store.find(old.id) == rotated
    kept = store.find(new.id)
    assert kept == new
    assert (kept.name, kept.owner, kept.scopes, kept.notes) == (
        "ada",
        "ada",
        ("inference", "admin"),
        "laptop",
    )
    assert key not in repr(kept)
    again, _ = successor_of(old)
    assert (store.rotate(old.id, again, until + 600) or old).expires == until


def test_a_key_that_is_no_longer_good_has_no_successor(store: DatabaseKeyStore) -> None:
    """Nothing is kept then."""
    old, _ = new_key("ada", "free")
    store.add(old)
    store.revoke(old.id, 100)
    assert store.rotate(old.id, successor_of(old)[0], 2**40) is None
    assert store.rotate("key_nobody", successor_of(old)[0], 2**40) is None
    assert len(store.all()) == 1


def test_the_last_use_is_no_change(store: DatabaseKeyStore) -> None:
    """Gateways need not hear of it; an older time than the known one is forgotten."""
    record, _ = new_key("ada", "free")
    store.add(record)
    _, mark = store.changes(0)
    store.mark_used({record.id: 200, "key_nobody": 100})
    store.mark_used({record.id: 150})
    assert store.changes(mark) == ([], mark)
    assert [each.used for each in store.all()] == [200]
