"""What a new configuration changes: homes by their identity, and what cannot change live."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hoonify_router.config import LoadedConfig
from hoonify_router.loader import Plugins
from hoonify_router.supervisor.difference import compare, describe, need_a_restart
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.plan import plan_homes

BASE = """
models:
  parrot: {provider: Nobody, context_length: 10, backend: echo, options: {text: one}}
"""


def plans_of(loaded: LoadedConfig, plugins: Plugins) -> Any:
    return plan_homes(loaded, plugins.backends, Limits())


@pytest.fixture
def change(load_yaml: Any, plugins: Plugins) -> Any:
    """``change(old, new)``: the difference between the homes of two texts."""

    def changed(old: str, new: str) -> Any:
        homes = [SimpleNamespace(plan=plan) for plan in plans_of(load_yaml(old), plugins)]
        return compare(homes, plans_of(load_yaml(new), plugins))  # type: ignore[type-var]

    return changed


@pytest.mark.parametrize(
    ("was", "is_"),
    [
        ("context_length: 10", "context_length: 20"),
        ("provider: Nobody", "provider: Somebody"),
        ("backend: echo", "backend: echo, start: on_demand"),
        ("backend: echo", "backend: echo, description: It talks"),
        ("backend: echo", "backend: echo, pricing: {input: 1, output: 2}"),
    ],
)
def test_what_says_nothing_of_the_engine_keeps_the_home(change: Any, was: str, is_: str) -> None:
    """Prices, descriptions, limits and when it starts are changed beside the running home."""
    found = change(BASE, BASE.replace(was, is_))
    assert (len(found.kept), found.stopped, found.started) == (1, (), ())


@pytest.mark.parametrize(
    ("was", "is_"),
    [
        ("{text: one}", "{text: two}"),
        ("backend: echo", "backend: echo, python: /opt/other/bin/python"),
    ],
)
def test_another_engine_is_another_home(change: Any, was: str, is_: str) -> None:
    """Options and interpreter make it one."""
    found = change(BASE, BASE.replace(was, is_))
    assert not found.kept
    assert [home.plan.id for home in found.stopped] == ["parrot"]
    assert [plan.id for plan in found.started] == ["parrot"]


def test_defaults_of_a_backend_count_as_its_homes_own_options(change: Any) -> None:
    """To write an option there or here is the same home."""
    moved = (
        BASE.replace(", options: {text: one}", "") + "backends: {echo: {options: {text: one}}}\n"
    )
    assert len(change(BASE, moved).kept) == 1


def test_a_home_that_gets_company_is_kept_under_its_new_name(change: Any) -> None:
    """It was the only one and is the second of two now."""
    two = """
models:
  parrot:
    provider: Nobody
    context_length: 10
    homes:
      - {backend: echo, options: {text: two}}
      - {backend: echo, options: {text: one}, weight: 3}
"""
    found = change(BASE, two)
    assert [(home.plan.id, plan.id, plan.home.weight) for home, plan in found.kept] == [
        ("parrot", "parrot/1", 3)
    ]
    assert [plan.id for plan in found.started] == ["parrot/0"]


def test_the_same_home_twice_is_two_homes(change: Any) -> None:
    """Equals are told apart by their number."""
    home = "{backend: echo, options: {text: one}}"
    twice = (
        f"models:\n  parrot: {{provider: Nobody, context_length: 10, homes: [{home}, {home}]}}\n"
    )
    found = change(BASE, twice)
    assert (len(found.kept), len(found.started)) == (1, 1)
    assert len(change(twice, BASE).stopped) == 1


def test_what_cannot_change_live_is_named(load_yaml: Any) -> None:
    """Each by its path, and nothing else."""
    old = load_yaml(BASE + "server: {port: 1, ping_interval: 1s}\n").config
    new = load_yaml(BASE + "server: {port: 2, ping_interval: 2s, watch: false}\n").config
    assert need_a_restart(old, new, {}) == ["server.port"]
    old.plugins, new.plugins = {"a": {"live": 1, "dead": 1}}, {"a": {"live": 2}, "b": {"x": 1}}
    new.pipeline = ["b"]
    told = need_a_restart(old, new, {"a": {"live"}})
    assert told == ["server.port", "pipeline", "plugins.a.dead", "plugins.b.x"]


def test_changes_are_told_in_words(load_yaml: Any, plugins: Plugins) -> None:
    """One line for each, as the history shows them."""
    old = load_yaml(BASE)
    new = load_yaml(
        BASE.replace("one", "two").replace("Nobody", "Somebody")
        + "  two: {provider: Nobody, context_length: 10, backend: echo}\n"
    )
    lines = describe(old.config, new.config, plans_of(old, plugins), plans_of(new, plugins))
    assert lines == ["parrot: echo, with other settings, provider", "two: new, on echo"]
    back = describe(new.config, old.config, plans_of(new, plugins), plans_of(old, plugins))
    assert back[-1] == "two: removed"
