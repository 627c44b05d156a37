"""Servers that the router starts itself, and what any server of a backend tells or takes beyond OpenAI's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from hoonify_router.config.model import HomeConfig
from hoonify_router.types import Capabilities, Health

LoadStep = tuple[str, int, int]
"""How far a load has come: stage, done, total; two zeros where it cannot be counted."""


def _tells_nothing(line: str) -> LoadStep | None:
    return None


@dataclass(frozen=True)
class Launch:
    """How to start the server of one home, and how to understand it.

    In ``command``, ``env`` and ``files``, ``{port}`` and ``{key}`` stand for what the router draws anew for every
    start: a free port of 127.0.0.1, and a key of hexadecimal digits that the server shall ask for. All users of a
    machine can read the command lines of all processes, so the key belongs into a variable or a file.

    Args:
        command: Program and arguments; ``{files}`` stands for the folder with ``files``.
        env: Variables beside those of the router's own environment.
        served_name: The model as this server calls it; empty where it goes by its catalog ID.
        capabilities: What it can do; its ``parameters`` count more than the backend's.
        ready_path: ``GET`` of it is answered with 200 as soon as the server serves.
        moves_path: ``GET`` of it is answered with 200 as long as the engine makes progress, busy or not.
        read_progress: Reads a line of its output; what it returns resets the clock for stalled loads.
        drains: On SIGTERM it finishes what runs, and then ends.
        grace: Seconds between the end of its drain, or SIGTERM, and SIGKILL.
        files: Texts by their names, in a folder that only the router's user may enter; they are there from the
            start of the server to its end.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    served_name: str = ""
    capabilities: Capabilities | None = None
    ready_path: str = "/health"
    moves_path: str = ""
    read_progress: Callable[[str], LoadStep | None] = _tells_nothing
    drains: bool = False
    grace: float = 10.0
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LaunchSite:
    """Where and for whom a server is launched.

    Args:
        model: The catalog ID.
        python: The interpreter that has the engine.
        base_dir: Folder from which relative paths in the options count.
    """

    model: str
    python: str
    base_dir: Path


LaunchPlanner = Callable[[Struct, HomeConfig, LaunchSite], Launch]
"""``launch(options, home, site)``: how to start a home's server. Called in the supervisor; must not block."""


@dataclass(frozen=True)
class LoadSignal:
    """Where a backend's servers tell how busy they are, for balancers and operators.

    Args:
        path: To ``GET``, from the server's root.
        read: Reads the answer; ``None`` where it makes no sense.
    """

    path: str
    read: Callable[[bytes], Health | None]


@dataclass(frozen=True)
class AbortSignal:
    """How a backend's servers are told to give up a request faster than by a closed connection.

    Args:
        path: To ``POST`` to, from the server's root: ``{field: name}``.
        field: Of the request's body; names the request.
    """

    path: str
    field: str
