"""The watch on the configuration file, however it is changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.supervisor.watch import changes_of

pytestmark = pytest.mark.timeout(120)


class Watch:
    """A watch whose news are counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[str] = []
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for _ in changes_of(self.path, "one"):
            self.seen.append(self.path.read_text())

    async def until(self, *texts: str) -> None:
        """Wait until the last news are of these texts."""
        async with asyncio.timeout(60):
            while self.seen[-len(texts) :] != list(texts):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


@pytest.fixture
async def watch() -> AsyncIterator[Any]:
    """``watch(path)``: one that is gone after the test."""
    watches: list[Watch] = []

    def begin(path: Path) -> Watch:
        watches.append(Watch(path))
        return watches[-1]

    yield begin
    for one in watches:
        await one.close()


def replace(path: Path, text: str) -> None:
    """Change a file as most editors do: write another one, then rename."""
    other = path.with_name(f".{path.name}.swp")
    other.write_text(text)
    os.replace(other, path)


async def test_a_file_that_is_written_or_renamed_over_is_noticed(
    watch: Any, tmp_path: Path
) -> None:
    """Again and again: the new file is watched as the old one was."""
    path = tmp_path / "router.yaml"
    path.write_text("one")
    found = watch(path)
    for text in ("two", "three", "four"):
        replace(path, text)
        await found.until(text)
    path.write_text("five")
    await found.until("five")


async def test_what_changes_no_content_is_no_news(watch: Any, tmp_path: Path) -> None:
    """Touching it, or writing beside it."""
    path = tmp_path / "router.yaml"
    path.write_text("one")
    found = watch(path)
    os.utime(path)
    (tmp_path / "other.yaml").write_text("other")
    replace(path, "one")
    replace(path, "two")
    await found.until("two")
    assert found.seen == ["two"]


async def test_a_change_from_before_the_watch_is_found(watch: Any, tmp_path: Path) -> None:
    """Between a router's reading of its file and the beginning of the watch."""
    path = tmp_path / "router.yaml"
    path.write_text("two")
    await watch(path).until("two")


async def test_a_config_map_that_is_replaced_is_noticed(watch: Any, tmp_path: Path) -> None:
    """Kubernetes links the file to a folder behind a link, and replaces that link."""
    for version, text in (("..v1", "one"), ("..v2", "two"), ("..v3", "three")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "router.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..v1")
    path = tmp_path / "router.yaml"
    path.symlink_to(Path("..data") / "router.yaml")
    found = watch(path)
    for version, text in (("..v2", "two"), ("..v3", "three")):
        (tmp_path / "..data_tmp").symlink_to(version)
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
        await found.until(text)


async def test_a_file_behind_a_link_is_watched_where_it_is(watch: Any, tmp_path: Path) -> None:
    """The folder of the link itself does not change then."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    target, path = tmp_path / "there" / "real.yaml", tmp_path / "here" / "router.yaml"
    target.write_text("one")
    path.symlink_to(target)
    found = watch(path)
    replace(target, "two")
    await found.until("two")


async def test_a_file_that_is_gone_for_a_moment_is_waited_for(watch: Any, tmp_path: Path) -> None:
    """Its absence is no news, its return with another content is."""
    path = tmp_path / "router.yaml"
    path.write_text("one")
    found = watch(path)
    path.unlink()
    await asyncio.sleep(0.5)
    assert found.seen == []
    path.write_text("two")
    await found.until("two")


async def test_where_folders_cannot_be_watched_it_looks_now_and_then(
    watch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems tell nothing, and a machine may have no watches left."""

    async def refuse(*folders: Path, **settings: Any) -> Any:
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr("watchfiles.awatch", refuse)
    path = tmp_path / "router.yaml"
    path.write_text("one")
    found = watch(path)
    replace(path, "two")
    await found.until("two")
