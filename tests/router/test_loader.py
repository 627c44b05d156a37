"""Every installed plugin is loaded by itself; one that is broken is told and leaves the others alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from hoonify_router import hookspecs
from hoonify_router.api import WorkerBackend
from hoonify_router.errors import PluginError, RouterError, envelope
from hoonify_router.loader import Failure, Plugins, load_plugins

Install = Callable[..., Path]
Source = Callable[[str], str]

GOOD = """
@hookimpl
def hoonify_register_backends():
    return [WorkerBackend("good", "A good one.", Options, "good.engine:GoodEngine")]
"""


def failure_of(plugins: Plugins, name: str) -> Failure:
    """Return the one failure of the plugin ``name``, and see that the good plugin is there."""
    (failure,) = [failure for failure in plugins.failures if failure.plugin == name]
    assert "good" in plugins.backends
    assert not plugins.manager.has_plugin(name)
    assert all(
        impl.plugin_name != name
        for hook in vars(plugins.manager.hook).values()
        for impl in hook.get_hookimpls()
    )
    assert "\n" not in str(failure)
    return failure


def test_the_plugins_that_ship_all_load() -> None:
    """Our own distribution brings no broken plugin."""
    plugins = load_plugins()
    assert [str(f) for f in plugins.failures if f.distribution.startswith("hoonify-router ")] == []
    assert {"api_keys", "openai_errors"} <= set(plugins.middleware)
    assert {"least_loaded", "prefix", "session"} <= set(plugins.balancers)
    assert "echo" in plugins.backends


def test_a_plugin_is_found_through_its_distribution(
    install: Install, backend_source: Source
) -> None:
    """A dist-info folder on sys.path is all that it takes."""
    install(
        "acme", version="2.1", parrot='"""Repeats it."""\n' + backend_source("parrot"), raw=False
    )
    plugins = load_plugins(names_required=["parrot"])
    assert isinstance(plugins.backends["parrot"], WorkerBackend)
    (info,) = [info for info in plugins.infos if info.name == "parrot"]
    assert info.distribution == "acme 2.1"
    assert info.provides == ("parrot",)
    assert info.hooks == ("hoonify_register_backends",)


def test_the_summary_is_the_first_line_of_the_module(install: Install) -> None:
    """`plugins list` shows what the author wrote on top."""
    source = '"""Repeats it.\n\nMore.\n"""\nfrom hoonify_router.api import hookimpl\n@hookimpl\ndef hoonify_startup(): ...\n'
    install("acme", raw=True, parrot=source)
    (info,) = [info for info in load_plugins().infos if info.name == "parrot"]
    assert info.summary == "Repeats it."


BROKEN = {
    "a module that is missing": (
        "import not_there_at_all",
        "ModuleNotFoundError: No module named 'not_there_at_all' (acme_bad.py:",
    ),
    "a syntax error": ("def f(:", "SyntaxError: invalid syntax (acme_bad.py:9)"),
    "an exit while it is imported": ("raise SystemExit(3)", "SystemExit: 3"),
    "a long message of many lines": ("raise ValueError('x\\n' * 9000)", "ValueError: x x x"),
    "a misspelt hook": (
        "@hookimpl\ndef hoonify_register_backend(): ...",
        "there is no hook 'hoonify_register_backend', did you mean 'hoonify_register_backends'?",
    ),
    "a misspelt hook that is not marked": (
        "def hoonify_strtup(context): ...",
        "hoonify_strtup would never be called: no hook has this name,"
        " did you mean 'hoonify_startup'?",
    ),
    "a hook that is not marked": (
        "def hoonify_startup(context): ...",
        "hoonify_startup would never be called: put @hookimpl above it",
    ),
    "no hook at all": ("x = 1", "it implements no hook"),
    "an argument that the hook lacks": (
        "@hookimpl\ndef hoonify_startup(ctx): ...",
        "hoonify_startup declares 'ctx', which the hook does not have; it has 'context'",
    ),
    "a coroutine function": (
        "@hookimpl\nasync def hoonify_startup(context): ...",
        "hoonify_startup is declared with `async def`",
    ),
    "a wrapper": (
        "@hookimpl(wrapper=True)\ndef hoonify_startup(context):\n    yield",
        "hoonify_startup is a hook wrapper",
    ),
    "a hook that raises": (
        "@hookimpl\ndef hoonify_register_backends():\n    raise KeyError('gone')",
        "hoonify_register_backends failed: KeyError: 'gone' (acme_bad.py:",
    ),
    "a second hook that raises": (
        GOOD.replace('"good"', '"half"')
        + "@hookimpl\ndef hoonify_register_middleware():\n    1 / 0",
        "hoonify_register_middleware failed: ZeroDivisionError: division by zero",
    ),
    "another major version": ("hoonify_api_version = (2, 0)" + GOOD, "plugin API 2.0, this router"),
    "a version that is none": ("hoonify_api_version = '1.0'" + GOOD, "'1.0', expected a pair"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_told_and_hides_no_other(install: Install, case: str) -> None:
    """Whatever is wrong with one plugin, the reason is one line and the next plugin works."""
    source, expected = BROKEN[case]
    install("acme", version="0.3", bad=source)
    install("fine", good=GOOD)
    plugins = load_plugins()
    failure = failure_of(plugins, "bad")
    assert failure.distribution == "acme 0.3"
    assert expected in failure.message
    assert len(failure.message) < 600
    assert failure.error is not None
    assert "half" not in plugins.backends


def test_the_import_error_is_kept(install: Install) -> None:
    """Whoever debugs a plugin gets the exception itself with its traceback."""
    install("acme", bad="import not_there_at_all")
    install("fine", good=GOOD)
    error = failure_of(load_plugins(), "bad").error
    assert isinstance(error, ModuleNotFoundError)
    assert error.__traceback__ is not None


def test_a_hook_marked_optional_may_be_unknown(install: Install) -> None:
    """A plugin for a newer router may carry its new hooks."""
    install(
        "acme",
        new=GOOD.replace('"good"', '"new"')
        + "@hookimpl(optionalhook=True)\ndef hoonify_dance(): ...",
    )
    assert "new" in load_plugins().backends


def test_a_hook_that_is_to_go_is_a_warning(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin works, and its author reads what to use instead."""
    told = DeprecationWarning("hoonify_register_backends goes in 2.0: use hoonify_backends")
    spec = hookspecs.hoonify_register_backends.hoonify_spec  # type: ignore[attr-defined]
    monkeypatch.setitem(spec, "warn_on_impl", told)
    install("acme", good=GOOD)
    plugins = load_plugins()
    assert "good" in plugins.backends
    assert any("'good' (acme" in line and str(told) in line for line in plugins.warnings)


def test_a_newer_minor_version_is_a_warning(install: Install) -> None:
    """The plugin is used, and `check` says that parts may be missing."""
    install("acme", good="hoonify_api_version = (1, 7)" + GOOD)
    plugins = load_plugins()
    assert "good" in plugins.backends
    (warning,) = [line for line in plugins.warnings if "'good'" in line]
    assert "plugin API 1.7" in warning


def test_two_plugins_of_one_name_are_both_left_out(
    install: Install, backend_source: Source
) -> None:
    """Nobody guesses which one is meant; both distributions are named."""
    install("acme", parrot=backend_source("parrot"))
    install("umbrella", parrot=backend_source("parrot"))
    install("fine", good=GOOD)
    plugins = load_plugins()
    failure = failure_of(plugins, "parrot")
    assert "acme 1.0 and umbrella 1.0 both bring a plugin of this name" in failure.message
    assert "parrot" not in plugins.backends
    with pytest.raises(PluginError, match=r"acme 1\.0 and umbrella 1\.0"):
        plugins.require(["parrot"])


@pytest.mark.parametrize("name", ["parrot", "echo"])
def test_two_backends_of_one_name_are_both_left_out(
    install: Install, backend_source: Source, name: str
) -> None:
    """Also against one of ours: a stranger never takes the place of another in silence."""
    install("acme", one=backend_source(name))
    install("umbrella", two=backend_source(name))
    plugins = load_plugins()
    (failure,) = [failure for failure in plugins.failures if name in failure.names]
    assert "'one' (acme 1.0)" in failure.message
    assert "'two' (umbrella 1.0)" in failure.message
    assert name not in plugins.backends
    with pytest.raises(PluginError, match="so neither is used"):
        load_plugins(names_required=[name])


def test_two_middlewares_of_one_name_are_both_left_out(install: Install) -> None:
    """A second `api_keys` never stands in for the first."""
    source = """
@hookimpl
def hoonify_register_middleware():
    return [MiddlewareSpec("api_keys", "Lets all in.", Options, lambda s, c: Middleware())]
"""
    install("evil", lax=source)
    plugins = load_plugins()
    assert "api_keys" not in plugins.middleware
    with pytest.raises(PluginError, match=r"'lax' \(evil 1\.0\)"):
        plugins.require(["api_keys"])


def test_one_module_under_two_names_is_told(install: Install, backend_source: Source) -> None:
    """The second name is refused, the first works."""
    site = install("acme", parrot=backend_source("parrot"))
    info = site / "acme-1.0.dist-info" / "entry_points.txt"
    info.write_text(info.read_text() + "zebra = acme_parrot\n")
    install("fine", good=GOOD)
    plugins = load_plugins()
    assert "already registered as plugin 'parrot'" in failure_of(plugins, "zebra").message
    assert "parrot" in plugins.backends


def test_metadata_that_is_damaged_costs_only_the_name(
    install: Install, backend_source: Source
) -> None:
    """A distribution without METADATA still brings its plugins."""
    site = install("acme", parrot=backend_source("parrot"))
    (site / "acme-1.0.dist-info" / "METADATA").unlink()
    assert "parrot" in load_plugins().backends


def test_a_plugin_that_raises_everywhere_is_only_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an object that cannot be looked at leaves the loader standing."""

    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("hands off")

    monkeypatch.setitem(sys.modules, "hostile", SimpleNamespace(plugin=Hostile()))  # type: ignore[arg-type]
    plugins = load_plugins(entry_points=[EntryPoint("hostile", "hostile:plugin", "hoonify_router")])
    (failure,) = plugins.failures
    assert "hands off" in failure.message
    assert failure.distribution == "unknown distribution"


def test_a_plugin_left_half_registered_is_rolled_back(
    install: Install, backend_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some pluggy versions keep a plugin whose check failed; ours never does."""
    register = pluggy.PluginManager.register

    def half_register(self: pluggy.PluginManager, plugin: Any, name: str | None = None) -> Any:
        result = register(self, plugin, name)
        if name == "bad":
            raise pluggy.PluginValidationError(plugin, "found out too late")
        return result

    monkeypatch.setattr(pluggy.PluginManager, "register", half_register)
    install("acme", bad=backend_source("half"))
    install("fine", good=GOOD)
    assert "found out too late" in failure_of(load_plugins(), "bad").message


def test_a_missing_name_lists_what_is_installed() -> None:
    """The operator reads what was probably meant and what there is."""
    with pytest.raises(PluginError) as caught:
        load_plugins(names_required=["ecko", "api_keys"])
    message = str(caught.value)
    assert message.startswith("no installed plugin brings 'ecko', did you mean 'echo'?")
    assert "api_keys, echo" in message
    assert "\n" not in message


def test_a_broken_plugin_is_refused_only_where_it_is_named(install: Install) -> None:
    """Installed and broken is a warning, named and broken says why."""
    install("acme", version="0.9", guard="import not_there_at_all")
    load_plugins(names_required=["echo"])
    with pytest.raises(PluginError, match=r"'guard' \(acme 0\.9\).*not_there_at_all"):
        load_plugins(names_required=["guard", "echo"])
    with pytest.raises(PluginError, match=r"brings 'unheard'.*; broken: .*guard"):
        load_plugins(names_required=["unheard"])


CALLED = """
@hookimpl
def hoonify_startup(context, extra=None):
    context.append({0!r})
    {1}

@hookimpl
def hoonify_shape_error(error, context):
    {2}
"""


def test_one_raising_hook_does_not_hide_the_others(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """Notifications reach every plugin; the log names the one that failed."""
    install("a", first=CALLED.format("first", "", "return {'from': 'first'}"))
    install("b", second=CALLED.format("second", "1 / 0", "1 / 0"))
    install("c", third=CALLED.format("third", "", "return None"))
    plugins = load_plugins(entry_points=None)
    seen: list[str] = []
    outcomes = list(plugins.call("hoonify_startup", context=seen, extra=1))
    assert {"first", "second", "third"} <= set(seen)
    assert {o.plugin.name for o in outcomes if o.error is not None} >= {"second"}


def test_a_raising_notification_is_logged(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names plugin, distribution and hook, and the next plugin hears of it all the same."""
    install("a", first="@hookimpl\ndef hoonify_shutdown(context):\n    context.append('first')")
    install("b", second="@hookimpl\ndef hoonify_shutdown():\n    1 / 0")
    install("c", third="@hookimpl\ndef hoonify_shutdown(context):\n    context.append('third')")
    told: list[str] = []
    load_plugins().notify("hoonify_shutdown", context=told)
    assert sorted(told) == ["first", "third"]
    assert "plugin 'second' (b 1.0): hoonify_shutdown failed: ZeroDivisionError" in caplog.text


def test_an_error_is_shaped_whatever_a_plugin_does(install: Install) -> None:
    """The first plugin with an answer wins; one that raises or returns nonsense is passed over."""
    error: Any = RouterError("boom")
    context: Any = None
    assert load_plugins().shape_error(error, context) == envelope(error)
    install("b", second="@hookimpl\ndef hoonify_shape_error(error):\n    1 / 0")
    install("d", fourth="@hookimpl\ndef hoonify_shape_error(error):\n    return 'nonsense'")
    assert load_plugins().shape_error(error, context) == envelope(error)
    install(
        "a",
        first="@hookimpl\ndef hoonify_shape_error(error):\n    return {'problem': error.message}",
    )
    assert load_plugins().shape_error(error, context) == {"problem": "boom"}
