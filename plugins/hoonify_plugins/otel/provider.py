"""Where spans go: what the standard variables of the environment say."""

from __future__ import annotations

import os
import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from hoonify_router import __version__

SERVICE = "hoonify-router"


def open_provider() -> TracerProvider:
    """Return a provider that samples and exports as ``OTEL_*`` say; it has a thread, so one per process.

    Raises:
        ValueError: ``OTEL_TRACES_EXPORTER`` names an exporter that there is not.
    """
    attributes = {SERVICE_VERSION: __version__}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        attributes[SERVICE_NAME] = SERVICE
    given = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    told = {pair.partition("=")[0].strip() for pair in given.split(",")}
    ours = {name: value for name, value in attributes.items() if name not in told}
    provider = TracerProvider(resource=Resource.create(ours))
    exporter = _exporter()
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter() -> SpanExporter | None:
    name = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if name == "none":
        return None
    if name == "console":
        return ConsoleSpanExporter(out=sys.stdout)
    if name != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER is {name!r}, expected otlp, console or none")
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    if protocol not in (None, "", "http/protobuf"):
        raise ValueError(f"the protocol of OTLP is {protocol!r}, expected http/protobuf")
    return OTLPSpanExporter()
