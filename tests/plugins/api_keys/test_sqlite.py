"""The SQLite store: private, durable, shared by processes."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hoonify_plugins.api_keys.record import StoreError, StoreReplaced, new_key
from hoonify_plugins.api_keys.sqlite import SQLiteKeyStore


def test_a_key_comes_back_as_it_was(store: SQLiteKeyStore, database: Path) -> None:
    """All of it, from another connection too."""
    record, _ = new_key("ada", "free", lifetime=60, models=("qwen*", "tiny-chat"))
    store.add(record)
    assert store.all() == [record]
    other = SQLiteKeyStore(database)
    assert other.all() == [record]
    other.close()


def test_the_files_are_private(store: SQLiteKeyStore, database: Path) -> None:
    """Whatever the umask allows, only the owner reads the database and what SQLite puts beside it."""
    store.add(new_key("ada", "free")[0])
    names = {path.name for path in database.parent.iterdir()}
    assert {"hoonify.db", "hoonify.db-wal"} <= names
    for path in database.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700


def test_an_open_umask_changes_nothing(tmp_path: Path) -> None:
    """The mode is asked for when the file is made, not mended afterwards."""
    before = os.umask(0)
    try:
        store = SQLiteKeyStore(tmp_path / "hoonify.db")
        store.add(new_key("ada", "free")[0])
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_no_key_is_in_the_file(store: SQLiteKeyStore, database: Path) -> None:
    """Who steals the database has no key."""
    record, key = new_key("ada", "free")
    store.add(record)
    content = b"".join(path.read_bytes() for path in database.parent.iterdir())
    assert record.digest in content
    assert key.encode() not in content
    assert key[4:].encode() not in content


def test_a_revoked_key_stays_revoked(store: SQLiteKeyStore) -> None:
    """The first time of revocation is kept."""
    record, _ = new_key("ada", "free")
    store.add(record)
    first = store.revoke(record.id, 100)
    again = store.revoke(record.id, 200)
    assert first is not None
    assert first.revoked == 100
    assert again == first
    assert store.revoke("key_nobody", 100) is None


def test_changes_are_told_once(store: SQLiteKeyStore) -> None:
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


def test_a_file_in_the_place_of_ours_is_noticed(store: SQLiteKeyStore, database: Path) -> None:
    """As a backup that was put back; what we hold open is nobody's any more."""
    store.add(new_key("one", "free")[0])
    _, mark = store.changes(0)
    other = SQLiteKeyStore(database.with_name("backup.db"))
    other.close()
    os.replace(database.with_name("backup.db"), database)
    with pytest.raises(StoreReplaced):
        store.changes(mark)


def test_a_file_that_is_gone_is_told(store: SQLiteKeyStore, database: Path) -> None:
    """It is not made again: nobody knows what the operator is about to do."""
    database.unlink()
    with pytest.raises(StoreError, match="No such file"):
        store.changes(0)
    assert not database.exists()


def test_an_older_state_of_the_file_is_noticed(store: SQLiteKeyStore, database: Path) -> None:
    """A mark that it has not come to yet means that it is not what was read before."""
    store.add(new_key("one", "free")[0])
    _, mark = store.changes(0)
    store.add(new_key("two", "free")[0])
    _, later = store.changes(mark)
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM api_keys WHERE name = 'two'")
    connection.close()
    with pytest.raises(StoreReplaced):
        store.changes(later)


def test_the_first_key_is_only_for_an_empty_store(store: SQLiteKeyStore) -> None:
    """Also a revoked key is one: a restart never brings an unlimited key back."""
    first, _ = new_key("first", "unlimited")
    assert store.add_first(first)
    assert not store.add_first(new_key("second", "unlimited")[0])
    store.revoke(first.id, 100)
    assert not store.add_first(new_key("third", "unlimited")[0])


def test_the_same_key_twice_is_an_error(store: SQLiteKeyStore) -> None:
    """The error names no key, and the store goes on."""
    record, key = new_key("ada", "free")
    store.add(record)
    with pytest.raises(StoreError) as caught:
        store.add(record)
    assert key not in str(caught.value)
    assert record.digest.hex() not in str(caught.value)
    store.add(new_key("bob", "free")[0])


def test_a_newer_schema_is_left_alone(database: Path) -> None:
    """An older router does not write into a newer one's file."""
    database.parent.mkdir()
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="written by a newer hoonify-router"):
        SQLiteKeyStore(database)


@pytest.mark.parametrize("kind", ["folder", "text", "below a file"])
def test_a_file_that_cannot_be_used_is_one_line(database: Path, kind: str) -> None:
    """The operator reads which file and why."""
    if kind == "folder":
        database.mkdir(parents=True)
    elif kind == "text":
        database.parent.mkdir()
        database.write_text("this is not a database" * 100)
    else:
        database.parent.write_text("")
    with pytest.raises(StoreError) as caught:
        SQLiteKeyStore(database)
    assert str(database) in str(caught.value)
    assert "\n" not in str(caught.value)


WRITER = """
import sys
from pathlib import Path
from hoonify_plugins.api_keys.record import new_key
from hoonify_plugins.api_keys.sqlite import SQLiteKeyStore

print("ready", flush=True)
sys.stdin.readline()
store = SQLiteKeyStore(Path(sys.argv[1]))
first = store.add_first(new_key("first", "unlimited")[0])
for number in range(int(sys.argv[2])):
    record, _ = new_key(f"{sys.argv[3]}-{number}", "free")
    store.add(record)
    if number % 2:
        store.revoke(record.id, 100)
print("first" if first else "not first")
"""


def test_processes_write_at_the_same_time(database: Path) -> None:
    """Four processes make the file and 25 keys each: nothing is lost, one of them was the first."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(database), "25", str(number)],
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
    store = SQLiteKeyStore(database)
    records, changes = store.changes(0)
    store.close()
    assert len(records) == 101
    assert sum(record.revoked is not None for record in records) == 48
    assert changes == 149
