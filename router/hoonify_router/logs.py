"""Where the router's own words go: standard error, as JSON, or as plain lines on a terminal.

Never told: keys, and what clients ask, unless ``HOONIFY_LOG_PROMPTS`` wants it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import traceback
from functools import lru_cache
from typing import Literal, TextIO

import msgspec
from msgspec import Struct

from hoonify_router.api import RequestContext

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LEVEL = "HOONIFY_LOG_LEVEL"
STYLE = "HOONIFY_LOG_FORMAT"
PROMPTS = "HOONIFY_LOG_PROMPTS"

_ACCESS = "hoonify_router.access"
_access = logging.getLogger(_ACCESS)
_log = logging.getLogger(__name__)
_LONGEST_PROMPT = 20_000
_KNOWN_WORDS = 256  # paths and models whose plain form is kept
_CHATTER = ("asyncio", "sanic", "sanic.access", "sanic.root", "sanic.server")


def configure_logging() -> None:
    """Set up this process's logging, as ``HOONIFY_LOG_LEVEL`` and ``HOONIFY_LOG_FORMAT`` say.

    Sanic's own chatter is kept out: only its warnings and errors are passed on.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if log_style() == "json" else _text_formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = os.environ.get(LEVEL, "INFO").upper()
    root.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    plain = logging.StreamHandler(sys.stderr)
    plain.setFormatter(logging.Formatter("%(message)s"))
    _access.handlers[:] = [plain]
    _access.propagate = False
    for name in _CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_style(stream: TextIO | None = None) -> Literal["json", "text"]:
    """Return how this process logs: as the environment says, else as fits standard error."""
    wanted = os.environ.get(STYLE, "").lower()
    if wanted in ("json", "text"):
        return wanted  # type: ignore[return-value]
    return "text" if (stream or sys.stderr).isatty() else "json"


def prompts_wanted() -> bool:
    """Tell whether what clients ask shall be in the log."""
    return os.environ.get(PROMPTS, "").lower() in ("1", "true", "yes", "on")


def warn_of_prompts() -> None:
    """Say loudly that what clients ask is written down; called once at the start."""
    if prompts_wanted():
        _log.warning("%s is set: WHAT CLIENTS ASK IS WRITTEN TO THIS LOG", PROMPTS)


# ---------------------------------------------------------------- words


class _Words(Struct, omit_defaults=True):
    """One line of the router's words."""

    time: str
    level: str
    logger: str
    message: str
    pid: int
    exception: str = ""


class JSONFormatter(logging.Formatter):
    """Makes each record one line of JSON, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told = ""
        if record.exc_info:
            told = "".join(traceback.format_exception(*record.exc_info))
        words = _Words(
            _moment(record.created),
            record.levelname.lower(),
            record.name,
            record.getMessage(),
            record.process or os.getpid(),
            told,
        )
        return msgspec.json.encode(words).decode()


def _text_formatter() -> logging.Formatter:
    """Return one whose times are UTC, as those of the access log are."""
    formatter = logging.Formatter(FORMAT)
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter


def _moment(at: float) -> str:
    second = int(at)
    return f"{_stamp(second)}.{int((at - second) * 1000):03d}Z"


def _stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


# ---------------------------------------------------------------- requests


class AccessLine(Struct, omit_defaults=True):
    """What is told of one request; what it has not is left out."""

    time: str
    level: str
    logger: str
    request_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    key: str = ""
    model: str = ""
    home: str = ""
    error: str = ""
    stream: bool = False
    ttft_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    attempts: int = 0
    finish_reason: str = ""
    prompt: str = ""

    def text(self) -> str:
        """Return it for people."""
        timing = f"{self.duration_ms:.1f}ms"
        if self.ttft_ms is not None:
            timing += f" (first token {self.ttft_ms:.1f}ms)"
        parts = [
            f"{self.time} {self.status} {self.method} {self.path}",
            f" {self.model}" if self.model else "",
            f" on {self.home}" if self.home else "",
            f" {self.error}" if self.error else "",
            f" {timing}",
        ]
        if self.prompt_tokens is not None:
            parts.append(f" {self.prompt_tokens}+{self.completion_tokens} tokens")
        parts += [
            f" {self.finish_reason}" if self.finish_reason else "",
            f" attempts={self.attempts}" if self.attempts > 1 else "",
            f" key={self.key or '-'} {self.request_id}",
            f"\n    {self.prompt!a}" if self.prompt else "",
        ]
        return "".join(parts)


class AccessLog:
    """Writes one line per request, a little later and many at once, so that no request waits for it.

    Args:
        delay: Seconds that a line may wait for others.
    """

    def __init__(self, delay: float = 0.2) -> None:
        self._delay = delay
        self._lines: list[AccessLine] = []
        self._times: list[float] = []
        self._timer: asyncio.TimerHandle | None = None
        self._as_json = log_style() == "json"
        self._prompts = prompts_wanted()
        self._encoder = msgspec.json.Encoder()
        self._plain = lru_cache(_KNOWN_WORDS)(_plain)

    def note(self, ctx: RequestContext) -> None:
        """Take down a request that has been settled."""
        if not _access.isEnabledFor(logging.INFO):
            return
        began, first, usage = ctx.started, ctx.first_token_at, ctx.usage
        request, home, error = ctx.request, ctx.home, ctx.error
        line = AccessLine(
            "",  # the time is written when the line is: many share a second
            "info",
            _ACCESS,
            ctx.request_id,
            ctx.method,
            self._plain(ctx.path),
            ctx.status,
            round((time.perf_counter() - began) * 1000, 3),
            "" if ctx.principal is None else ctx.principal.id,
            "" if request is None else self._plain(request.model),
            "" if home is None else home.id,
            "" if error is None else error.code,
            request is not None and request.streams,
            None if first is None else round((first - began) * 1000, 3),
            None if usage is None else usage.prompt_tokens,
            None if usage is None else usage.completion_tokens,
            ctx.attempts,
            ctx.finish_reason or "",
        )
        if self._prompts:
            line.prompt = ctx.body[:_LONGEST_PROMPT].decode(errors="replace")
        self._lines.append(line)
        self._times.append(time.time())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self.flush)

    def flush(self) -> None:
        """Write what has come together."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        times, self._times = self._times, []
        if not lines:
            return
        stamps = {second: _stamp(second) for second in set(map(int, times))}
        for line, at in zip(lines, times, strict=True):
            second = int(at)
            line.time = f"{stamps[second]}.{int((at - second) * 1000):03d}Z"
        if self._as_json:
            _access.info("%s", self._encoder.encode_lines(lines)[:-1].decode())
        else:
            _access.info("%s", "\n".join([line.text() for line in lines]))


def _plain(text: str) -> str:
    """Return what a client sent as one word of bounded length, whatever it holds."""
    if len(text) <= 100 and text.isascii() and text.isprintable() and " " not in text:
        return text
    if len(text) > 100:
        text = f"{text[:100]}..."
    return ascii(text).replace(" ", "\\x20")
