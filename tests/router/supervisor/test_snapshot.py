"""The status of the whole router out of its parts."""

from __future__ import annotations

import msgspec

from hoonify_router.supervisor.messages import HomeStatus
from hoonify_router.supervisor.snapshot import (
    ERRORS,
    describe_models,
    last_errors,
    read_tallies,
    whole,
)
from hoonify_router.types import Capabilities, Health, HomeView
from hoonify_router.types.status import ErrorSnapshot, HomeTally, LoadStage, Snapshot

ABLE = Capabilities(frozenset(), 4096, device="cuda:0", memory_bytes=5)


def home(name: str, state: str = "ready", **more: object) -> HomeStatus:
    model = name.partition("/")[0]
    return HomeStatus(HomeView(name, model, "echo", "worker", state, **more), pid=7)  # type: ignore[arg-type]


def test_models_come_in_the_order_of_the_file() -> None:
    """Also one without a home, and one that only the old configuration has."""
    homes = [home("b/0"), home("b/1", "loading"), home("old", "draining")]
    models = describe_models(["a", "b"], homes, [])
    assert [(m.id, m.state, len(m.homes)) for m in models] == [
        ("a", "stopped", 0),
        ("b", "ready", 2),
        ("old", "draining", 1),
    ]


def test_gateways_add_up_per_home_and_model() -> None:
    """A gateway that does not know a home yet counts nothing for it."""
    gateways = [
        {"b/0": HomeTally(in_flight=1, requests=60), "b/1": HomeTally(requests=6)},
        {"b/0": HomeTally(in_flight=2, breaker="open")},
    ]
    (model,) = describe_models(["b"], [home("b/0"), home("b/1")], gateways)
    assert [(h.in_flight, h.traffic.requests, h.breaker) for h in model.homes] == [
        (3, 60, "open"),
        (0, 6, "closed"),
    ]
    assert (model.in_flight, model.traffic.requests) == (3, 66)
    assert whole(gateways).requests == 66


def test_a_home_tells_all_that_is_known_of_it() -> None:
    """But of its output only the first line, and that without keys."""
    status = home(
        "b",
        "loading",
        reason="It is broken.",
        detail="no key sk-0123456789abcdef\nlast lines of its output:\nprompt: hi",
        progress=("weights", 3, 10),
        capabilities=ABLE,
        api_key="secret",
        retry_after=3.0,
    )
    status.health = Health(2, 1)
    (told,) = describe_models([], [status], [])[0].homes
    assert told.detail == "no key ..."
    assert told.loading == LoadStage(stage="weights", done=3, total=10)
    assert (told.device, told.memory_bytes, told.pid) == ("cuda:0", 5, 7)
    assert (told.running, told.queued, told.retry_after) == (2, 1, 3.0)
    assert b"secret" not in msgspec.json.encode(told)


def test_the_last_errors_of_all_come_newest_first() -> None:
    """So many, and no more."""

    def error(at: float) -> ErrorSnapshot:
        return ErrorSnapshot(at=at, home="b", kind="EngineDead", what="It died.")

    own = [error(float(at)) for at in range(30)]
    told = last_errors(own, [{"b": HomeTally(errors=[error(99.0), error(3.5)])}])
    assert [one.at for one in told[:2]] == [99.0, 29.0]
    assert len(told) == ERRORS


def test_what_gateways_say_is_read_from_the_wire() -> None:
    """What makes no sense is left out; a newer gateway may say more."""
    told = HomeTally(requests=1, ttft={5: 1, 300: 2})
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode({"b": told}))
    plain["b"]["more"] = 1
    assert read_tallies([plain, None, {"b": 1}, {}]) == [{"b": told}, {}]


def test_a_snapshot_survives_json() -> None:
    """As scripts read it."""
    models = describe_models(["b"], [home("b", progress=("x", 1, 2))], [])
    status = Snapshot(
        version="1",
        at=1.0,
        config="x",
        address="y",
        generation=1,
        uptime=1.0,
        gateways=1,
        gateways_heard=1,
        models=models,
    )
    assert msgspec.json.decode(msgspec.json.encode(status), type=Snapshot) == status
