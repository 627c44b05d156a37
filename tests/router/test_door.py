"""The listening socket and the private folder."""

from __future__ import annotations

import contextlib
import errno
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from multiprocessing.util import get_temp_dir
from pathlib import Path

import pytest

from hoonify_router.door import base_url, is_public, open_door, open_doors, runtime_dir


def test_port_0_takes_a_free_port() -> None:
    """Somebody listens there at once."""
    with open_door("127.0.0.1", 0) as door:
        host, port = door.getsockname()
        with socket.create_connection((host, port)):
            assert port > 0


def test_a_name_is_resolved() -> None:
    """To its IPv4 address where it has one."""
    with open_door("localhost", 0) as door:
        assert door.family == socket.AF_INET


@pytest.mark.parametrize(
    ("host", "public"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)]
)
def test_a_door_for_other_machines_is_told_apart(host: str, public: bool) -> None:
    """By the address that it really has."""
    with open_door(host, 0) as door:
        assert is_public(door) is public


def test_a_port_that_is_taken_is_told() -> None:
    """With the system's own error."""
    with open_door("127.0.0.1", 0) as door:
        with pytest.raises(OSError, match="in use") as caught:
            open_door("127.0.0.1", door.getsockname()[1])
        assert caught.value.errno == errno.EADDRINUSE


def test_several_doors_share_what_comes() -> None:
    """None of them is left without connections, however many come at once."""
    with contextlib.ExitStack() as held:
        doors = [held.enter_context(door) for door in open_doors("127.0.0.1", 0, 3)]
        address = doors[0].getsockname()
        assert {door.getsockname() for door in doors} == {address}
        for door in doors:
            door.listen(2048)
        for _ in range(300):
            held.enter_context(socket.create_connection(address))
        for door in doors:
            door.setblocking(False)
            for _ in range(40):
                held.enter_context(door.accept()[0])


def test_nobody_waits_behind_a_door_that_is_not_served_yet() -> None:
    """Only those that listen are given connections."""
    with contextlib.ExitStack() as held:
        doors = [held.enter_context(door) for door in open_doors("127.0.0.1", 0, 3)]
        doors[1].listen(2048)
        for _ in range(100):
            held.enter_context(socket.create_connection(doors[0].getsockname()))
        for _ in range(100):
            held.enter_context(doors[1].accept()[0])


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (2, 2)])
def test_several_doors_are_not_shared_with_other_programs(first: int, second: int) -> None:
    """A port that is taken is taken, by one or by several."""
    with contextlib.ExitStack() as held:
        doors = [held.enter_context(door) for door in open_doors("127.0.0.1", 0, first)]
        doors[-1].listen()
        with pytest.raises(OSError, match="in use"):
            open_doors("127.0.0.1", doors[0].getsockname()[1], second)


def test_an_address_of_another_machine_is_told() -> None:
    """Nothing can listen there."""
    with pytest.raises(OSError, match=r"."):
        open_door("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fe80::1", "http://[fe80::1]:8000"),
        ("router.example", "http://router.example:8000"),
    ],
)
def test_the_url_works_on_this_machine(host: str, url: str) -> None:
    """Also where the door listens everywhere."""
    assert base_url(host, 8000) == url


def test_the_folder_is_private_short_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever the system's folder for such things is called."""
    with runtime_dir() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "a.sock").touch()
    assert not folder.exists()
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with runtime_dir() as folder:
        assert len(str(folder)) < 80
    with pytest.raises(RuntimeError), runtime_dir() as folder:
        raise RuntimeError
    assert not folder.exists()


def test_folders_of_routers_that_were_killed_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a whole process group is killed nobody is left to clean up; those of living routers stay."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(short := Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))))
    try:
        script = "import time; from hoonify_router.door import runtime_dir\nwith runtime_dir() as f: print(f, flush=True); time.sleep(99)"
        killed, living = (
            subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        )
        folders = [Path(one.stdout.readline().strip()) for one in (killed, living) if one.stdout]
        (folders[0] / "supervisor.sock").touch()
        killed.kill()
        killed.wait()
        strange = short / "hoonify_not_ours"
        strange.mkdir()
        with runtime_dir() as folder:
            assert folder.parent == short
            assert [path.exists() for path in folders] == [False, True]
            assert strange.exists()
        living.kill()
        living.wait()
        for one in (killed, living):
            assert one.stdout is not None
            one.stdout.close()
    finally:
        shutil.rmtree(short, ignore_errors=True)


def test_sockets_of_multiprocessing_are_in_the_private_folder() -> None:
    """So nothing of it stays behind, and no path is too long, wherever temporary files go."""
    with runtime_dir() as folder:
        assert get_temp_dir() == str(folder)
    with runtime_dir() as other:
        assert get_temp_dir() == str(other)
