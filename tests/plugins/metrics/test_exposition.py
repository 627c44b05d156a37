"""One gateway answers for all, also for those that have ended."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hoonify_plugins.metrics as plugin
from hoonify_plugins.metrics.exposition import Exposition
from hoonify_router.api import PluginContext
from hoonify_router.config.model import Config, LoadedConfig

GATEWAY = """
import logging, sys
from pathlib import Path
from hoonify_plugins.metrics import MetricsSettings, _build
from hoonify_router.api import PluginContext, RequestContext
from hoonify_router.config.model import Config, LoadedConfig
folder = Path(sys.argv[1])
loaded = LoadedConfig(folder / "router.yaml", Config(models={}, pipeline=["metrics"]), folder)
middleware = _build(MetricsSettings(), PluginContext(loaded, logging.getLogger(), runtime_dir=folder))
ctx = RequestContext("r", "GET", "/", {}, "", 0.0, status=200)
for _ in range(int(sys.argv[2])):
    middleware.on_finally(ctx)
"""


def context(folder: Path, *pipeline: str) -> PluginContext:
    config = Config(models={}, pipeline=list(pipeline))
    loaded = LoadedConfig(folder / "router.yaml", config, folder)
    return PluginContext(loaded, logging.getLogger(), runtime_dir=folder)


def gateway(folder: Path, requests: int, *before: str) -> subprocess.CompletedProcess[str]:
    """Let a process count requests and end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROMETHEUS")}
    return subprocess.run(
        [sys.executable, "-c", "\n".join([*before, GATEWAY]), str(folder), str(requests)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


def test_processes_are_added_up(tmp_path: Path) -> None:
    """None is forgotten when it ends, and nothing counts twice."""
    for requests in (3, 4):
        done = gateway(tmp_path, requests)
        assert done.returncode == 0, done.stderr
    text = Exposition(tmp_path / plugin.NAME).text().decode()
    (count,) = re.findall(r"^hoonify_requests_total\{.*\} (\S+)$", text, re.MULTILINE)
    assert float(count) == 7
    assert "# TYPE hoonify_requests_total counter" in text


def test_nothing_counted_is_an_empty_page(tmp_path: Path) -> None:
    """Which Prometheus takes."""
    (route,) = plugin.hoonify_register_routes(context(tmp_path, "metrics"))
    assert route.path == "/metrics"
    assert Exposition(tmp_path / plugin.NAME).text() == b""


def test_without_the_plugin_in_the_pipeline_there_is_no_page(tmp_path: Path) -> None:
    """An empty page would look like a router that nobody uses."""
    assert plugin.hoonify_register_routes(context(tmp_path)) == []


def test_a_library_that_was_imported_too_early_is_an_error(tmp_path: Path) -> None:
    """Each gateway would tell its own numbers only, and nobody would notice."""
    done = gateway(tmp_path, 1, "import prometheus_client")
    assert done.returncode != 0
    assert "another plugin imported prometheus_client" in done.stderr


async def test_the_page_is_what_prometheus_reads(tmp_path: Path) -> None:
    """Its content type names the format and its version."""
    (route,) = plugin.hoonify_register_routes(context(tmp_path, "metrics"))
    request: Any = None
    answer = await route.handler(request)
    assert answer.status == 200
    assert answer.content_type.startswith("text/plain; version=")


def test_the_middleware_is_offered(tmp_path: Path) -> None:
    """Under the name that a pipeline says."""
    (spec,) = plugin.hoonify_register_middleware()
    assert spec.name == "metrics"
    with pytest.raises(TypeError):
        spec.settings(size=1)
