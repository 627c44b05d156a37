"""Copies of requests at a candidate home: what is compared, and what no client ever notices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.router.doubles import Play, home
from tests.router.reading import read_stream
from tests.router.scene import Scene, models

from hoonify_router.config.model import Config, ShadowConfig
from hoonify_router.errors import EngineDead, ModelUnavailable
from hoonify_router.shadow import LONGEST, common_prefix, is_repeatable, text_of
from hoonify_router.types import ChatRequest, HomeView, Message, RoutingTable
from hoonify_router.types.comparison import ShadowTally


def shadowed(**given: Any) -> Config:
    return models(parrot={"shadow": ShadowConfig(backend="echo", **{"share": 1.0, **given})})


def candidate(**more: Any) -> HomeView:
    return home(id="parrot/shadow", shadow=True, always=False, **more)


def scene(config: Config | None = None, shadow: HomeView | None = None, **acts: Any) -> Scene:
    """Return a model with a home and a shadow."""
    return Scene([home(), shadow or candidate()], config or shadowed(), **acts)


async def counted(scene: Scene) -> ShadowTally:
    """Return what was counted, once no copy is under way."""
    async with asyncio.timeout(30):
        while tasks := tuple(scene.gateway.mirror._tasks):
            await asyncio.wait(tasks)
    return scene.gateway.mirror.tallies()["parrot"]


async def begun(plays: list[Play], count: int) -> None:
    """Wait until so many copies have begun."""
    async with asyncio.timeout(30):
        while len(plays) < count:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_copy_is_compared_and_the_client_reads_the_home(stream: bool) -> None:
    """Whatever the form of the answer, its text is compared with that of the shadow."""
    stage = scene(parrot="hello there", parrot_shadow="hello you")
    wire, ctx = await stage.ask(stream=stream, temperature=0)
    tally = await counted(stage)
    assert stage.asked == ["parrot", "parrot/shadow"]
    assert b"hello there" in wire.body
    assert b"hello you" not in wire.body
    assert (tally.requests, tally.repeatable.compared, tally.repeatable.exact) == (1, 1, 0)
    assert tally.repeatable.prefix == pytest.approx(6 / 11)
    assert (tally.home.characters, tally.shadow.characters) == (11, 9)
    assert (tally.home.tokens, tally.shadow.tokens) == (1, 1)
    assert sum(tally.home.ttft.values()) == sum(tally.shadow.ttft.values()) == 1
    assert [call.home.id for call in ctx.calls] == ["parrot"]
    if stream:
        assert read_stream(wire.body, with_usage=False).error is None


async def test_equal_answers_are_counted_as_equal() -> None:
    """Greedy ones and sampled ones apart."""
    stage = scene()
    await stage.ask(temperature=0)
    await stage.ask(stream=True)
    tally = await counted(stage)
    assert (tally.repeatable.compared, tally.repeatable.exact) == (1, 1)
    assert (tally.sampled.compared, tally.sampled.exact, tally.sampled.prefix) == (1, 1, 1.0)


async def test_a_shadow_counts_for_nothing_else() -> None:
    """It is no place of the model's: not chosen, not in the tallies, not in the vitals, not missing."""
    stage = scene(parrot_shadow=EngineDead("boom"))
    for _ in range(7):
        wire, _ = await stage.ask()
        assert wire.status == 200
    tally = await counted(stage)
    gateway = stage.gateway
    assert tally.errors == {"EngineDead": 7}
    assert tally.shadow.failed == 7
    assert list(gateway.tallies()) == ["parrot"]
    assert [one.home.id for one in gateway.vitals().homes] == ["parrot"]
    assert gateway.catalog.missing() == []
    assert list(gateway.uses()) == ["parrot"]
    assert stage.places["parrot"].breaker.state == "closed"


async def test_a_shadow_never_answers_a_client() -> None:
    """Not even when the home is away."""
    stage = Scene([home(state="failed", address=""), candidate()], shadowed())
    wire, _ = await stage.ask()
    assert wire.status == 503
    assert stage.asked == []


async def test_what_the_home_fails_is_counted_and_not_copied() -> None:
    """There is nothing to compare with."""
    stage = scene(parrot=EngineDead("boom"))
    wire, _ = await stage.ask()
    tally = await counted(stage)
    assert wire.status == 503
    assert stage.asked == ["parrot"]
    assert (tally.home.failed, tally.shadow.failed) == (1, 0)


async def test_only_a_share_is_copied() -> None:
    """The draw decides."""
    draws = iter([0.09, 0.1, 0.5, 0.0])
    stage = scene(shadowed(share=0.1))
    stage.gateway.mirror._draw = lambda: next(draws)
    for _ in range(4):
        await stage.ask()
    tally = await counted(stage)
    assert tally.requests == 4
    assert tally.sampled.compared == 2


async def test_no_more_copies_than_allowed_are_under_way() -> None:
    """What comes meanwhile is served as ever, and counted; the client does not wait for the copy."""
    plays: list[Play] = []
    stage = scene(shadowed(concurrency=1), parrot_shadow=plays.append)
    await stage.ask()
    await stage.ask()
    await begun(plays, 1)
    await stage.ask()
    plays[0].say("hello")
    tally = await counted(stage)
    assert (tally.busy, tally.sampled.compared) == (2, 1)
    await stage.ask()
    await begun(plays, 2)
    await stage.gateway.mirror.close()
    assert plays[1].cancelled == 1
    assert stage.gateway.mirror._taken == {"parrot": 0}


async def test_a_shadow_that_sleeps_is_started_by_the_next_copy() -> None:
    """The request that does it is not compared; nobody waits."""
    woken: list[str] = []

    async def ensure_ready(name: str) -> HomeView:
        woken.append(name)
        return candidate()

    stage = scene(shadow=candidate(state="stopped", address=""))
    stage.gateway.catalog.ensure_ready = ensure_ready
    await stage.ask()
    await asyncio.sleep(0)
    assert woken == ["parrot/shadow"]
    assert (await counted(stage)).away == 1
    stage.gateway.on_table(RoutingTable(1, (home(), candidate())))
    await stage.ask()
    assert (await counted(stage)).sampled.compared == 1


async def test_a_copy_cut_by_the_shadow_s_leaving_is_no_failure_of_its() -> None:
    """It made way for a home, say."""
    stage = scene()

    def leave(play: Play) -> None:
        stage.gateway.on_table(RoutingTable(1, (home(), candidate(state="draining", address=""))))
        play.answer.fail(EngineDead("gone"))

    stage.acts["parrot/shadow"] = leave
    await stage.ask()
    tally = await counted(stage)
    assert (tally.away, tally.shadow.failed) == (1, 0)


async def test_counting_begins_anew_when_one_of_the_two_is_another() -> None:
    """A copy under way at the old one is not counted for the new one."""
    stage = scene()
    await stage.ask()
    assert (await counted(stage)).sampled.compared == 1
    stage.gateway.on_table(RoutingTable(2, (home(), candidate(uid="new"))))
    assert (await counted(stage)).sampled.compared == 0
    stage.gateway.on_table(RoutingTable(3, (home(uid="moved"), candidate(uid="new"))))
    await stage.ask()
    assert (await counted(stage)).requests == 1


async def test_a_shadow_that_is_removed_is_forgotten() -> None:
    """Requests go on."""
    stage = scene()
    await stage.ask()
    await counted(stage)
    stage.gateway.adopt(2, models())
    stage.gateway.on_table(RoutingTable(2, (home(),)))
    assert (await stage.ask())[0].status == 200
    assert stage.gateway.mirror.tallies() == {}


async def test_answers_of_any_length_reach_the_client() -> None:
    """One that is too long to be kept is not compared."""
    long = "x" * (LONGEST + 1)
    stage = scene(parrot=long)
    wire, _ = await stage.ask(stream=True)
    assert long.encode() in wire.body
    tally = await counted(stage)
    assert (tally.long, tally.sampled.compared) == (1, 0)
    assert stage.asked == ["parrot"]


async def test_a_shadow_that_cannot_be_spoken_to_has_failed() -> None:
    """The adapter says so."""

    async def refuse(play: Play) -> None:
        raise ModelUnavailable("no address")

    stage = scene(parrot_shadow=refuse)
    await stage.ask()
    assert (await counted(stage)).errors == {"ModelUnavailable": 1}


def test_a_text_is_thoughts_content_and_calls() -> None:
    """Of all choices, in their order, whole or in chunks."""
    whole = (
        b'{"choices":[{"index":1,"message":{"content":"b"}},{"index":0,"message":{"content":null,'
        b'"reasoning_content":"hm","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}}]}}]}'
    )
    chunks = [
        b'{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"h"}}]}',
        b'{"choices":[{"index":1,"delta":{"content":"b"}}]}',
        b'{"choices":[{"index":0,"delta":{"reasoning_content":"m"}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"c2","function":{"name":"f","arguments":"{"}}]}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"}"}}]}}]}',
        b'{"choices":[],"usage":null}',
    ]
    assert text_of([whole]) == text_of(chunks) == "hmf{}\nb"
    assert text_of([b'{"choices":[{"index":0,"text":"plain"}]}']) == "plain"


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [("", "", 1), ("a", "", 0), ("abcd", "abxd", 0.5), ("ab", "abcd", 0.5), ("abc", "abc", 1)],
)
def test_the_common_prefix_is_a_share_of_the_longer_text(
    one: str, other: str, share: float
) -> None:
    """Both ways round."""
    assert common_prefix(one, other) == common_prefix(other, one) == share


def test_a_seed_makes_answers_equal_on_the_same_backend_only() -> None:
    """Greedy answers should be equal everywhere."""

    def ask(**more: Any) -> ChatRequest:
        return ChatRequest("parrot", [Message("user", "hi")], **more)

    here, there = home(), home(backend="other")
    assert is_repeatable(ask(temperature=0.0), here, there)
    assert is_repeatable(ask(seed=1), here, here)
    assert not is_repeatable(ask(seed=1), here, there)
    assert not is_repeatable(ask(), here, here)
