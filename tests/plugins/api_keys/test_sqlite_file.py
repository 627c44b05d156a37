"""Keys in an SQLite file: private, and noticed when it is replaced."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from hoonify_plugins.api_keys.record import StoreError, StoreReplaced, new_key
from hoonify_plugins.api_keys.store import DatabaseKeyStore


def test_the_files_are_private(store: DatabaseKeyStore, database: Path) -> None:
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
        store = DatabaseKeyStore(f"sqlite:///{tmp_path}/hoonify.db")
        store.add(new_key("ada", "free")[0])
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_a_file_in_the_place_of_ours_is_noticed(store: DatabaseKeyStore, database: Path) -> None:
    """As a backup that was put back; what we hold open is nobody's any more."""
    store.add(new_key("one", "free")[0])
    _, mark = store.changes(0)
    other = DatabaseKeyStore(f"sqlite:///{database.with_name('backup.db')}")
    other.close()
    os.replace(database.with_name("backup.db"), database)
    with pytest.raises(StoreReplaced):
        store.changes(mark)


def test_a_file_that_is_gone_is_told(store: DatabaseKeyStore, database: Path) -> None:
    """It is not made again: nobody knows what the operator is about to do."""
    database.unlink()
    with pytest.raises(StoreError, match="is gone"):
        store.changes(0)
    assert not database.exists()


def test_an_older_state_of_the_file_is_noticed(store: DatabaseKeyStore, database: Path) -> None:
    """A mark that it has not come to yet means that it is not what was read before."""
    store.add(new_key("one", "free")[0])
    _, mark = store.changes(0)
    store.add(new_key("two", "free")[0])
    _, later = store.changes(mark)
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM api_keys WHERE name = 'two'")
        connection.execute("UPDATE api_key_changes SET number = number - 1")
    connection.close()
    with pytest.raises(StoreReplaced):
        store.changes(later)


def test_a_newer_schema_is_left_alone(database: Path) -> None:
    """An older router does not write into a newer one's file."""
    database.parent.mkdir()
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    with pytest.raises(StoreError, match="written by a newer hoonify-router"):
        DatabaseKeyStore(f"sqlite:///{database}")


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
        DatabaseKeyStore(f"sqlite:///{database}")
    assert str(database) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_key_is_in_the_file(store: DatabaseKeyStore, database: Path) -> None:
    """Who steals the database has no key."""
    record, key = new_key("ada", "free")
    store.add(record)
    content = b"".join(path.read_bytes() for path in database.parent.iterdir())
    assert record.digest in content
    assert key.encode() not in content
    assert key[4:].encode() not in content


FIRST_VERSION = """
    CREATE TABLE api_keys (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, plan TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), created INTEGER NOT NULL,
        expires INTEGER, revoked INTEGER, models TEXT NOT NULL DEFAULT '[]', changed INTEGER NOT NULL
    )
"""


def test_the_keys_of_the_first_version_are_kept(database: Path) -> None:
    """Its file is brought up to date, and every key works on."""
    database.parent.mkdir()
    connection = sqlite3.connect(database)
    connection.execute(FIRST_VERSION)
    row = ("key_1", "ada", "free", b"x" * 32, 100, None, None, '["qwen*"]', 7)
    connection.execute(f"INSERT INTO api_keys VALUES ({', '.join('?' * 9)})", row)
    connection.commit()
    connection.close()
    store = DatabaseKeyStore(f"sqlite:///{database}")
    (record,), mark = store.changes(0)
    assert (record.name, record.models, record.scopes) == ("ada", ("qwen*",), ("inference",))
    store.add(new_key("bob", "free")[0])
    assert [each.name for each in store.changes(mark)[0]] == ["bob"]
    store.close()
