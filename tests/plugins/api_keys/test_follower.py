"""From the database to what gateways know, by way of a file."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hoonify_plugins.api_keys.follower import KeyFollower
from hoonify_plugins.api_keys.record import StoreError, StoreReplaced, new_key
from hoonify_plugins.api_keys.snapshot import SnapshotReader, read_used, write_used
from hoonify_plugins.api_keys.store import DatabaseKeyStore

LOG = logging.getLogger("hoonify_router.plugins.api_keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the processes of a router share."""
    (tmp_path / "runtime").mkdir()
    return tmp_path / "runtime"


@pytest.fixture
def follower(
    open_again: Callable[[Path], DatabaseKeyStore], database: Path, folder: Path
) -> Iterator[KeyFollower]:
    """A follower that looks when it is told to."""
    declared, _ = new_key("declared", "free")
    made = KeyFollower(lambda: open_again(database), [declared], folder, LOG, interval=0.01)
    yield made
    if made.is_alive():
        made.stop()
    elif made._store is not None:
        made._store.close()


def reader_of(folder: Path, patience: float = 5) -> SnapshotReader:
    """Return a reader for which any look is new enough."""
    return SnapshotReader(folder, clock=lambda: 0.0, patience=patience)


def test_gateways_know_the_keys_of_the_database_and_of_the_file(
    follower: KeyFollower, store: DatabaseKeyStore, folder: Path
) -> None:
    """All at first; nothing while nothing changes; then what has changed."""
    record, _ = new_key("ada", "free", scopes=("admin",))
    store.add(record)
    follower.look()
    reader = reader_of(folder)
    keys, mark = reader.changes(0)
    assert {each.name for each in keys} == {"ada", "declared"}
    assert record in keys
    follower.look()
    assert reader.changes(mark) == ([], mark)
    store.revoke(record.id, 100)
    follower.look()
    keys, later = reader.changes(mark)
    assert [each.revoked for each in keys if each.id == record.id] == [100]
    assert later > mark


def test_the_file_is_private(follower: KeyFollower, folder: Path) -> None:
    """It holds hashes."""
    follower.look()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_reader_waits_for_a_look_after_its_question(
    follower: KeyFollower, store: DatabaseKeyStore, folder: Path
) -> None:
    """A key that was made before the question is in the answer."""
    follower.look()
    follower.start()
    reader = SnapshotReader(folder)
    reader.changes(0)
    for number in range(5):
        record, _ = new_key(str(number), "free")
        store.add(record)
        assert record in reader.changes(0)[0]


def test_a_database_that_nobody_looks_at(folder: Path, follower: KeyFollower) -> None:
    """A reader does not wait for ever, and does not take old news for new."""
    with pytest.raises(StoreError, match="nobody has looked"):
        reader_of(folder, patience=0.01).changes(0)
    follower.look()
    with pytest.raises(StoreError, match="nobody has looked"):
        SnapshotReader(folder, clock=lambda: time.time() + 60, patience=0.01).changes(0)


def test_a_database_that_was_replaced(
    follower: KeyFollower,
    open_again: Callable[[Path], DatabaseKeyStore],
    store: DatabaseKeyStore,
    database: Path,
    folder: Path,
) -> None:
    """Readers forget what they knew and read anew."""
    store.add(new_key("gone", "free")[0])
    follower.look()
    reader = reader_of(folder)
    reader.changes(0)
    backup = open_again(database.with_name("backup.db"))
    backup.add(new_key("kept", "free")[0])
    backup.close()
    for beside in ("-wal", "-shm"):
        database.with_name(database.name + beside).unlink(missing_ok=True)
    os.replace(database.with_name("backup.db"), database)
    follower.look()
    with pytest.raises(StoreReplaced):
        reader.changes(1)
    assert {each.name for each in reader.changes(0)[0]} == {"kept", "declared"}


def test_when_keys_were_used_is_written_down_in_the_end(
    follower: KeyFollower, store: DatabaseKeyStore, folder: Path
) -> None:
    """The latest time that any gateway tells."""
    record, _ = new_key("ada", "free")
    store.add(record)
    follower.look()
    write_used(folder, {record.id: 200})
    (folder / "api_keys.used.1").write_bytes((folder / f"api_keys.used.{os.getpid()}").read_bytes())
    write_used(folder, {record.id: 300})
    (folder / "api_keys.used.2").write_text("rubbish")
    assert read_used(folder) == {record.id: 300}
    follower.note_used()
    assert [each.used for each in store.all()] == [300]


def test_trouble_is_told_once(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And its end."""
    broken = [True]

    def open_store() -> DatabaseKeyStore:
        if broken:
            raise StoreError("the disk is gone")
        return DatabaseKeyStore(f"sqlite:///{tmp_path}/hoonify.db")

    follower = KeyFollower(open_store, [], folder, LOG, interval=0.01)
    follower.start()
    deadline = time.monotonic() + 10
    while "the disk is gone" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    broken.clear()
    while "can be read again" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    follower.stop()
    assert caplog.text.count("the disk is gone") == 1
    assert caplog.text.count("can be read again") == 1


def test_the_thread_ends_with_the_router(follower: KeyFollower, folder: Path) -> None:
    """When the shared folder is gone, nobody reads any more."""
    follower.start()
    reader_of(folder).changes(0)
    while folder.exists():
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        try:
            folder.rmdir()
        except OSError:
            continue
    follower.join(10)
    assert not follower.is_alive()
