"""One span per request, in its client's trace, without a word of what was said."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.router.doubles import Play, Stage, Wire, gateway, home, notes, request

from hoonify_plugins import otel
from hoonify_plugins.otel.middleware import TracingMiddleware
from hoonify_router.api import Phase, Principal, RequestContext
from hoonify_router.config.model import Config, LoadedConfig
from hoonify_router.errors import EngineDead, ModelUnavailable
from hoonify_router.reply import Reply

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SECRET = "the launch code"


class Traced:
    """A gateway whose spans stay here."""

    def __init__(self, act: Callable[[Play], None]) -> None:
        self.exporter = InMemorySpanExporter()
        self.middleware = TracingMiddleware(self._open, frozenset({"parrot"}))
        self.stage = Stage(act)

        def identify(ctx: RequestContext) -> None:
            ctx.principal = Principal("key-7")

        keys = notes(Phase.AUTHENTICATE, "keys", [], on_request=identify)
        homes = [home(id=f"parrot/{number}") for number in range(2)]
        self.gateway = gateway(self.stage, [keys, self.middleware], homes=homes)

    def _open(self) -> TracerProvider:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        return provider

    async def ask(self, body: Any = None, **headers: str) -> ReadableSpan:
        """Send one request; return its span."""
        await self.gateway.start()
        wire, ctx = Wire(), request(body, **headers)
        await self.gateway.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
        (span,) = self.exporter.get_finished_spans()
        return span


def hello(play: Play) -> None:
    play.say("the", " answer")


async def test_a_request_is_a_span() -> None:
    """With the conventional attributes for generative AI, from its first byte on."""
    body = {
        "messages": [{"role": "user", "content": SECRET}],
        "temperature": 0.5,
        "max_tokens": 9,
        "stream": True,
    }
    before = time.time_ns()
    span = await Traced(hello).ask(body)
    assert (span.name, span.kind, span.parent) == ("chat parrot", SpanKind.SERVER, None)
    assert span.start_time is not None
    assert span.end_time is not None
    assert before - 10_000_000 < span.start_time < span.end_time <= time.time_ns()
    told = dict(span.attributes or {})
    assert isinstance(told.pop("hoonify.time_to_first_token"), float)
    assert told == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "echo",
        "gen_ai.request.model": "parrot",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.response.model": "parrot",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "hoonify.request.id": "req-1",
        "hoonify.key.id": "key-7",
        "hoonify.stream": True,
        "hoonify.home": "parrot/0",
        "hoonify.attempts": 1,
    }
    (event,) = span.events
    assert event.name == "hoonify.home.asked"
    assert span.start_time <= event.timestamp <= span.end_time
    assert SECRET not in span.to_json()
    assert "answer" not in span.to_json()


async def test_it_belongs_to_its_client_s_trace_and_the_home_hears_of_it() -> None:
    """The home's parent is the router's span, not the client's; vendors' state travels along."""
    traced = Traced(hello)
    span = await traced.ask(None, traceparent=PARENT, tracestate="vendor=1")
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert traced.stage.plays[0].job.headers == {
        "traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01",
        "tracestate": "vendor=1",
    }


@pytest.mark.parametrize("sent", ["", "nonsense", f"00-{TRACE}-0000000000000000-01", "x" * 5000])
async def test_nonsense_begins_a_new_trace(sent: str) -> None:
    """As the standard wants it."""
    span = await Traced(hello).ask(None, traceparent=sent)
    assert span.parent is None
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" != TRACE


async def test_what_is_not_sampled_is_no_span_but_the_home_hears_of_it() -> None:
    """So that one trace is taken whole or not at all."""
    traced = Traced(hello)
    with pytest.raises(ValueError, match="not enough values"):
        await traced.ask(None, traceparent=PARENT[:-2] + "00")
    headers = traced.stage.plays[0].job.headers
    assert headers is not None
    assert headers["traceparent"].startswith(f"00-{TRACE}-")
    assert headers["traceparent"].endswith("-00")


async def test_a_failover_shows_all_homes() -> None:
    """And why the first was left."""
    failures = [ModelUnavailable("gone")]

    def act(play: Play) -> None:
        if failures:
            play.answer.fail(failures.pop())
        else:
            hello(play)

    span = await Traced(act).ask()
    asked = [dict(event.attributes or {}) for event in span.events]
    assert [one["hoonify.home"] for one in asked] == ["parrot/0", "parrot/1"]
    assert asked[0]["error.type"] == "model_unavailable"
    assert "error.type" not in asked[1]
    assert span.status.status_code is StatusCode.UNSET


async def test_our_failures_are_errors_and_clients_mistakes_are_not() -> None:
    """An error within a stream is one, whatever its status said."""

    def act(play: Play) -> None:
        play.answer.text("a")
        play.answer.fail(EngineDead("gone"))

    broken = await Traced(act).ask({"stream": True})
    assert broken.status.status_code is StatusCode.ERROR
    told = broken.attributes or {}
    assert (told["error.type"], told["http.response.status_code"]) == ("model_unavailable", 200)
    mistaken = await Traced(hello).ask({"temperature": 9})
    assert mistaken.status.status_code is StatusCode.UNSET
    assert (mistaken.attributes or {})["error.type"] == "invalid_value"


async def test_names_that_clients_make_up_are_not_told() -> None:
    """A span's name must not grow without end."""
    span = await Traced(hello).ask({"model": SECRET})
    assert span.name == "chat other"
    assert SECRET not in span.to_json()


def test_a_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The router stops all the same, and what comes too late disturbs nobody."""
    monkeypatch.setattr("hoonify_plugins.otel.middleware._LAST_EXPORT", 0.01)
    gone = threading.Event()

    class Stuck(TracerProvider):
        def shutdown(self) -> None:
            gone.wait(10)

    async def live() -> None:
        middleware = TracingMiddleware(Stuck, frozenset())
        await middleware.shutdown()  # before it was started there is nothing to send
        await middleware.startup()
        await middleware.shutdown()

    asyncio.run(live())
    (late,) = [one for one in threading.enumerate() if one.name == "otel-shutdown"]
    gone.set()
    late.join(10)
    assert not late.is_alive()


# ---------------------------------------------------------------- without it

UNNAMED = """
import sys
from hoonify_router.loader import load_plugins
plugins = load_plugins()
assert "otel" in plugins.middleware, plugins.failures
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def test_nothing_is_imported_unless_it_is_named() -> None:
    """Who does not trace pays nothing for it."""
    done = subprocess.run(
        [sys.executable, "-c", UNNAMED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("named", [True, False])
def test_what_is_missing_is_told_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """With the words that install it."""
    config = Config(models={}, pipeline=["otel"] if named else [])
    loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path)
    assert otel.hoonify_validate_config(loaded) == []
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    problems = otel.hoonify_validate_config(loaded)
    assert [("hoonify-router[otel]" in one) for one in problems] == ([True] if named else [])
