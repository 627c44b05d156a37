"""Spans go where the environment says, over real HTTP."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.router.doubles import request

from hoonify_plugins import otel
from hoonify_plugins.otel.provider import open_provider
from hoonify_router.api import PluginContext
from hoonify_router.config.model import Config, LoadedConfig


class Collector(HTTPServer):
    """An OTLP collector that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Intake)
        self.heads: list[dict[str, str]] = []
        self.exports: list[ExportTraceServiceRequest] = []


class _Intake(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.heads.append({"path": self.path, **self.headers})
        self.server.exports.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Return one that listens on this machine."""
    with Collector() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no word of this machine's own."""
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


async def test_spans_arrive(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the endpoint and with the headers of the environment, the last ones when the router stops."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=parrots")
    config = Config(models={}, pipeline=["otel"])
    loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path)
    (spec,) = otel.hoonify_register_middleware()
    middleware = spec.build(spec.settings(), PluginContext(loaded, logging.getLogger()))
    await middleware.startup()
    ctx = request()
    middleware.on_request(ctx)
    ctx.status = 200
    middleware.on_finally(ctx)
    await middleware.shutdown()
    (head,) = collector.heads
    assert (head["path"], head["x-tenant"]) == ("/v1/traces", "parrots")
    (resource,) = collector.exports[0].resource_spans
    names = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert names["service.name"] == "hoonify-router"
    assert names["service.version"]
    ((span,),) = [scope.spans for scope in resource.scope_spans]
    assert span.name == "POST"


def resource_of(name: str) -> object:
    provider = open_provider()
    provider.shutdown()
    return provider.resource.attributes.get(name)


def test_a_service_may_have_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """By either of the standard's ways."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert resource_of("service.name") == "hoonify-router"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "parrots")
    assert resource_of("service.name") == "parrots"
    monkeypatch.delenv("OTEL_SERVICE_NAME")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=cage,team=birds")
    assert resource_of("service.name") == "cage"
    assert resource_of("team") == "birds"


@pytest.mark.parametrize(
    ("sampler", "sampled"), [("always_on", True), ("always_off", False), ("", True)]
)
def test_the_environment_decides_what_is_sampled(
    monkeypatch: pytest.MonkeyPatch, sampler: str, sampled: bool
) -> None:
    """As everywhere."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    if sampler:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    provider = open_provider()
    span = provider.get_tracer("test").start_span("x")
    assert span.get_span_context().trace_flags.sampled is sampled
    provider.shutdown()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
)
def test_what_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """At the start, instead of a silence that looks like no requests."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=value):
        open_provider()


def test_people_may_read_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard output, for a first look."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    provider = open_provider()
    provider.get_tracer("test").start_span("a first look").end()
    provider.shutdown()
    assert "a first look" in capsys.readouterr().out
