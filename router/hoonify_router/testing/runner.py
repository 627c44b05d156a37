"""Run checks on a bench, one after the other, whatever they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from hoonify_router.errors import ConfigError
from hoonify_router.testing.bench import Bench
from hoonify_router.testing.records import Check, Level, NotApplicable, Unmet
from hoonify_router.testing.report import Report, Result, new_report
from hoonify_router.testing.subject import Subject

OnResult = Callable[[Result], object]


def check_overrides(overrides: Mapping[str, str], checks: Iterable[Check]) -> None:
    """Refuse an override of what there is not, and one without a reason.

    Raises:
        ConfigError: With a line for each.
    """
    names = {check.name for check in checks}
    problems = [
        f"override {name!r}: there is no such check" for name in overrides if name not in names
    ]
    problems += [
        f"override {name!r}: write down the reason"
        for name, why in overrides.items()
        if not why.strip()
    ]
    if problems:
        raise ConfigError(problems)


async def run_check(check: Check, bench: Bench, overrides: Mapping[str, str]) -> Result:
    """Run one check and return what came of it."""
    began = time.monotonic()
    status, told = await _outcome(check, bench)
    bench.hang_up()
    if (reason := overrides.get(check.name)) is not None:
        if status == "failed":
            status, told = "waived", f"{reason} (it says: {told})"
        elif status == "passed":
            told = f"passes: it needs no override any more ({reason})"
    seconds = round(time.monotonic() - began, 2)
    return Result(check.name, int(check.level), check.proves, status, told, seconds)


async def _outcome(check: Check, bench: Bench) -> tuple[str, str]:
    subject = bench.subject
    if check.kind not in (None, subject.backend.kind):
        return "skipped", f"it is for a {check.kind}"
    if check.level > Level.SCHEMA:
        if (why := subject.why_unavailable()) is not None:
            return "skipped", f"it cannot run here: {why.reason} {why.detail}".strip()
        if bench.dead and not bench.told_dead:
            bench.told_dead = True
            return "failed", bench.dead
        if bench.dead:
            return "skipped", "it does not start"
    limit = 1.5 * bench.patience
    try:
        async with asyncio.timeout(limit):
            if check.task is not None and not await bench.does(check.task):
                return "skipped", f"it does no {check.task}"
            for name in check.needs:
                if await bench.supports(name) is False:
                    return "skipped", f"it does not honour {name}"
            await check.run(bench)
    except NotApplicable as why_not:
        return "skipped", str(why_not)
    except Unmet as fault:
        bench.told_dead = bench.told_dead or bool(bench.dead)
        return "failed", str(fault)
    except TimeoutError:
        return "failed", f"it hangs: there is no end after {limit:g} s{bench.last_words}"
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}{bench.last_words}"
    return "passed", ""


async def run_conformance(
    subject: Subject,
    checks: Iterable[Check],
    *,
    level: int = Level.ABUSE,
    patience: float = 60.0,
    overrides: Mapping[str, str] | None = None,
    on_result: OnResult = lambda result: None,
) -> Report:
    """Put a home to the test and return the report.

    Args:
        subject: The home.
        checks: What to run.
        level: The highest level to go to.
        patience: Seconds that a thing may take that is not said to be quick.
        overrides: Checks that may fail, each with the reason.
        on_result: Hears each result as it comes.

    Raises:
        ConfigError: An override names no check, or has no reason.
    """
    chosen = [check for check in checks if check.level <= level]
    excused = dict(overrides or {})
    check_overrides(excused, chosen)
    report = new_report(subject, int(level))
    bench = Bench(subject, patience=patience)
    began = time.monotonic()
    try:
        for check in chosen:
            result = await run_check(check, bench, excused)
            report.results.append(result)
            on_result(result)
            if bench.capabilities is not None:
                report.device = bench.capabilities.device
    finally:
        await bench.close()
    report.seconds = round(time.monotonic() - began, 1)
    return report
