"""Usage over HTTP: a key sees its own, an admin everybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoonify_plugins.usage.record import UsageRecord
from hoonify_plugins.usage.routes import UsageReport
from hoonify_plugins.usage.store import UsageStore
from hoonify_router.api import Principal, RequestContext
from hoonify_router.errors import InvalidValue, ModelUnavailable, UnknownParameter

NOON = 1_800_000_000.0


def record(at: float, key: str, owner: str = "") -> UsageRecord:
    """Return a record of a request of this key."""
    return UsageRecord(
        "req", at, key, owner, "m", "", "chat", 200, "", "stop", False, 3, 4, 0, 0, 0.5, None, 1.0
    )


@pytest.fixture
def report(tmp_path: Path) -> UsageReport:
    """What answers, with three records behind it."""
    url = f"sqlite:///{tmp_path}/hoonify.db"
    store = UsageStore(url)
    records = [record(NOON, "key_1"), record(NOON + 86400, "key_1"), record(NOON, "key_2")]
    store.add(records)
    store.close()
    return UsageReport(lambda: UsageStore(url))


def asked(key: str = "key_1") -> RequestContext:
    """Return a request of this key."""
    return RequestContext("req-1", "GET", "/v1/usage", {}, "", 0.0, principal=Principal(key))


async def test_a_key_sees_its_own(report: UsageReport) -> None:
    """And cannot ask for another's."""
    told = (await report.own(asked(), {})).content
    assert told["by"] == "model"
    assert [(row["model"], row["requests"], row["price"]) for row in told["data"]] == [
        ("m", 2, 1.0)
    ]
    assert (await report.own(asked("key_3"), {})).content["data"] == []
    with pytest.raises(UnknownParameter) as caught:
        await report.own(asked(), {"key": "key_2"})
    assert caught.value.param == "key"
    with pytest.raises(InvalidValue):
        await report.own(asked(), {"by": "key"})


async def test_a_key_for_reading_sees_all_of_its_owner_s(tmp_path: Path) -> None:
    """Of whichever key; one without an owner sees its own only, and so does one without the scope."""
    url = f"sqlite:///{tmp_path}/hoonify.db"
    store = UsageStore(url)
    records = [
        record(NOON, "key_1", "ada"),
        record(NOON, "key_2", "ada"),
        record(NOON, "key_3", "bob"),
    ]
    store.add(records)
    store.close()
    report = UsageReport(lambda: UsageStore(url))
    ctx = asked("key_9")
    assert ctx.principal is not None
    ctx.principal.scopes, ctx.principal.owner = frozenset({"usage:read"}), "ada"
    told = (await report.own(ctx, {"by": "key"})).content
    assert [(row["key"], row["requests"]) for row in told["data"]] == [("key_1", 1), ("key_2", 1)]
    assert (await report.own(ctx, {"key": "key_3"})).content["data"] == []
    ctx.principal.owner = ""
    assert (await report.own(ctx, {})).content["data"] == []
    ctx.principal.owner, ctx.principal.scopes = "ada", frozenset({"inference"})
    assert (await report.own(ctx, {})).content["data"] == []


async def test_an_admin_sees_all(report: UsageReport) -> None:
    """By key, or of one key, of a time."""
    told = (await report.all(asked(), {"by": "key"})).content
    assert [(row["key"], row["requests"]) for row in told["data"]] == [("key_1", 2), ("key_2", 1)]
    told = (await report.all(asked(), {"by": "day", "key": "key_1", "since": "2027-01-16"})).content
    assert [(row["day"], row["requests"]) for row in told["data"]] == [("2027-01-16", 1)]


async def test_a_time_that_is_none(report: UsageReport) -> None:
    """The field is named."""
    with pytest.raises(InvalidValue, match="2026-11-01") as caught:
        await report.own(asked(), {"until": "soon"})
    assert caught.value.param == "until"


async def test_a_database_that_is_away() -> None:
    """503, and a time after which it is worth another try."""
    report = UsageReport(lambda: UsageStore("sqlite:////dev/null/x.db"))
    with pytest.raises(ModelUnavailable) as caught:
        await report.own(asked(), {})
    assert "null" not in caught.value.message
