"""The pipeline, extra routes and extra commands are built from what the plugins bring."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.api import PluginContext
from hoonify_router.config.model import Config, LoadedConfig, ModelConfig
from hoonify_router.errors import PluginError
from hoonify_router.loader import (
    build_balancers,
    build_pipeline,
    collect_commands,
    collect_routes,
    load_plugins,
    names_in,
    plugin_context,
)

Install = Callable[..., Path]

MIDDLEWARE = """
class {0}(Middleware):
    phase = Phase.{1}
    def __init__(self, settings, context):
        self.settings, self.context = settings, context

@hookimpl
def hoonify_register_middleware():
    return [MiddlewareSpec({0!r}, "x", Options, {0})]
"""


def loaded(tmp_path: Path, *pipeline: str, **plugins: dict[str, Any]) -> LoadedConfig:
    """Return a checked configuration with this pipeline."""
    config = Config(models={}, pipeline=list(pipeline), plugins=plugins)
    return LoadedConfig(tmp_path / "router.yaml", config, tmp_path / "state")


def build(tmp_path: Path, *pipeline: str, **plugins: dict[str, Any]) -> list[Any]:
    """Build the pipeline with the plugins installed now."""
    configuration = loaded(tmp_path, *pipeline, **plugins)
    return list(build_pipeline(load_plugins(), configuration, plugin_context(configuration)))


def test_phases_decide_the_order(install: Install, tmp_path: Path) -> None:
    """However the YAML lists them; within a phase its order stays."""
    for name, phase in [("late", "OBSERVE"), ("early", "AUTHENTICATE"), ("also", "OBSERVE")]:
        install(name, **{name: MIDDLEWARE.format(name, phase)})
    built = build(tmp_path, "late", "early", "also")
    assert [type(middleware).__name__ for middleware in built] == ["early", "late", "also"]
    assert [middleware.name for middleware in built] == ["early", "late", "also"]


def test_each_middleware_gets_its_settings_and_its_own_log(
    install: Install, tmp_path: Path
) -> None:
    """Settings come typed; announcements are shared."""
    install("acme", guard=MIDDLEWARE.format("guard", "ADMIT"))
    (guard,) = build(tmp_path, "guard", guard={"size": 7})
    assert guard.settings.size == 7
    assert guard.context.log.name.endswith(".guard")
    assert guard.context.state_dir.is_dir()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "MiddlewareSpec('guard', 'x', Options, lambda s, c: 1 / 0)",
            "cannot be built: ZeroDivisionError",
        ),
        ("MiddlewareSpec('guard', 'x', Options, lambda s, c: None)", "build returned NoneType"),
        ("MiddlewareSpec('guard', 'x', Options, lambda s, c: Odd())", "phase is 'soon'"),
    ],
)
def test_a_middleware_that_cannot_be_built_is_a_refusal(
    install: Install, tmp_path: Path, source: str, expected: str
) -> None:
    """The router never serves without something that the YAML names."""
    install(
        "acme",
        guard=f"class Odd(Middleware):\n    phase = 'soon'\n@hookimpl\ndef hoonify_register_middleware():\n    return [{source}]",
    )
    with pytest.raises(PluginError, match="'guard'") as caught:
        build(tmp_path, "guard")
    assert expected in str(caught.value)


def test_a_broken_middleware_is_never_left_out(install: Install, tmp_path: Path) -> None:
    """A broken auth plugin never means "no auth"."""
    install("acme", guard="import not_there_at_all")
    with pytest.raises(PluginError, match="not_there_at_all"):
        build(tmp_path, "guard")
    with pytest.raises(PluginError, match="is a backend"):
        build(tmp_path, "echo")


def test_names_in_a_configuration_are_its_backends_middleware_and_balancers() -> None:
    """Both forms of a home count."""
    model = {"provider": "p", "context_length": 1}
    config = Config(
        models={
            "a": ModelConfig(**model, backend="echo"),
            "b": ModelConfig(**model, homes=[], balance="moody"),
        },
        pipeline=["api_keys"],
    )
    assert names_in(config) == {"echo", "api_keys", "moody"}  # round_robin needs no plugin


BALANCER = """
class Moody(Balancer):
    def __init__(self, settings):
        self.settings = settings

@hookimpl
def hoonify_register_balancers():
    return [BalancerSpec("moody", "By its mood.", Options, {0})]
"""


def balanced(tmp_path: Path, **models: str) -> LoadedConfig:
    """Return a checked configuration whose models are balanced like this."""
    entries = {
        name: ModelConfig("p", 1, backend="echo", balance=way, balance_options={"size": 7})
        for name, way in models.items()
    }
    return LoadedConfig(tmp_path / "router.yaml", Config(entries), tmp_path / "state")


def test_each_model_gets_a_balancer_of_its_own(install: Install, tmp_path: Path) -> None:
    """With its settings, typed; where homes take turns, there is nothing to build."""
    install("acme", moody=BALANCER.format("Moody"))
    plugins = load_plugins()
    assert plugins.balancer_settings["moody"].__name__ == "Options"
    built: dict[str, Any] = dict(
        build_balancers(plugins, balanced(tmp_path, a="moody", b="round_robin", c="moody"))
    )
    assert sorted(built) == ["a", "c"]
    assert built["a"] is not built["c"]
    assert built["a"].settings.size == 7


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("lambda s: 1 / 0", "balancer 'moody' cannot be built for a: ZeroDivisionError"),
        ("lambda s: None", "balancer 'moody': build returned NoneType, expected a Balancer"),
    ],
)
def test_a_balancer_that_cannot_be_built_is_a_refusal(
    install: Install, tmp_path: Path, build: str, expected: str
) -> None:
    """Told before the door opens, with its name."""
    install("acme", moody=BALANCER.format(build))
    with pytest.raises(PluginError, match="moody") as caught:
        build_balancers(load_plugins(), balanced(tmp_path, a="moody"))
    assert expected in str(caught.value)


def test_a_balancer_that_is_missing_is_a_refusal(install: Install, tmp_path: Path) -> None:
    """Broken, never heard of, or something else altogether."""
    install("acme", moody="import not_there_at_all")
    install("other", guard=MIDDLEWARE.format("guard", "ADMIT"))
    for name, told in (
        ("moody", "not_there_at_all"),
        ("mooody", "no installed plugin brings"),
        ("guard", "is no balancer"),
    ):
        with pytest.raises(PluginError, match=told):
            build_balancers(load_plugins(), balanced(tmp_path, a=name))


def test_a_balancer_of_two_plugins_is_nobodys(install: Install, tmp_path: Path) -> None:
    """As with backends and middleware: which one is meant cannot be told."""
    install("acme", one=BALANCER.format("Moody"))
    install("umbrella", two=BALANCER.format("Moody"))
    plugins = load_plugins()
    assert "moody" not in plugins.balancers
    with pytest.raises(PluginError, match="balancer 'moody' is brought by plugin 'one'"):
        plugins.require(["moody"])


def test_the_state_folder_is_private(tmp_path: Path) -> None:
    """Keys live there: nobody else may look."""
    context = plugin_context(loaded(tmp_path))
    assert context.state_dir.stat().st_mode & 0o777 == 0o700


def test_routes_of_a_broken_plugin_leave_the_others_alone(install: Install, tmp_path: Path) -> None:
    """Good routes are there, the broken plugin is told."""
    route = "@hookimpl\ndef hoonify_register_routes(context):\n    return [Route('/{}', print)]"
    install("a", one=route.format("one"))
    install("b", two="@hookimpl\ndef hoonify_register_routes():\n    1 / 0")
    install("c", three=route.format("three"))
    context: PluginContext = plugin_context(loaded(tmp_path))
    routes, failures = collect_routes(load_plugins(), context)
    assert {"/one", "/three"} <= {route.path for route in routes}
    assert [str(f) for f in failures if f.plugin == "two"] == [
        "plugin 'two' (b 1.0): hoonify_register_routes failed: ZeroDivisionError: division by zero"
        " (b_two.py:11)"
    ]


COMMAND = """
@hookimpl
def hoonify_register_commands():
    return [Command({!r}, "x", {}, lambda arguments, context: 0)]
"""


def test_commands_are_found_and_clashes_are_told(install: Install) -> None:
    """Nobody takes a built-in command, or another plugin's, and a broken one hides no other."""
    install("a", one=COMMAND.format("motd", "lambda parser: None"))
    install("b", two=COMMAND.format("motd", "lambda parser: None"))
    install("c", three=COMMAND.format("serve", "lambda parser: None"))
    install(
        "d", four=COMMAND.format("dance", "lambda parser: parser.add_argument('dance', nope=1)")
    )
    commands, failures = collect_commands(load_plugins(), reserved=["serve"])
    told = {failure.plugin: failure.message for failure in failures}
    plugin, command = commands["motd"]
    assert plugin.name == "one"
    assert command.run(argparse.Namespace(), None) == 0  # type: ignore[arg-type]
    assert "plugin 'one' (a 1.0) brings the command 'motd' too" in told["two"]
    assert "'serve' is the router's own" in told["three"]
    assert "'dance' failed: TypeError" in told["four"]
    assert "serve" not in commands
    assert "dance" not in commands
