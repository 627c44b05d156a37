"""One line per request, and none of Sanic's."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.router.doubles import home, request

from hoonify_router.api import Principal, RequestContext
from hoonify_router.errors import RateLimited
from hoonify_router.logs import AccessLog, configure_logging, log_style, warn_of_prompts
from hoonify_router.parsing import parse_chat
from hoonify_router.types import Usage


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Put every logger back as it was."""
    names = ["", "asyncio", "hoonify_router.access"]
    names += ["sanic", "sanic.access", "sanic.root", "sanic.server"]
    before = [
        (log, log.level, log.handlers[:], log.propagate) for log in map(logging.getLogger, names)
    ]
    yield
    for log, level, handlers, propagate in before:
        log.setLevel(level)
        log.handlers[:] = handlers
        log.propagate = propagate


def settled() -> RequestContext:
    """Return a request that a home has answered."""
    ctx = request({"stream": True})
    ctx.started = time.perf_counter() - 2.0
    ctx.request, ctx.status = parse_chat(ctx.body), 200
    ctx.principal = Principal("key-7")
    ctx.home, ctx.attempts = home(id="parrot/1"), 2
    ctx.first_token_at, ctx.finish_reason = ctx.started + 0.5, "stop"
    ctx.usage = Usage(30, 11)
    return ctx


def refused() -> RequestContext:
    """Return one that nobody has looked at."""
    ctx = request()
    ctx.status, ctx.error = 429, RateLimited("x")
    return ctx


async def test_each_request_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Who, what, where, how it ended, what it took; what a request has not is left out."""
    configure_logging()
    log = AccessLog(delay=0)
    log.note(settled())
    log.note(refused())
    assert capsys.readouterr().err == ""
    log.flush()
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert 2000 <= first.pop("duration_ms") < 60_000
    assert first == {
        "level": "info",
        "logger": "hoonify_router.access",
        "request_id": "req-1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "key": "key-7",
        "model": "parrot",
        "home": "parrot/1",
        "stream": True,
        "ttft_ms": 500.0,
        "prompt_tokens": 30,
        "completion_tokens": 11,
        "attempts": 2,
        "finish_reason": "stop",
    }
    assert (second["status"], second["error"]) == (429, "rate_limit_exceeded")
    assert set(second) == {
        *("time", "level", "logger", "request_id", "method", "path"),
        *("status", "duration_ms", "error"),
    }


async def test_people_read_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, in the order in which one asks."""
    monkeypatch.setenv("HOONIFY_LOG_FORMAT", "text")
    configure_logging()
    log = AccessLog(delay=0)
    log.note(settled())
    log.note(refused())
    log.flush()
    first, second = capsys.readouterr().err.splitlines()
    moment, told = first.split(" ", 1)
    assert moment.endswith("Z")
    assert re.fullmatch(
        r"200 POST /v1/chat/completions parrot on parrot/1 2\d{3}\.\dms \(first token 500\.0ms\)"
        r" 30\+11 tokens stop attempts=2 key=key-7 req-1",
        told,
    )
    assert re.search(r" 429 POST \S+ rate_limit_exceeded \d+\.\dms key=- req-1$", second)


@pytest.mark.parametrize(
    ("wanted", "terminal", "style"),
    [
        ("", True, "text"),
        ("", False, "json"),
        ("json", True, "json"),
        ("TEXT", False, "text"),
        ("xml", False, "json"),
    ],
)
def test_people_are_known_by_their_terminal(
    monkeypatch: pytest.MonkeyPatch, wanted: str, terminal: bool, style: str
) -> None:
    """Unless the environment says otherwise."""
    monkeypatch.setenv("HOONIFY_LOG_FORMAT", wanted)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    assert log_style(stream) == style


def test_the_router_s_other_words_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, a traceback included."""
    configure_logging()
    log = logging.getLogger("hoonify_router.x")
    log.warning("home %s\nis gone", "parrot/1")
    try:
        raise ZeroDivisionError("by nobody")
    except ZeroDivisionError:
        log.exception("a bug")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["message"] == "home parrot/1\nis gone"
    assert (first["level"], first["logger"]) == ("warning", "hoonify_router.x")
    assert first["pid"] == os.getpid()
    assert "exception" not in first
    assert second["exception"].endswith("ZeroDivisionError: by nobody\n")


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("wanted", [False, True])
async def test_prompts_are_told_only_on_request(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    style: str,
    wanted: bool,
) -> None:
    """And then the log says so first, loudly."""
    monkeypatch.setenv("HOONIFY_LOG_FORMAT", style)
    if wanted:
        monkeypatch.setenv("HOONIFY_LOG_PROMPTS", "1")
    configure_logging()
    warn_of_prompts()
    loud = "WHAT CLIENTS ASK IS WRITTEN" in capsys.readouterr().err
    log = AccessLog()
    ctx = settled()
    ctx.body = b'{"messages": [{"role": "user", "content": "a secret\\n plan \xff"}]}'
    log.note(ctx)
    log.flush()
    told = capsys.readouterr().err
    assert ("a secret" in told) is loud is wanted
    assert told.count("\n") == (2 if wanted and style == "text" else 1)


async def test_lines_are_written_by_themselves_a_little_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody has to flush."""
    configure_logging()
    log = AccessLog(delay=0.001)
    log.note(request())
    written = ""
    while not written:
        await asyncio.sleep(0.001)
        written = capsys.readouterr().err
    assert written.count("\n") == 1


@pytest.mark.parametrize("style", ["json", "text"])
async def test_a_client_cannot_forge_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    """Its words are one word each, and short."""
    monkeypatch.setenv("HOONIFY_LOG_FORMAT", style)
    configure_logging()
    log = AccessLog()
    ctx = request({"model": "a b\nforged line \x1b[31m\u2028\x9b" + "x" * 500})
    ctx.request = parse_chat(ctx.body)
    log.note(ctx)
    log.flush()
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.isascii()
    assert "\x1b" not in err
    assert len(err) < 400
    assert len(err.split()) == (8 if style == "text" else 1)


async def test_who_wants_no_lines_pays_for_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The level comes from the environment; nonsense there is no reason to be silent."""
    monkeypatch.setenv("HOONIFY_LOG_LEVEL", "warning")
    configure_logging()
    log = AccessLog()
    log.note(request())
    log.flush()
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("HOONIFY_LOG_LEVEL", "shout")
    configure_logging()
    log.note(request())
    log.flush()
    assert capsys.readouterr().err.count("\n") == 1


def test_all_lines_tell_the_time_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In UTC, wherever the router runs, so that they can be laid beside each other."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("HOONIFY_LOG_FORMAT", "text")
    time.tzset()
    try:
        configure_logging()
        logging.getLogger("hoonify_router").info("hello")
    finally:
        monkeypatch.undo()
        time.tzset()
    stamp, _, rest = capsys.readouterr().err.partition(" ")
    assert rest == "INFO hoonify_router: hello\n"
    told = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs(told.timestamp() - time.time()) < 60


def test_sanic_s_chatter_is_kept_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Its warnings are not."""
    configure_logging()
    logging.getLogger("sanic.root").info("Goin' Fast")
    logging.getLogger("sanic.server").info("Worker ready")
    logging.getLogger("sanic.error").error("something is wrong")
    logging.getLogger("hoonify_router.x").info("hello")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["something is wrong", "hello"]
