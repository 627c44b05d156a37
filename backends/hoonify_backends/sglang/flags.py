"""The flags of the SGLang that is installed, read from its sources: nothing of it is imported."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hoonify_backends.sglang.command import FLAGS_OF_ROUTER, OPTION_OF_FLAG

_STRING = re.compile(r"[\"'](--[a-z0-9][a-z0-9-]*)[\"'=]")
_FIELD = re.compile(r"^    ([a-z][a-z0-9_]*): A\[", re.MULTILINE)
_VERSION = re.compile(r"\d+\.\d+\S*")
_FEWEST = 100  # a version that keeps its flags elsewhere shows next to none


@dataclass(frozen=True)
class Installation:
    """SGLang in an environment.

    Args:
        version: As its distribution says; empty where that is unknown.
        flags: All that its server takes; empty where they could not be read.
    """

    version: str
    flags: frozenset[str]


def find_package(python: Path) -> Path | None:
    """Return the folder of the ``sglang`` package in the environment of an interpreter, if it is there."""
    places = sorted(python.parent.parent.glob("lib*/python3*/site-packages/sglang"))
    return next((place for place in places if (place / "__init__.py").exists()), None)


def read_installation(package: Path) -> Installation:
    """Return version and flags of an installed SGLang; takes some hundredths of a second."""
    found: set[str] = set()
    server = package / "srt"
    for path in [server / "server_args.py", *sorted((server / "arg_groups").rglob("*.py"))]:
        try:
            source = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found.update(_STRING.findall(source))
        found.update("--" + name.replace("_", "-") for name in _FIELD.findall(source))
    return Installation(_version(package), frozenset(found if len(found) >= _FEWEST else ()))


def _version(package: Path) -> str:
    for folder in package.parent.glob("sglang-*.dist-info"):
        if match := _VERSION.search(folder.name.removesuffix(".dist-info")):
            return match[0]
    return ""


def wrong_flag(arguments: Sequence[str], installed: Installation | None) -> str:
    """Return what is wrong with ``extra_args``, if anything is.

    Args:
        arguments: As the operator wrote them.
        installed: Knows the flags; without it, only those are refused that are not for operators to set.
    """
    known = installed.flags if installed is not None else frozenset()
    for place, argument in enumerate(arguments):
        if not argument.startswith("--"):
            if place == 0:
                return f"{argument!r} stands before any flag"
            continue
        flag = argument.partition("=")[0]
        if flag in FLAGS_OF_ROUTER:
            return f"{flag} is set by the router itself"
        if option := OPTION_OF_FLAG.get(flag):
            return f"{flag} has an option of its own: {option}"
        if known and flag not in known and flag.replace("--no-", "--", 1) not in known:
            assert installed is not None
            version = f" {installed.version}" if installed.version else ""
            close = difflib.get_close_matches(flag, sorted(known), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            return f"{flag} is no flag of SGLang{version}{hint}"
    return ""
