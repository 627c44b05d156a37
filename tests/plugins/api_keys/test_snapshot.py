"""The file that gateways read: all keys once, then what changes, however many there are."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hoonify_plugins.api_keys import snapshot as module
from hoonify_plugins.api_keys.keyring import Keyring
from hoonify_plugins.api_keys.record import KeyRecord, StoreReplaced, new_key
from hoonify_plugins.api_keys.snapshot import SnapshotReader, SnapshotWriter

EPOCH, OTHER = "a" * 16, "b" * 16


def made(count: int, name: str = "key") -> list[KeyRecord]:
    """Return new keys."""
    return [new_key(f"{name} {number}", "free")[0] for number in range(count)]


@pytest.fixture
def writer(tmp_path: Path) -> SnapshotWriter:
    """Return a writer that has looked."""
    writer = SnapshotWriter(tmp_path)
    writer.touch(1.0)
    return writer


@pytest.fixture
def reader(tmp_path: Path) -> SnapshotReader:
    """Return a reader for which any look is new enough."""
    return SnapshotReader(tmp_path, clock=lambda: 0.0)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that hears how many keys each piece has that is decoded."""
    sizes: list[int] = []
    real = module._decode

    def decode(data: bytes) -> list[KeyRecord]:
        keys = real(data)
        sizes.append(len(keys))
        return keys

    monkeypatch.setattr(module, "_decode", decode)
    return sizes


def test_a_changed_key_among_thousands_is_read_alone(
    writer: SnapshotWriter, reader: SnapshotReader, decoded: list[int]
) -> None:
    """And no piece of the first reading is long."""
    keys = made(2000)
    writer.replace(EPOCH, 1, keys)
    assert reader.changes(0) == (keys, 1)
    assert sum(decoded) == 2000
    assert max(decoded) <= 256
    decoded.clear()
    news = made(1, "new")
    writer.append(2, news)
    assert reader.changes(1) == (news, 2)
    assert reader.changes(2) == ([], 2)
    assert decoded == [1]


def test_a_file_that_is_written_anew_is_no_news_to_who_knew_it(
    writer: SnapshotWriter, reader: SnapshotReader, decoded: list[int]
) -> None:
    """Its parts are passed over by their numbers; what comes after it is heard."""
    keys = made(600)
    writer.replace(EPOCH, 7, keys)
    reader.changes(0)
    decoded.clear()
    writer.replace(EPOCH, 7, keys)
    news = made(2, "new")
    writer.append(8, news)
    assert reader.changes(7) == (news, 8)
    assert decoded == [2]


def test_it_is_written_anew_when_more_was_appended_than_there_is(writer: SnapshotWriter) -> None:
    """So the file never grows beyond twice of what it must."""
    writer.replace(EPOCH, 1, made(10))
    for number in range(9):
        writer.append(number + 2, made(100))
        assert not writer.is_long(10)
    writer.append(11, made(100))
    assert writer.is_long(10)
    assert not writer.is_long(2000)
    writer.replace(EPOCH, 12, made(10))
    assert not writer.is_long(10)


def test_a_part_that_is_being_written_is_read_later(
    writer: SnapshotWriter, reader: SnapshotReader, tmp_path: Path
) -> None:
    """Nothing of it is lost, nothing is read twice."""
    keys, news = made(3), made(2, "new")
    writer.replace(EPOCH, 1, keys)
    whole = module._parts(2, news)
    for cut in (5, 20, len(whole) - 1):
        path = tmp_path / "api_keys"
        before = path.stat().st_size
        with path.open("ab") as file:
            file.write(whole[:cut])
        assert reader.changes(1)[0] == []
        with path.open("ab") as file:
            file.write(whole[cut:])
        assert reader.changes(1) == (news, 2)
        os.truncate(path, before)
        reader = SnapshotReader(tmp_path, clock=lambda: 0.0)
        reader.changes(1)


def test_numbers_that_begin_anew_are_told(writer: SnapshotWriter, reader: SnapshotReader) -> None:
    """All is read again then."""
    writer.replace(EPOCH, 5, made(3))
    reader.changes(0)
    keys = made(2)
    writer.replace(OTHER, 1, keys)
    with pytest.raises(StoreReplaced):
        reader.changes(5)
    assert reader.changes(0) == (keys, 1)


async def test_the_event_loop_goes_on_while_many_keys_are_taken_over(
    writer: SnapshotWriter, reader: SnapshotReader
) -> None:
    """Requests are served between them."""
    keys = made(3000)
    writer.replace(EPOCH, 1, keys)
    ring = Keyring(lambda: reader, logging.getLogger(), interval=3600)
    turns = 0
    sizes = []

    async def look() -> None:
        nonlocal turns
        while True:
            sizes.append(len(ring._good))
            turns += 1
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await ring.start()
    looking.cancel()
    steps = [after - before for before, after in itertools.pairwise(sizes)]
    assert len(ring._good) == 3000
    assert max(steps) <= 500
    await ring.stop()


def test_keys_are_as_they_were(writer: SnapshotWriter, reader: SnapshotReader) -> None:
    """Every field of a record survives."""
    record, _ = new_key("ada", "free", lifetime=60, models=("a*",), scopes=("admin",), notes="x")
    writer.replace(EPOCH, 1, [record])
    (found,), _ = reader.changes(0)
    assert found == record
    assert msgspec.to_builtins(found) == msgspec.to_builtins(record)


def test_a_change_that_could_not_be_written_is_written_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_again: Any, database: Path, store: Any
) -> None:
    """A disk that is full for a moment does not keep a revoked key alive."""
    from hoonify_plugins.api_keys.follower import KeyFollower

    folder = tmp_path / "runtime"
    folder.mkdir()
    follower = KeyFollower(lambda: open_again(database), [], folder, logging.getLogger())
    record, _ = new_key("ada", "free")
    store.add(record)
    follower.look()
    reader = SnapshotReader(folder, clock=lambda: 0.0)
    _, mark = reader.changes(0)
    store.revoke(record.id, 100)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(follower._writer, "append", full)
        with pytest.raises(OSError, match="No space"):
            follower.look()
    follower.look()
    assert [each.revoked for each in reader.changes(mark)[0]] == [100]
    assert follower._store is not None
    follower._store.close()
