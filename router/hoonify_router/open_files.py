"""How many files this process may have open: each connection is one, and a stream from a server home takes two."""

from __future__ import annotations

import errno
import resource

ENOUGH = 4096
"""So many are no reason for a warning: they carry about 2,000 streams in one process."""

_RESERVED = 48  # log, journal, database, sockets of supervisor and engines
_MOST = 1 << 20  # where the system sets no limit, some of it would make tables of that length


def raise_limit() -> int:
    """Let this process have as many files open as the system allows; return how many.

    The soft limit that most processes start with, often 1024, is meant for old programs that cannot handle more; the
    hard limit is what an operator means.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems allow less than they say
        return soft
    return wanted


def streams_for(files: int) -> int:
    """Return about how many streams from server homes a process with so many files can carry."""
    return max(0, files - _RESERVED) // 2


def none_is_left(error: OSError) -> bool:
    """Tell whether something failed because this process, or the whole machine, has too many files open."""
    return error.errno in (errno.EMFILE, errno.ENFILE)
