"""The runner: what becomes of a check, whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hoonify_router.errors import ConfigError, PluginError
from hoonify_router.loader import load_plugins
from hoonify_router.testing.checks import all_checks
from hoonify_router.testing.records import Check, Level, NotApplicable, Unmet
from hoonify_router.testing.report import Report
from hoonify_router.testing.runner import run_conformance
from hoonify_router.testing.subject import Subject, make_subject


@pytest.fixture(scope="module")
def echo() -> Subject:
    """A home of the test instrument that is not started."""
    return make_subject(load_plugins(), "echo")


def check(run: Callable[[Any], Awaitable[None]], **more: Any) -> Check:
    return Check(run.__name__, Level.SCHEMA, "It works.", run, **more)


async def works(bench: Any) -> None:
    """Keep the promise."""


async def fails(bench: Any) -> None:
    """Break the promise."""
    raise Unmet("it drops the last token")


async def rests(bench: Any) -> None:
    """Have nothing to check."""
    raise NotApplicable("there is nothing")


async def errs(bench: Any) -> None:
    """Be wrong."""
    raise KeyError("oops")


async def hangs(bench: Any) -> None:
    """Never end."""
    await asyncio.get_running_loop().create_future()


async def run(subject: Subject, *runs: Any, **more: Any) -> Report:
    checks = [check(one) if callable(one) else one for one in runs]
    return await run_conformance(subject, checks, patience=0.1, **more)


async def test_each_check_has_a_result(echo: Subject) -> None:
    """Kept, broken, not applicable, wrong or endless: the next one is run all the same."""
    report = await run(echo, works, fails, rests, errs, hangs)
    told = {result.name: (result.status, result.told) for result in report.results}
    assert told == {
        "works": ("passed", ""),
        "fails": ("failed", "it drops the last token"),
        "rests": ("skipped", "there is nothing"),
        "errs": ("failed", "KeyError: 'oops'"),
        "hangs": ("failed", "it hangs: there is no end after 0.15 s"),
    }
    assert not report.passed


async def test_an_override_waives_a_failure(echo: Subject) -> None:
    """Its reason and the fault are in the report; one that is not needed says so."""
    overrides = {"fails": "the kernels are like that", "works": "it never did"}
    report = await run(echo, works, fails, overrides=overrides)
    first, second = report.results
    assert (first.status, second.status) == ("passed", "waived")
    assert "needs no override any more" in first.told
    assert second.told == "the kernels are like that (it says: it drops the last token)"
    assert report.passed


async def test_an_override_needs_a_check_and_a_reason(echo: Subject) -> None:
    """Both mistakes are told."""
    with pytest.raises(ConfigError) as caught:
        await run(echo, works, overrides={"wroks": "because", "works": " "})
    assert caught.value.problems == [
        "override 'wroks': there is no such check",
        "override 'works': write down the reason",
    ]


async def test_what_is_for_another_kind_is_skipped(echo: Subject) -> None:
    """A check for servers says nothing of a worker."""
    report = await run(echo, check(works, kind="server"))
    assert report.results[0].told == "it is for a server"


async def test_a_home_that_does_not_start_fails_once() -> None:
    """The first check that needs it says why; the others are skipped."""
    broken = make_subject(load_plugins(), "echo", {"load_error": "OutOfMemory"})
    checks = [one for one in all_checks() if one.level == Level.PROTOCOL][:3]
    report = await run_conformance(broken, checks)
    first, *others = report.results
    assert first.status == "failed"
    assert "told to fail with OutOfMemory" in first.told
    assert {one.told for one in others} == {"it does not start"}


def test_an_unknown_backend_is_named() -> None:
    """With what it may have meant."""
    with pytest.raises(PluginError, match="did you mean 'echo'"):
        make_subject(load_plugins(), "ehco")


def test_options_that_do_not_fit_are_told() -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match=r"the options: .*slots"):
        make_subject(load_plugins(), "echo", {"slots": 0})


def test_checks_have_names_of_their_own() -> None:
    """And each says in a sentence what it proves."""
    checks = all_checks()
    assert len({one.name for one in checks}) == len(checks)
    assert all(one.proves.endswith(".") for one in checks)
    assert [one.level for one in checks] == sorted(one.level for one in checks)
