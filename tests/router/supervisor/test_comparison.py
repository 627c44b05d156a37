"""What a shadow's numbers come to, and how a supervisor treats a shadow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hoonify_router.errors import InvalidRequest, ModelNotFound, ModelUnavailable
from hoonify_router.supervisor.comparison import comparison_of, read_shadows, sum_of
from hoonify_router.types.comparison import Agreement, Comparison, ShadowTally, Side

from .conftest import Running, StartSupervisor

SHADOWED = """
server: {gpu_budget: 10GiB, gpu_turn: 0}
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
    shadow: {backend: echo, options: {SHADOW}, gpu_memory: 6GiB}
  big:
    provider: Nobody
    context_length: 4096
    backend: echo
    start: on_demand
    gpu_memory: 6GiB
"""


def yaml(shadow: str = "text: hi") -> str:
    return SHADOWED.replace("SHADOW", shadow)


def tally(
    compared: int = 0, exact: int = 0, prefix: float = 0.0, *, failed: int = 0, **more: Any
) -> ShadowTally:
    """Return a tally of greedy answers."""
    return ShadowTally(
        key="k",
        since=1.0,
        requests=compared + failed,
        repeatable=Agreement(compared=compared, exact=exact, prefix=prefix),
        shadow=Side(failed=failed, ttft={120: 1}, tokens=2, counted=1),
        errors={"EngineDead": failed} if failed else {},
        **more,
    )


def told(whole: ShadowTally | None, state: str = "ready", reason: str = "") -> Comparison:
    return comparison_of(
        "parrot", whole, share=0.1, state=state, reason=reason, backends=("echo", "other")
    )


@pytest.mark.parametrize(
    ("whole", "judgement", "said"),
    [
        (None, "unknown", "no request has come yet"),
        (tally(19, 19, 19.0), "unknown", "19 answers that should be equal"),
        (tally(100, 100, 100.0), "same", "As good: 100 % of 100"),
        (tally(1000, 999, 999.5), "same", "99.9 % of 1000"),
        (tally(100, 60, 80.0), "close", "Close: 60 % of 100"),
        (tally(100, 0, 10.0), "different", "Different: 0 % of 100"),
        (tally(100, 100, 100.0, failed=1), "same", "As good"),
        (tally(100, 100, 100.0, failed=9), "failing", "9 of 109 copies failed on other"),
        (tally(0, failed=5), "failing", "mostly EngineDead"),
        (tally(100, 100, 100.0, failed=9, home=Side(failed=8)), "same", "As good"),
        (
            tally(0, sampled=Agreement(compared=50)),
            "unknown",
            "the 50 sampled ones say nothing",
        ),
    ],
)
def test_a_verdict_is_a_sentence(whole: ShadowTally | None, judgement: str, said: str) -> None:
    """With the numbers that it rests on."""
    comparison = told(whole)
    assert (comparison.judgement, said in comparison.verdict) == (judgement, True), comparison


def test_a_shadow_that_is_away_is_why_there_is_no_verdict() -> None:
    """And the reason is told."""
    whole = ShadowTally(key="k", since=1.0, requests=9, away=9)
    assert "no copy yet (No GPU." not in told(whole, "failed", "No GPU.").verdict
    assert "no copy yet (No GPU)." in told(whole, "failed", "No GPU.").verdict


def test_speed_is_told_as_a_factor() -> None:
    """Where both sides have been timed."""
    whole = tally(100, 100, 100.0, home=Side(ttft={108: 1}))
    assert "its first token takes 2 times as long" in told(whole).verdict
    whole = tally(100, 100, 100.0, home=Side(ttft={120: 1}))
    assert "its first token takes about as long" in told(whole).verdict


def test_tallies_of_gateways_add_up() -> None:
    """Nonsense is left out; nothing of none is nothing."""
    whole = sum_of([tally(1, 1, 1.0), tally(2, 0, 0.5, failed=3)])
    assert whole is not None
    assert (whole.requests, whole.repeatable.compared, whole.repeatable.exact) == (6, 3, 1)
    assert (whole.repeatable.prefix, whole.shadow.ttft) == (1.5, {120: 2})
    assert whole.errors == {"EngineDead": 3}
    assert sum_of([]) is None
    assert read_shadows([{"parrot": 1}, 3, {}]) == [{}]


# ---------------------------------------------------------------- the supervisor


async def asked(running: Running, model: str = "parrot") -> Any:
    async with asyncio.timeout(60):
        return await running.client.ask("compare", {"model": model})


async def test_a_shadow_starts_when_it_is_asked_for_and_is_compared(
    supervise: StartSupervisor,
) -> None:
    """Its home does not wait for it."""
    running = await supervise(yaml())
    await running.until_state("ready")
    assert running.view("parrot/shadow").state == "stopped"
    assert running.view("parrot/shadow").shadow
    await running.client.ensure_ready("parrot/shadow")
    comparison = await asked(running)
    assert (comparison["state"], comparison["judgement"]) == ("ready", "unknown")
    assert comparison["share"] == 0.1


async def test_who_asks_for_what_is_not_there_is_told(supervise: StartSupervisor) -> None:
    """A model that is not, and one without a shadow."""
    running = await supervise(yaml())
    with pytest.raises(ModelNotFound, match="did you mean 'parrot'"):
        await asked(running, "parot")
    with pytest.raises(InvalidRequest, match="'big' has no shadow"):
        await asked(running, "big")


async def test_a_shadow_sends_nobody_away(supervise: StartSupervisor) -> None:
    """It is told that there is no room, and what serves goes on."""
    running = await supervise(yaml())
    await running.client.ensure_ready("big")
    with pytest.raises(ModelUnavailable, match="no GPU memory to spare"):
        await running.client.ensure_ready("parrot/shadow")
    assert running.view("big").state == "ready"


async def test_a_shadow_makes_way_at_once(supervise: StartSupervisor) -> None:
    """Whatever it is doing."""
    running = await supervise(yaml())
    await running.client.ensure_ready("parrot/shadow")
    await running.client.ensure_ready("big")
    assert running.view("parrot/shadow").state != "ready"


async def test_a_shadow_that_loads_makes_way_too(supervise: StartSupervisor) -> None:
    """Nobody waits for its load."""
    running = await supervise(yaml("load_delay: 300"))
    loading = asyncio.ensure_future(running.client.ensure_ready("parrot/shadow"))
    await running.until(lambda home: home.state == "loading", "parrot/shadow", 60)
    await running.client.ensure_ready("big")
    assert running.view("parrot/shadow").state != "ready"
    loading.cancel()


async def test_a_model_s_name_does_not_mean_its_shadow(supervise: StartSupervisor) -> None:
    """An operator who stops a model's homes, names the shadow besides."""
    running = await supervise(yaml())
    await running.until_state("ready")
    told = await running.client.ask("stop", {"name": "parrot"}, who="user ada")
    assert [each["home"] for each in told] == ["parrot"]
    told = await running.client.ask("stop", {"name": "parrot/shadow"}, who="user ada")
    assert [each["home"] for each in told] == ["parrot/shadow"]
