"""What an operator reads: progress, the banner, lines that can be pasted."""

from __future__ import annotations

import io
import json
import logging
import os
import shlex

import pytest

from hoonify_router.supervisor.banner import Banner
from hoonify_router.supervisor.console import PlainConsole, RichConsole, console_for
from hoonify_router.types import HomeView

ADDRESS = "http://127.0.0.1:8000"
TINY = HomeView("tiny-chat", "tiny-chat", "onnxruntime", "worker", "ready")
QWEN = HomeView("qwen-3", "qwen-3", "sglang", "server", "unavailable", reason="No GPU here.")
SLEEPY = HomeView("sleepy", "sleepy", "echo", "worker", "stopped", always=False)
KEY = "hoo_" + "x" * 40


class Terminal(io.StringIO):
    """Text output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_curl_line_is_a_valid_shell_line() -> None:
    """Its body is JSON, its key is the new one."""
    words = shlex.split(Banner(ADDRESS, [QWEN, TINY], {"api_key": KEY}, True).curl)
    assert words[:3] == ["curl", "-N", f"{ADDRESS}/v1/chat/completions"]
    assert f"Authorization: Bearer {KEY}" in words
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == "tiny-chat"
    assert body["stream"] is True


def test_the_python_lines_compile() -> None:
    """With a key, with a key of one's own, and without any."""
    for announcements, needs_key, expected in (
        ({"api_key": KEY}, True, KEY),
        ({}, True, 'os.environ["HOONIFY_API_KEY"]'),
        ({}, False, "'none'"),
    ):
        lines = Banner(ADDRESS, [TINY], announcements, needs_key).python
        compile("\n".join(lines), "banner", "exec")
        assert expected in "\n".join(lines)
        assert f"{ADDRESS}/v1" in "\n".join(lines)
    assert "$HOONIFY_API_KEY" in Banner(ADDRESS, [TINY], {}, True).curl
    assert "Authorization" not in Banner(ADDRESS, [TINY], {}, False).curl


def test_names_that_need_quoting_are_quoted() -> None:
    """A model's ID may hold anything."""
    home = HomeView("it's", "it's", "echo", "worker", "ready")
    banner = Banner(ADDRESS, [home])
    body = shlex.split(banner.curl)[-1]
    assert json.loads(body)["model"] == "it's"
    compile("\n".join(banner.python), "banner", "exec")


@pytest.mark.parametrize("terminal", [False, True], ids=["plain", "rich"])
def test_the_banner_says_it_all_and_breaks_no_line(terminal: bool) -> None:
    """Address, every home with its reason, the key with a warning, both examples whole."""
    stream = Terminal() if terminal else io.StringIO()
    console = console_for(stream)
    assert isinstance(console, RichConsole if terminal else PlainConsole)
    banner = Banner(ADDRESS, [TINY, QWEN, SLEEPY], {"api_key": KEY, "note": "be nice"}, True)
    console.greet(banner)
    output = stream.getvalue()
    plain = output.replace("\x1b[0m", "")
    assert ADDRESS in plain
    for word in ("tiny-chat", "unavailable", "No GPU here.", "starts at its first request"):
        assert word in plain
    assert f"shown only this once: {KEY}" in plain
    assert "note: be nice" in plain
    assert banner.curl in plain
    for line in banner.python:
        assert line in plain


@pytest.mark.parametrize("terminal", [False, True], ids=["plain", "rich"])
def test_without_a_ready_model_there_is_no_example(terminal: bool) -> None:
    """Nothing that could not work is offered."""
    stream = Terminal() if terminal else io.StringIO()
    console_for(stream).greet(Banner(ADDRESS, [QWEN]))
    assert "No model is ready" in stream.getvalue()
    assert "curl" not in stream.getvalue()


def loading(done: int, stage: str = "reading weights") -> HomeView:
    return HomeView(
        "tiny-chat", "tiny-chat", "onnxruntime", "worker", "loading", progress=(stage, done, 10)
    )


def test_plain_progress_tells_each_stage_once() -> None:
    """A log file is no place for a moving bar."""
    stream = io.StringIO()
    console = PlainConsole(stream)
    for home in (*map(loading, range(10)), loading(0, "warming up"), TINY):
        console.update(home)
    assert stream.getvalue().splitlines() == [
        "tiny-chat: loading: reading weights",
        "tiny-chat: loading: warming up",
        "tiny-chat: ready",
    ]
    console.greet(Banner(ADDRESS, [TINY]))
    length = len(stream.getvalue())
    console.update(loading(1))
    assert len(stream.getvalue()) == length


def test_rich_progress_moves_bars_and_leaves_nothing_behind() -> None:
    """The bars are gone when the banner comes; a later change draws nothing."""
    stream = Terminal()
    console = console_for(stream)
    console.update(QWEN)
    assert stream.getvalue() == ""
    for home in (*map(loading, range(10)), TINY):
        console.update(home)
    assert "tiny-chat" in stream.getvalue()
    console.greet(Banner(ADDRESS, [TINY]))
    length = len(stream.getvalue())
    console.update(loading(1))
    assert len(stream.getvalue()) == length
    console.say("[one] line")
    assert "[one] line" in stream.getvalue()
    console.close()


def test_log_lines_and_bars_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    """While bars move, what is logged is printed above them; afterwards as before."""
    stream, log_stream = Terminal(), io.StringIO()
    handler = logging.StreamHandler(log_stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    console = console_for(stream)
    console.update(loading(1))
    handler.emit(logging.makeLogRecord({"msg": "in between"}))
    console.close()
    handler.emit(logging.makeLogRecord({"msg": "after"}))
    assert "in between\n" in stream.getvalue()
    assert log_stream.getvalue() == "after\n"


def test_nobody_reading_is_no_reason_to_stop() -> None:
    """The other end of a pipe may be closed."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = PlainConsole(Closed())
    console.greet(Banner(ADDRESS, [TINY]))
    console.say("anything")


def test_a_reader_that_leaves_is_forgotten() -> None:
    """What could not be written is not tried again when the process ends."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stream:
        console = PlainConsole(stream)
        console.say("hello")
        console.say("anybody?")


def test_what_the_output_cannot_encode_is_escaped() -> None:
    """An old locale does not cost the operator the banner, and the key in it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    PlainConsole(stream).greet(Banner(ADDRESS, [TINY], {"api_key": KEY, "note": "grüß Gott"}))
    shown = stream.buffer.getvalue()  # type: ignore[attr-defined]
    assert KEY.encode() in shown
    assert b"gr\\xfc" in shown
