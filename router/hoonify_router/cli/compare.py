"""``hoonify-router compare``: is the candidate home as good as the one that serves?"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import msgspec

from hoonify_router.cli.output import show_json, show_table
from hoonify_router.cli.parser import BuiltIn, Installed
from hoonify_router.cli.running import find_router
from hoonify_router.cli.status_view import duration, pause
from hoonify_router.types.comparison import Comparison, TextsCompared

_PATIENCE = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model and ``--json``."""
    parser.add_argument("model", metavar="MODEL", help="a model that has a `shadow:`")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, installed: Installed) -> int:
    """Ask the running router."""
    router = find_router(arguments.config)
    told = router.ask("compare", {"model": arguments.model}, patience=_PATIENCE)
    if arguments.json:
        show_json(told)
        return 0
    comparison = msgspec.convert(told, Comparison)
    show_table(("", "home", "shadow"), list(rows(comparison)))
    for line in lines(comparison):
        print(line)
    return 0


COMMAND = BuiltIn(
    "compare",
    "Compare a model's candidate home with the one that serves.",
    add_arguments,
    run,
    description=(
        "Compare the answers of a model's `shadow:`, a candidate home that gets copies of some requests, with those that"
        " clients got: equal texts, lengths, time to first token and between tokens, errors, and a verdict in a sentence."
        " No text of a prompt or an answer is kept or shown."
    ),
)


def rows(told: Comparison) -> Iterator[tuple[str, str, str]]:
    """Yield what the two can be compared by."""
    home, shadow = told.home, told.shadow
    yield "backend", home.backend, shadow.backend
    yield "failed", str(home.failed), str(shadow.failed)
    yield "tokens of an answer", _number(home.mean_tokens), _number(shadow.mean_tokens)
    yield "characters", _number(home.mean_characters), _number(shadow.mean_characters)
    yield (
        "ttft p50/p99",
        _pair(home.ttft_p50, home.ttft_p99),
        _pair(shadow.ttft_p50, shadow.ttft_p99),
    )
    yield "itl p50/p99", _pair(home.itl_p50, home.itl_p99), _pair(shadow.itl_p50, shadow.itl_p99)


def lines(told: Comparison) -> Iterator[str]:
    """Yield what stands below the table, the verdict last."""
    since = ""
    if told.since is not None:
        since = f" in {duration(max(0.0, time.time() - told.since))}"
    yield (
        f"{told.requests} requests{since}, {told.share:.4g} of them to be copied;"
        f" {told.compared} pairs of answers compared"
    )
    yield from _agreement(
        "should be equal (greedy, or a seed on the same backend)", told.repeatable
    )
    yield from _agreement("sampled, so different by nature", told.sampled)
    if told.away or told.busy or told.long:
        yield (
            f"not compared: {told.away} because the shadow was not there, {told.busy} because as many"
            f" copies as may be were under way, {told.long} too long"
        )
    if told.errors:
        yield "errors: " + ", ".join(f"{count} {kind}" for kind, count in told.errors.items())
    if told.state != "ready":
        yield f"the shadow is {told.state}. {told.reason}".rstrip()
    yield told.verdict


def _agreement(what: str, texts: TextsCompared) -> Iterator[str]:
    if texts.exact is not None and texts.common_prefix is not None:
        yield (
            f"{texts.compared} {what}: {texts.exact:.1%} equal, the first"
            f" {texts.common_prefix:.1%} the same on average"
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _pair(median: float | None, slow: float | None) -> str:
    return "" if median is None or slow is None else f"{pause(median)} / {pause(slow)}"
