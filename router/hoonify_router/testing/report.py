"""What came of a run: a report as data, and the same as a badge."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import stat
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec
from msgspec import Struct, field

from hoonify_router import __version__
from hoonify_router.api import API_VERSION
from hoonify_router.testing.subject import Subject

STATUSES = ("passed", "failed", "waived", "skipped")


class Result(Struct):
    """What came of one check.

    Args:
        name: The check.
        level: Its level.
        proves: What it proves.
        status: ``passed``, ``failed``, ``waived`` (it failed, and an override says why it may) or ``skipped``.
        told: The fault, or why it was waived or skipped.
        seconds: How long it took.
    """

    name: str
    level: int
    proves: str
    status: str
    told: str = ""
    seconds: float = 0.0


class Report(Struct):
    """What came of all checks of one backend.

    Args:
        backend: Its name.
        kind: Worker or server.
        distribution: What brings it.
        level: The highest level that was run.
        router: Version of the router.
        api: Version of the plugin API.
        python: Version of Python.
        system: Where it ran.
        date: When, in UTC.
        device: Where the engine ran, as it says.
        seconds: How long all of it took.
        unavailable: Why the home cannot run here, if it cannot.
        results: One for each check.
    """

    backend: str
    kind: str
    distribution: str
    level: int
    router: str
    api: str
    python: str
    system: str
    date: str
    device: str = ""
    seconds: float = 0.0
    unavailable: str = ""
    results: list[Result] = field(default_factory=list)

    def count(self, status: str) -> int:
        """Return how many checks came to ``status``."""
        return sum(result.status == status for result in self.results)

    @property
    def passed(self) -> bool:
        """Return whether nothing failed and something was tested."""
        return not self.count("failed") and not self.unavailable and self.count("passed") > 0

    @property
    def summary(self) -> str:
        """Return the counts, in words."""
        counts = [f"{count} {status}" for status in STATUSES if (count := self.count(status))]
        return ", ".join(counts) or "nothing was tested"

    def to_json(self) -> str:
        """Return it as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"


def new_report(subject: Subject, level: int) -> Report:
    """Return a report without results."""
    why = subject.why_unavailable()
    return Report(
        backend=subject.backend.name,
        kind=subject.backend.kind,
        distribution=subject.distribution,
        level=level,
        router=__version__,
        api=".".join(map(str, API_VERSION)),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        unavailable="" if why is None else f"{why.reason} {why.detail}".strip(),
    )


def read_report(text: bytes | str) -> Report:
    """Return the report that ``to_json`` has written.

    Raises:
        msgspec.ValidationError: It is none.
    """
    return msgspec.json.decode(text, type=Report)


def badge(report: Report) -> str:
    """Return an SVG that says how it went, for a README."""
    label = "hoonify conformance"
    ran = len(report.results) - report.count("skipped")
    good = ran - report.count("failed")
    message = f"level {report.level}: {good}/{ran}" if not report.unavailable else "not tested"
    colour = "#9f9f9f" if report.unavailable else "#3fa34d" if report.passed else "#d0453b"
    left, right = 7 * len(label) + 10, 7 * len(message) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{escape(label)}: {escape(message)}">'
        f'<rect width="{left}" height="20" fill="#555"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,sans-serif" font-size="11">'
        f'<text x="{left / 2:g}" y="14">{escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(message)}</text></g></svg>\n'
    )


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; a device or a pipe is written to as it is.

    Raises:
        OSError: It cannot be written.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            with path.open("w", encoding="utf-8") as file:
                file.write(text)
            return
    target = path.resolve()  # a link stays a link
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
