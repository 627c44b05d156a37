"""Where the router's own words go: plain lines on standard error, one per request at INFO."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time

from hoonify_router.api import RequestContext

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_access = logging.getLogger("hoonify_router.access")
_Line = tuple[float, float, str, str, str, str, str, int, str]


def configure_logging() -> None:
    """Set up this process's logging; ``HOONIFY_LOG_LEVEL`` says how much is told (default INFO).

    Sanic's own chatter is kept out: only its warnings and errors are passed on.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = os.environ.get("HOONIFY_LOG_LEVEL", "INFO").upper()
    root.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    plain = logging.StreamHandler(sys.stderr)
    plain.setFormatter(logging.Formatter("%(message)s"))
    _access.handlers[:] = [plain]
    _access.propagate = False
    for name in ("asyncio", "sanic", "sanic.access", "sanic.root", "sanic.server"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _formatter() -> logging.Formatter:
    """Return one whose times are UTC, as those of the access log are."""
    formatter = logging.Formatter(FORMAT)
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter


class AccessLog:
    """Writes one line per request, a little later and many at once, so that no request waits for it.

    Args:
        delay: Seconds that a line may wait for others.
    """

    def __init__(self, delay: float = 0.2) -> None:
        self._delay = delay
        self._lines: list[_Line] = []
        self._timer: asyncio.TimerHandle | None = None

    def note(self, ctx: RequestContext) -> None:
        """Take down a request that has been settled."""
        if not _access.isEnabledFor(logging.INFO):
            return
        self._lines.append(
            (
                time.time(),
                (time.perf_counter() - ctx.started) * 1000,
                ctx.request_id,
                "-" if ctx.principal is None else ctx.principal.id,
                ctx.method,
                ctx.path,
                "-" if ctx.request is None else ctx.request.model,
                ctx.status,
                "" if ctx.error is None else f" {ctx.error.code}",
            )
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self.flush)

    def flush(self) -> None:
        """Write what has come together."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            stamps = {second: _stamp(second) for second in {int(line[0]) for line in lines}}
            _access.info("\n".join([_format(line, stamps) for line in lines]))


def _stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _format(line: _Line, stamps: dict[int, str]) -> str:
    at, milliseconds, request_id, key, method, path, model, status, problem = line
    second = int(at)
    return (
        f"{stamps[second]}.{int((at - second) * 1000):03d}Z {request_id} {key} {method}"
        f" {_plain(path)} {_plain(model)} {status} {milliseconds:.1f}ms{problem}"
    )


def _plain(text: str) -> str:
    """Return what a client sent as one word of bounded length, whatever it holds."""
    if len(text) <= 100 and text.isascii() and text.isprintable() and " " not in text:
        return text
    if len(text) > 100:
        text = f"{text[:100]}..."
    return ascii(text).replace(" ", "\\x20")
