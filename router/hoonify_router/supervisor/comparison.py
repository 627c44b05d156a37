"""A model's shadow beside its homes: the sums of what gateways have counted, and what they come to."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from hoonify_router.config import ModelConfig
from hoonify_router.errors import InvalidRequest, ModelNotFound
from hoonify_router.supervisor.commands import Asker, Commands
from hoonify_router.supervisor.control import ControlServer
from hoonify_router.supervisor.home import Home
from hoonify_router.tally import percentile
from hoonify_router.types.comparison import (
    Agreement,
    Comparison,
    Judgement,
    ShadowTally,
    Side,
    SideCompared,
    TextsCompared,
    key_of,
)

_Name = TypeVar("_Name", int, str)

ENOUGH = 20
"""Pairs of answers that a verdict needs."""

_FAILING = 0.01
_SAME = 0.98
_CLOSE = 0.7


class OfModel(Struct, forbid_unknown_fields=True):
    """Which model is meant."""

    model: str


class ComparisonDesk:
    """Answers who asks for a comparison.

    Args:
        control: Asks the gateways what they have counted.
        models: Returns the catalog of the configuration in force.
        homes: Returns the homes of the table.
    """

    def __init__(
        self,
        control: ControlServer,
        models: Callable[[], Mapping[str, ModelConfig]],
        homes: Callable[[], Iterable[Home]],
    ) -> None:
        self._control = control
        self._models = models
        self._homes = homes

    def add_to(self, commands: Commands) -> None:
        """Add the command."""
        commands.add("compare", self.compare, OfModel)

    async def compare(self, arguments: OfModel, asker: Asker) -> Comparison:
        """Return how the shadow of a model compares.

        Raises:
            ModelNotFound: There is no such model.
            InvalidRequest: It has no shadow.
        """
        name, models = arguments.model, self._models()
        config = models.get(name)
        if config is None:
            close = difflib.get_close_matches(name, models, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ModelNotFound(f"There is no model '{name[:200]}'{hint}", param="model")
        its = [home for home in self._homes() if home.plan.model == name]
        shadow = next((home for home in its if home.plan.shadow), None)
        if config.shadow is None or shadow is None:
            told = f"'{name}' has no shadow: give it one with `shadow: {{backend: NAME}}`"
            raise InvalidRequest(told, param="model")
        homes = [home for home in its if home is not shadow]
        key = key_of(shadow.key, [home.key for home in homes])
        told_by_all = await self._control.ask_gateways("shadows")
        tallies = [one[name] for one in read_shadows(told_by_all) if name in one]
        tally = sum_of(one for one in tallies if one.key == key)
        view = shadow.view
        return comparison_of(
            name,
            tally,
            share=config.shadow.share,
            state=view.state,
            reason=f"{view.reason} {view.detail.partition(chr(10))[0]}".strip(),
            backends=(
                " + ".join(dict.fromkeys(home.plan.backend.name for home in homes)),
                shadow.plan.backend.name,
            ),
        )


def read_shadows(told: Iterable[object]) -> list[dict[str, ShadowTally]]:
    """Return what gateways have answered; what makes no sense is left out."""
    read = []
    for each in told:
        try:
            read.append(msgspec.convert(each, dict[str, ShadowTally], str_keys=True))
        except msgspec.ValidationError:
            continue
    return read


def sum_of(tallies: Iterable[ShadowTally]) -> ShadowTally | None:
    """Return the sum of tallies of the same key; ``None`` where there is none."""
    whole: ShadowTally | None = None
    for one in tallies:
        if whole is None:
            whole = ShadowTally(key=one.key, since=one.since)
        whole.since = min(whole.since, one.since)
        whole.requests += one.requests
        whole.busy += one.busy
        whole.away += one.away
        whole.long += one.long
        _add(whole.errors, one.errors)
        for mine, other in ((whole.repeatable, one.repeatable), (whole.sampled, one.sampled)):
            mine.compared += other.compared
            mine.exact += other.exact
            mine.prefix += other.prefix
        for its, more in ((whole.home, one.home), (whole.shadow, one.shadow)):
            its.failed += more.failed
            its.tokens += more.tokens
            its.counted += more.counted
            its.characters += more.characters
            _add(its.ttft, more.ttft)
            _add(its.itl, more.itl)
    return whole


def comparison_of(
    model: str,
    tally: ShadowTally | None,
    *,
    share: float,
    state: str,
    reason: str,
    backends: Sequence[str],
) -> Comparison:
    """Return the comparison that a tally comes to, with its verdict.

    Args:
        model: Catalog ID.
        tally: Of all gateways; ``None`` where nothing was counted.
        share: Of requests that are copied.
        state: Of the shadow.
        reason: Why it does not serve.
        backends: Of the homes, and of the shadow.
    """
    whole = tally or ShadowTally(key="", since=0.0)
    compared = whole.repeatable.compared + whole.sampled.compared
    told = Comparison(
        model=model,
        state=state,
        reason=reason,
        since=None if tally is None else tally.since,
        share=share,
        requests=whole.requests,
        compared=compared,
        busy=whole.busy,
        away=whole.away,
        long=whole.long,
        errors=whole.errors,
        repeatable=_texts(whole.repeatable),
        sampled=_texts(whole.sampled),
        home=_side(whole.home, backends[0], compared),
        shadow=_side(whole.shadow, backends[1], compared),
        judgement="unknown",
        verdict="",
    )
    told.judgement, told.verdict = judge(told)
    return told


def judge(told: Comparison) -> tuple[Judgement, str]:
    """Return what a comparison comes to, in a word and in a sentence."""
    home, shadow, texts = told.home, told.shadow, told.repeatable
    copies = told.compared + shadow.failed
    if not copies:
        why = "the shadow has answered no copy yet"
        if told.reason:
            why = f"{why} ({told.reason.rstrip('.')})"
        elif not told.requests:
            why = "no request has come yet"
        return "unknown", f"No verdict yet: {why}."
    # As many requests failed at homes, of about as many: a shadow is no worse for that.
    if shadow.failed > max(1.0, copies * _FAILING, 2.0 * home.failed):
        worst = max(told.errors, key=lambda kind: told.errors[kind], default="")
        return "failing", (
            f"Not ready: {shadow.failed} of {copies} copies failed on {shadow.backend}"
            f" (mostly {worst}), while {home.failed} failed on {home.backend}."
        )
    if texts.compared < ENOUGH or texts.exact is None or texts.common_prefix is None:
        more = ""
        if told.sampled.compared:
            more = (
                f"; the {told.sampled.compared} sampled ones say nothing of this,"
                " for they differ by nature"
            )
        return "unknown", (
            f"No verdict yet: {texts.compared} answers that should be equal were compared,"
            f" {ENOUGH} are needed{more}."
        )
    numbers = (
        f"{_percent(texts.exact)} of {texts.compared} answers are equal, and on average the first"
        f" {_percent(texts.common_prefix)} of an answer; {_pace(told)}"
    )
    if texts.exact >= _SAME:
        return "same", f"As good: {numbers}."
    if texts.common_prefix >= _CLOSE:
        return "close", f"Close: {numbers}. Look at what differs before you move."
    return "different", f"Different: {numbers}. Do not move without a look at quality."


def _pace(told: Comparison) -> str:
    """Return how fast the shadow is beside the homes."""
    parts = []
    for name, theirs, own in (
        ("first token", told.home.ttft_p50, told.shadow.ttft_p50),
        ("pause between tokens", told.home.itl_p50, told.shadow.itl_p50),
    ):
        if theirs and own:
            times = own / theirs
            parts.append(
                f"its {name} takes {times:.2g} times as long"
                if not 0.9 <= times <= 1.1
                else f"its {name} takes about as long"
            )
    return " and ".join(parts) or "of its speed nothing is known"


def _texts(agreement: Agreement) -> TextsCompared:
    count = agreement.compared
    return TextsCompared(
        compared=count,
        exact=round(agreement.exact / count, 4) if count else None,
        common_prefix=round(agreement.prefix / count, 4) if count else None,
    )


def _side(side: Side, backend: str, compared: int) -> SideCompared:
    return SideCompared(
        backend=backend,
        failed=side.failed,
        mean_tokens=round(side.tokens / side.counted, 1) if side.counted else None,
        mean_characters=round(side.characters / compared, 1) if compared else None,
        ttft_p50=percentile(side.ttft, 0.5),
        ttft_p99=percentile(side.ttft, 0.99),
        itl_p50=percentile(side.itl, 0.5),
        itl_p99=percentile(side.itl, 0.99),
    )


def _percent(share: float) -> str:
    """Return a share as people say it; only what is whole is 100 %."""
    return f"{int(share * 1000) / 10:g} %"


def _add(whole: dict[_Name, int], part: Mapping[_Name, int]) -> None:
    for name, count in part.items():
        whole[name] = whole.get(name, 0) + count
