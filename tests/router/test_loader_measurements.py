"""What plugins measure reaches whoever collects it, and one that fails disturbs nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from hoonify_router.api import Measurement, Middleware, PluginContext
from hoonify_router.config.model import Config, LoadedConfig
from hoonify_router.loader import Measurements, load_plugins

Install = Callable[..., Path]

SOUND = """
@hookimpl
def hoonify_collect_metrics(context, pipeline):
    told = getattr(pipeline.get("hours"), "refused", 0)
    return [Measurement("hours_refusals_total", "Sent home.", told, "counter")]
"""
BROKEN = """
@hookimpl
def hoonify_collect_metrics(context, pipeline):
    if "works" in pipeline:
        return []
    return {result}
"""


class Hours(Middleware):
    """Middleware that refuses."""

    refused = 3


def collector(folder: Path, install: Install, **modules: str) -> Measurements:
    install("measuring", **modules)
    loaded = LoadedConfig(folder / "router.yaml", Config(models={}), folder)
    return Measurements(load_plugins(), PluginContext(loaded, logging.getLogger()))


def test_a_plugin_measures_its_own_middleware(tmp_path: Path, install: Install) -> None:
    """It finds the one of this process by its name."""
    collected = list(collector(tmp_path, install, sound=SOUND).collect({"hours": Hours()}))
    assert Measurement("hours_refusals_total", "Sent home.", 3, "counter") in collected


@pytest.mark.parametrize("result", ["1 / 0", "[1]", "None", "{}['x']"])
def test_one_that_fails_is_told_of_once(
    tmp_path: Path, install: Install, caplog: pytest.LogCaptureFixture, result: str
) -> None:
    """The others' numbers stay; after it has worked it may fail anew."""
    made = collector(tmp_path, install, sound=SOUND, broken=BROKEN.replace("{result}", result))
    for _ in range(2):
        assert [one.name for one in made.collect({})] == ["hours_refusals_total"]
    told = [r.getMessage() for r in caplog.records if "hoonify_collect_metrics" in r.getMessage()]
    assert len(told) == 1
    assert "'broken'" in told[0]
    list(made.collect({"works": Middleware()}))
    list(made.collect({}))
    assert sum("hoonify_collect_metrics" in r.getMessage() for r in caplog.records) == 2
