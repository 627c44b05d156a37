"""One gateway answers for all, also for those that have ended."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.metrics.reading import Told

import hoonify_plugins.metrics as plugin
from hoonify_plugins.metrics.board import Board, Description
from hoonify_plugins.metrics.exposition import Exposition
from hoonify_router.api import HomeVitals, PluginContext, Vitals
from hoonify_router.config.model import Config, LoadedConfig
from hoonify_router.errors import AuthenticationFailed, MissingAPIKey
from hoonify_router.types import HomeView

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


def context(folder: Path, *pipeline: str, **settings: str) -> PluginContext:
    config = Config(models={}, pipeline=list(pipeline), plugins={"metrics": settings})
    loaded = LoadedConfig(folder / "router.yaml", config, folder)
    return PluginContext(loaded, logging.getLogger(), runtime_dir=folder)


class Asked:
    """A request for metrics."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers


def test_processes_are_added_up(tmp_path: Path) -> None:
    """None is forgotten when it ends, and nothing counts twice."""
    processes = [
        subprocess.Popen([sys.executable, "-c", GATEWAY, str(tmp_path), str(requests)])
        for requests in (3, 4)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    told = Told(Exposition(tmp_path / plugin.NAME).text())
    assert sum(s.value for s in told.samples if s.name == "hoonify_requests_total") == 7


def test_how_numbers_of_processes_become_one(tmp_path: Path) -> None:
    """Counters and buckets add up, gauges of the living too, and what all know alike is told once."""
    boards = [Board(tmp_path) for _ in range(3)]
    for number, board in enumerate(boards, 1):
        board.cells(Description("a_total", "counter", "A."))[0] = number
        board.cells(Description("b", "gauge", "B."))[0] = number
        board.cells(Description("c", "gauge", "C.", join="max"))[0] = number
        cells = board.cells(Description("d", "histogram", "D.", bounds=(1.0, 2.0)))
        cells[0], cells[2], cells[-1] = 1.0, 2.0, 7.0
    boards[2].close()
    told = Told(Exposition(tmp_path).text())
    assert (told.value("a_total"), told.value("b"), told.value("c")) == (6, 3, 2)
    buckets = [told.value("d_bucket", le=bound) for bound in ("1.0", "2.0", "+Inf")]
    assert buckets == [3, 3, 9]
    assert (told.value("d_count"), told.value("d_sum")) == (9, 21)


def test_the_gateway_that_answers_tells_of_homes(tmp_path: Path) -> None:
    """Each has exactly one state; loads are told where there were any."""
    ready = HomeView("p/0", "p", "echo", "worker", "ready", starts=2, load_seconds=1.5)
    away = HomeView("p/1", "p", "openai", "server", "failed")
    vitals = Vitals((HomeVitals(ready), HomeVitals(away)))
    told = Told(Exposition(tmp_path).text(vitals))
    states = [s.labels for s in told.samples if s.name == "hoonify_home_state" and s.value]
    assert states == [
        {"model": "p", "home": "p/0", "state": "ready"},
        {"model": "p", "home": "p/1", "state": "failed"},
    ]
    assert told.value("hoonify_home_starts_total", model="p", home="p/0") == 2
    assert told.value("hoonify_home_load_seconds", model="p", home="p/0") == 1.5
    assert len(told.labels("hoonify_home_load_seconds")) == 1


def test_nothing_counted_is_an_empty_page(tmp_path: Path) -> None:
    """Which Prometheus takes."""
    (route,) = plugin.hoonify_register_routes(context(tmp_path, "metrics"))
    assert route.path == "/metrics"
    assert Exposition(tmp_path / plugin.NAME).text() == b""


def test_without_the_plugin_in_the_pipeline_there_is_no_page(tmp_path: Path) -> None:
    """An empty page would look like a router that nobody uses."""
    assert plugin.hoonify_register_routes(context(tmp_path)) == []


async def test_the_page_is_what_prometheus_reads(tmp_path: Path) -> None:
    """Its content type names the format and its version."""
    (route,) = plugin.hoonify_register_routes(context(tmp_path, "metrics"))
    answer = await route.handler(Asked())
    assert answer.status == 200
    assert answer.content_type.startswith("text/plain; version=")


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, MissingAPIKey),
        ({"authorization": "Bearer wrong"}, AuthenticationFailed),
        ({"authorization": "s3cret"}, AuthenticationFailed),
        ({"authorization": "Bearer s3crét"}, AuthenticationFailed),
        ({"authorization": "Bearer s3cret"}, None),
    ],
)
async def test_the_page_may_want_a_token(
    tmp_path: Path, headers: dict[str, str], error: type[Exception] | None
) -> None:
    """Its own: no key of the router's opens it."""
    (route,) = plugin.hoonify_register_routes(context(tmp_path, "metrics", token="s3cret"))
    if error is None:
        assert (await route.handler(Asked(**headers))).status == 200
    else:
        with pytest.raises(error):
            await route.handler(Asked(**headers))


def test_the_middleware_is_offered(tmp_path: Path) -> None:
    """Under the name that a pipeline says."""
    (spec,) = plugin.hoonify_register_middleware()
    assert spec.name == "metrics"
    unknown: dict[str, Any] = {"size": 1}
    with pytest.raises(TypeError):
        spec.settings(**unknown)
