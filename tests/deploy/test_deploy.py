"""The dashboard and the alarms ask for what a gateway tells: all of it, and nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.deploy.promql import Asked, read
from tests.router.doubles import Play, Stage, Wire, gateway, home, notes, request

from hoonify_plugins.metrics.board import Board
from hoonify_plugins.metrics.exposition import Exposition
from hoonify_plugins.metrics.middleware import MetricsMiddleware
from hoonify_router.api import Phase, RequestContext, Vitals
from hoonify_router.errors import EngineDead, ModelUnavailable, Overloaded, RateLimited
from hoonify_router.gateway import Gateway
from hoonify_router.reply import Reply
from hoonify_router.types import Health, RoutingTable

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SUFFIX = re.compile(r"_(bucket|sum|count)$")

Labels = dict[str, dict[str, set[str]]]


class Busy(Stage):
    """Homes whose engines tell how they do."""

    def load(self, home: Any) -> Health:
        return Health(1, 2)


async def ask(made: Gateway, **body: Any) -> None:
    wire, ctx = Wire(), request(body)
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")


async def leave(made: Gateway, stage: Stage) -> None:
    """Ask for a stream, and hang up in the middle of it."""
    wire, ctx = Wire(), request({"stream": True})
    reply = Reply(wire, ctx.response_headers)
    stage.started.clear()
    task = asyncio.ensure_future(made.pipeline.infer(ctx, reply, "chat"))
    await stage.started.wait()
    stage.plays[-1].answer.text("a")
    wire.closing = True
    reply.lost()
    released: Any = stage.plays[-1].job.released
    released(None)
    await task


def stumble(ctx: RequestContext) -> None:
    """Fail on some requests, as a plugin with a bug does."""
    if b'"stumble"' in ctx.body:
        raise ValueError("a bug")


@pytest.fixture
async def live(tmp_path: Path) -> Labels:
    """What a gateway tells that has seen everything: names of series, their labels, these labels' values."""
    script: list[Any] = []

    def act(play: Play) -> None:
        todo = script.pop(0) if script else "hello"
        if isinstance(todo, str):
            play.say(todo, "b", "c")
        elif isinstance(todo, Exception):
            play.answer.text("a")
            play.answer.fail(todo)  # type: ignore[arg-type]
        elif todo is not None:
            todo(play)

    def refuse(ctx: RequestContext) -> None:
        if b'"refuse me"' in ctx.body:
            raise RateLimited("slow down")

    gateways: list[Gateway] = []
    metrics = MetricsMiddleware(
        lambda: Board(tmp_path),
        frozenset({"parrot"}),
        lambda: gateways[0].vitals() if gateways else Vitals(),
    )
    metrics.name = "metrics"
    stage = Busy(act)
    homes = [home(id=f"parrot/{n}", starts=1, load_seconds=2.0) for n in range(2)]
    limits = notes(Phase.ADMIT, "limits", [], on_request=refuse)
    clumsy = notes(Phase.OBSERVE, "clumsy", [], on_request=stumble)
    made = gateway(stage, [limits, metrics, clumsy], homes=homes)
    gateways.append(made)
    made.on_table(RoutingTable(2, tuple(homes), {"applied": 1, "refused": 2, "failed": 1}))
    await made.start()
    await ask(made)
    await ask(made, stream=True)
    await ask(made, user="refuse me")
    await ask(made, user="stumble")
    script.append(EngineDead("The model's engine has failed."))
    await ask(made, stream=True)
    script[:] = [lambda play: play.answer.fail(ModelUnavailable("gone"))]
    await ask(made)
    script[:] = [lambda play: play.answer.fail(ModelUnavailable("gone"))] * 2
    await ask(made)
    script[:] = [lambda play: play.answer.fail(Overloaded("full"))] * 2
    await ask(made)
    script[:] = [None]
    await leave(made, stage)
    told: Labels = {}
    text = b""
    while "hoonify_home_breakers" not in told or b"lag_seconds_count" not in text:
        metrics._watch.look()
        await asyncio.sleep(0.02)
        text = Exposition(tmp_path).text(made.vitals())
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                values = told.setdefault(sample.name, defaultdict(set))
                for label, value in sample.labels.items():
                    values[label].add(value)
    await made.stop()
    return told


def alarms() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana" / "hoonify-router.json").read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, Asked]:
    """Return what every alarm and every panel asks for, by where it stands."""
    found = {rule["alert"]: read(rule["expr"]) for rule in alarms()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']}: {target['refId']}"] = read(target["expr"])
    return found


async def test_all_that_is_asked_for_is_told(live: Labels) -> None:
    """By exactly these names and labels, and with these values of them."""
    for where, asked in expressions().items():
        assert asked.metrics, where
        assert asked.metrics <= set(live), where
        for metric in asked.metrics:
            assert asked.grouping <= set(live[metric]), (where, metric)
        for series, label, operator, value in asked.matchers:
            assert label in live[series], (where, label)
            if operator == "=" and value:
                assert value in live[series][label], (where, label, value)


async def test_all_that_is_told_is_looked_at(live: Labels) -> None:
    """A number that nobody watches is not worth its cost."""
    asked = {SUFFIX.sub("", name) for one in expressions().values() for name in one.metrics}
    assert {SUFFIX.sub("", name) for name in live} == asked


async def test_words_name_labels_that_are_there(live: Labels) -> None:
    """What is shown of a series is left after grouping."""
    for rule in alarms():
        asked = read(rule["expr"])
        words = " ".join(rule["annotations"].values())
        shown = set(re.findall(r"\$labels\.(\w+)", words))
        there = asked.grouping or set.intersection(*(set(live[name]) for name in asked.metrics))
        assert shown <= there, rule["alert"]
    for panel in panels():
        for target in panel["targets"]:
            asked = read(target["expr"])
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            there = asked.grouping or set.intersection(*(set(live[n]) for n in asked.metrics))
            assert shown <= there, panel["title"]


def test_alarms_say_how_bad_it_is() -> None:
    """Each has a name of its own, a severity and a summary."""
    rules = alarms()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"]
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


def test_panels_do_not_lie_on_each_other() -> None:
    """Each has its own place, and each row is full."""
    taken: set[tuple[int, int]] = set()
    ids = []
    for panel in panels():
        place = panel["gridPos"]
        ids.append(panel["id"])
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("a_b > 0", Asked(frozenset(), frozenset(), ())),
        (
            'sum by (le, home) (rate(hoonify_x_total{home!="a"}[5m])) / on (home) gen_ai_y',
            Asked(
                frozenset({"hoonify_x_total", "gen_ai_y"}),
                frozenset({"le", "home"}),
                (("hoonify_x_total", "home", "!=", "a"),),
            ),
        ),
    ],
)
def test_expressions_are_read_right(expression: str, asked: Asked) -> None:
    """Or the tests above would see nothing."""
    assert read(expression) == asked
