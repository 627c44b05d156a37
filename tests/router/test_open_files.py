"""How many files a process may have open, tried in processes of their own: a limit cannot be raised again."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from hoonify_router.open_files import none_is_left, streams_for

TELL = """
import resource
from hoonify_router.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "told"), [(100, 300, "300 300 300"), (300, 300, "300 300 300")]
)
def test_the_soft_limit_becomes_the_hard_one(soft: int, hard: int, told: str) -> None:
    """What an operator allows is used without being asked for."""
    source = TELL.format(soft=soft, hard=hard)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == told


def test_a_stream_takes_two_files() -> None:
    """Some are for other things."""
    assert streams_for(1024) == 488
    assert streams_for(20) == 0


def test_only_running_out_of_files_is_our_own_fault() -> None:
    """A server that refuses connections is another matter."""
    assert none_is_left(OSError(errno.EMFILE, "Too many open files"))
    assert none_is_left(OSError(errno.ENFILE, "Too many open files in system"))
    assert not none_is_left(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
