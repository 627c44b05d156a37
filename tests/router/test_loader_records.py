"""What plugins return is checked; messages name hook, record and what came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from hoonify_router.api import (
    Balancer,
    BalancerSpec,
    Command,
    EngineEnvironment,
    Middleware,
    MiddlewareSpec,
    Route,
    ServerBackend,
    WorkerBackend,
)
from hoonify_router.errors import PluginError
from hoonify_router.loader.records import checked_list


class Strict(Struct, forbid_unknown_fields=True):
    """Options that refuse misspelt keys."""


class Lax(Struct):
    """Options that let them pass."""


class Lost(Struct, forbid_unknown_fields=True):
    """Options of a type that is nowhere."""

    size: "Nowhere" = 1  # type: ignore[name-defined]  # noqa: F821, UP037


class Odd(Struct, forbid_unknown_fields=True):
    """Options of a type that no YAML can say."""

    size: complex = 1j


ENGINE = "parrot.engine:ParrotEngine"
CPU = EngineEnvironment("parrot", "cpu", ())


def worker(**changes: Any) -> WorkerBackend:
    """Return a good record but for the changes."""
    return WorkerBackend(
        **{"name": "parrot", "summary": "x", "options": Strict, "engine": ENGINE, **changes}
    )


def spec(**changes: Any) -> MiddlewareSpec:
    """Return a good record but for the changes."""
    return MiddlewareSpec(
        **{
            "name": "m",
            "summary": "x",
            "settings": Strict,
            "build": lambda s, c: Middleware(),
            **changes,
        }
    )


def balancer(**changes: Any) -> BalancerSpec:
    """Return a good record but for the changes."""
    good = {"name": "b", "summary": "x", "settings": Strict, "build": lambda s: Balancer()}
    return BalancerSpec(**{**good, **changes})


def test_good_records_pass() -> None:
    """Lists and tuples of either kind of backend are taken as they are."""
    records = (worker(), ServerBackend("remote", "x", Strict))
    assert checked_list("hook", records, (WorkerBackend, ServerBackend)) == list(records)
    good = [balancer()]
    assert checked_list("hook", good, (BalancerSpec,)) == good


def yielding() -> Iterator[WorkerBackend]:
    """Do what some other plugin systems expect."""
    yield worker()


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, "hook returned None, expected a list of WorkerBackend or ServerBackend"),
        (worker(), "hook returned one WorkerBackend, put it into a list"),
        (yielding(), "hook is a generator, return a list"),
        ({"parrot": worker()}, "hook returned dict"),
        (["parrot"], "hook returned str 'parrot' at position 0 of its list"),
        ([worker(), WorkerBackend], "the class WorkerBackend itself at position 1"),
        ([worker(name="")], "a WorkerBackend's name is str ''"),
        ([worker(name="two words")], "name is str 'two words'"),
        ([worker(name=7)], "name is int 7"),
        ([worker(summary=None)], "WorkerBackend 'parrot': summary is None"),
        (
            [worker(engine="parrot.engine")],
            "engine is str 'parrot.engine', expected 'package.module:ClassName'",
        ),
        ([worker(engine=Strict)], "engine is the class Strict itself"),
        (
            [worker(options=dict)],
            "options is the class dict itself, expected a subclass of msgspec.Struct",
        ),
        ([worker(options=Strict())], "options is Strict Strict()"),
        ([worker(options=Lax)], "`class Lax(Struct, forbid_unknown_fields=True)`"),
        ([worker(requires="torch")], "requires is str 'torch', expected a tuple of module names"),
        ([worker(check=None)], "check is None, expected a function"),
        ([worker(environments=["cpu"])], "environments is list ['cpu'], expected a tuple"),
        ([worker(environments=(CPU, CPU))], "two environments are for one accelerator"),
        ([worker(explain="lines")], "explain is str 'lines', expected a function"),
        ([ServerBackend("remote", "x", Lax)], "ServerBackend 'remote': options is Lax"),
    ],
)
def test_a_bad_backend_is_told(result: Any, expected: str) -> None:
    """The message is enough to mend the plugin."""
    with pytest.raises(PluginError) as caught:
        checked_list("hook", result, (WorkerBackend, ServerBackend))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (spec(settings=Lax), "MiddlewareSpec 'm': settings is Lax, which lets misspelt keys pass"),
        (
            spec(settings=Lost),
            "MiddlewareSpec 'm': settings is Lost, whose fields cannot be read (NameError: name 'Nowhere'",
        ),
        (spec(settings=Odd), "settings is Odd, whose fields cannot be read (TypeError: "),
        (balancer(settings=Odd), "BalancerSpec 'b': settings is Odd, whose fields cannot be read"),
        (spec(build=None), "build is None"),
        (
            balancer(settings=Lax),
            "BalancerSpec 'b': settings is Lax, which lets misspelt keys pass",
        ),
        (balancer(build=7), "BalancerSpec 'b': build is int 7"),
        (balancer(name="round_robin"), "the balancer 'round_robin' is the router's own"),
        (balancer(summary=""), "BalancerSpec 'b': summary is str ''"),
        (Command("motd", "x", lambda parser: None, None), "run is None"),  # type: ignore[arg-type]
        (Command("motd", "x", "none", lambda a, c: 0), "add_arguments is str 'none'"),  # type: ignore[arg-type]
        (Route("motd", print), "path is str 'motd', it must start with /"),
        (Route("/motd", None), "Route '/motd': handler is None"),  # type: ignore[arg-type]
        (Route("/motd", print, "GET"), "methods is str 'GET'"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_record_of_another_kind_is_told(record: Any, expected: str) -> None:
    """Middleware, balancers, commands and routes are looked at as closely."""
    with pytest.raises(PluginError) as caught:
        checked_list("hook", [record], (type(record),))
    assert expected in str(caught.value)
