"""One line per request, and none of Sanic's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.router.doubles import request

from hoonify_router.api import Principal
from hoonify_router.errors import RateLimited
from hoonify_router.logs import AccessLog, configure_logging
from hoonify_router.parsing import parse_chat


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


async def test_each_request_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, id, key, route, model, status, duration, and what went wrong."""
    configure_logging()
    log = AccessLog(delay=0)
    ctx = request()
    ctx.request, ctx.status = parse_chat(ctx.body), 200
    ctx.principal = Principal("key-7")
    log.note(ctx)
    bad = request()
    bad.status, bad.error = 429, RateLimited("x")
    log.note(bad)
    assert capsys.readouterr().err == ""
    log.flush()
    first, second = capsys.readouterr().err.splitlines()
    words = first.split()
    assert words[0].endswith("Z")
    assert words[1:7] == ["req-1", "key-7", "POST", "/v1/chat/completions", "parrot", "200"]
    assert words[7].endswith("ms")
    assert second.split()[2:] == [
        "-",
        "POST",
        "/v1/chat/completions",
        "-",
        "429",
        words_ms(second),
        "rate_limit_exceeded",
    ]


def words_ms(line: str) -> str:
    return next(word for word in line.split() if word.endswith("ms"))


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


async def test_a_client_cannot_forge_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Its words are one word each, and short."""
    configure_logging()
    log = AccessLog()
    ctx = request({"model": "a b\nforged line \x1b[31m" + "x" * 500})
    ctx.request = parse_chat(ctx.body)
    log.note(ctx)
    log.flush()
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert len(err) < 400
    assert len(err.split()) == 8


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
    assert [line.split(": ", 1)[1] for line in lines] == ["something is wrong", "hello"]
