"""Environments of engines: what a virtual environment of their own holds, as data that a backend ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import Struct

Accelerator = Literal["cpu", "cuda"]
"""What an engine computes on."""

AcceleratorChoice = Callable[[Struct], Accelerator | None]
"""``accelerator(options)``: what a home needs; ``None`` when any will do."""


@dataclass(frozen=True)
class EngineEnvironment:
    """A virtual environment for an engine; ``hoonify-router env sync`` builds it, apart from the gateway's.

    Args:
        name: Its name. Backends that give the same environment share what is built.
        accelerator: What its packages compute on.
        locks: Requirement files with exact versions, installed one after the other. Just what a file lists is
            installed, whatever that asks for; where it has hashes, every package must match.
        files: Folders whose content, such as modules and a ``*.dist-info``, is laid beside the packages.

    Example::

        HERE = Path(__file__).parent
        EngineEnvironment("parrot", "cpu", (HERE / "requirements" / "cpu.txt",))
    """

    name: str
    accelerator: Accelerator
    locks: tuple[Path, ...]
    files: tuple[Path, ...] = ()


def any_accelerator(options: Struct) -> Accelerator | None:
    """Return that a home runs on whatever its environment is for."""
    return None
