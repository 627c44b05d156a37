"""The console: what admins see of the whole router, and what they have it do."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from hoonify_plugins.api_keys.record import KeyRecord, new_key
from hoonify_plugins.pages.deeds import deeds_for
from hoonify_router.errors import InvalidRequest, ModelUnavailable, NotFound, RouterError
from hoonify_router.types.status import (
    ErrorSnapshot,
    GpuSnapshot,
    HomeSnapshot,
    LoadStage,
    ModelSnapshot,
    Snapshot,
    Traffic,
)

from .doors import Answer, Browser, OpenPages
from .signed_in import CSRF, Place, knock, open_up

GIB = 1024**3


def snapshot(*homes: HomeSnapshot, **more: Any) -> Any:
    """Return what the supervisor tells."""
    told = Snapshot(
        version="1",
        at=0,
        config="router.yaml",
        address="http://x",
        generation=7,
        uptime=60,
        gateways=1,
        gateways_heard=1,
        models=[ModelSnapshot(id=one.id, state=one.state, homes=[one]) for one in homes],
        **more,
    )
    return msgspec.to_builtins(told)


READY = HomeSnapshot(id="tiny", backend="echo", state="ready", in_flight=3, memory_bytes=2 * GIB)


class Supervisor:
    """Stands for the supervisor: tells what it was told to tell, and remembers what was asked."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {"status": snapshot(READY)}
        self.asked: list[tuple[str, Mapping[str, Any], str]] = []

    async def ask(self, command: str, arguments: Mapping[str, Any], who: str) -> Any:
        if command not in ("status", "plan", "history"):
            self.asked.append((command, arguments, who))
        told = self.told.get(command, NotFound(f"no {command}"))
        if isinstance(told, RouterError):
            raise told
        return told


class Scene:
    """An admin at the console.

    Args:
        supervisor: What is behind it.
        browser: The admin's.
        record: The admin's key.
    """

    def __init__(self, supervisor: Supervisor, browser: Browser, record: KeyRecord) -> None:
        self.supervisor = supervisor
        self.browser = browser
        self.record = record

    async def page(self) -> str:
        return (await self.browser.get("/console")).text

    async def do(self, deed: str, name: str = "") -> Answer:
        """Confirm a deed."""
        page = (await self.browser.get(f"/console/deed?deed={deed}&name={name}")).text
        form = {"csrf": CSRF.findall(page)[0], "deed": deed, "name": name}
        return await self.browser.post("/console/deed", form)


@pytest.fixture
async def scene(place: Place, open_pages: OpenPages) -> Scene:
    """An admin who has signed in."""
    record, key = new_key("root", "open", scopes=("admin",))
    place.keys.add(record)
    supervisor = Supervisor()
    browser = await open_up(place, open_pages, ask=supervisor.ask)
    await knock(browser, key)
    return Scene(supervisor, browser, record)


async def test_only_admins_see_it(scene: Scene, place: Place) -> None:
    """Nobody else reads it, watches it or does anything there."""
    record, key = new_key("ada", "free")
    place.keys.add(record)
    browser = Browser(scene.browser.port)
    for path in ("/console", "/console/events", "/console/deed?deed=reload"):
        assert (await browser.get(path)).headers["location"] == "/dashboard/sign-in"
    await knock(browser, key)
    for path in ("/console", "/console/events", "/console/deed?deed=reload"):
        assert (await browser.get(path)).status == 403
    csrf = CSRF.findall((await browser.get("/dashboard")).text)[0]
    assert (await browser.post("/console/deed", {"csrf": csrf, "deed": "reload"})).status == 403
    assert not scene.supervisor.asked


async def test_it_shows_how_everything_does(scene: Scene) -> None:
    """Homes with load and speed, GPUs, the last errors, notes."""
    loading = LoadStage(stage="reading weights", done=3, total=4)
    scene.supervisor.told["status"] = snapshot(
        READY,
        HomeSnapshot(id="big", backend="sglang", state="loading", loading=loading),
        HomeSnapshot(id="bad", backend="sglang", state="failed", detail="out of memory at layer 3"),
        gpus=[
            GpuSnapshot(
                index=0, name="H200", memory_used_bytes=70 * GIB, memory_total_bytes=141 * GIB
            )
        ],
        errors=[ErrorSnapshot(at=0, home="bad", kind="EngineDead", what="It died.")],
        notes=["Somebody should look."],
        traffic=Traffic(requests=12, tokens_per_second=345, ttft_p50=0.04, itl_p50=0.012),
        in_flight=3,
    )
    page = await scene.page()
    for told in ("2.0 GiB", "loading 75%", "out of memory at layer 3", "H200", "141.0 GiB"):
        assert told in page
    for told in ("EngineDead", "It died.", "Somebody should look.", "345", "40 ms", "12 ms"):
        assert told in page


async def test_names_and_reasons_are_text(scene: Scene) -> None:
    """On the page and in what is sent later."""
    nasty = "<img src=x onerror=alert(1)>"
    scene.supervisor.told["status"] = snapshot(
        HomeSnapshot(id=nasty, backend=nasty, state="failed", detail=nasty), notes=[nasty]
    )
    scene.supervisor.told["plan"] = {"changes": [nasty], "problems": [nasty]}
    page = await scene.page()
    assert nasty not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


async def test_it_says_when_the_supervisor_is_away(scene: Scene) -> None:
    """Instead of old numbers."""
    scene.supervisor.told["status"] = ModelUnavailable("gone")
    assert "supervisor cannot be reached" in await scene.page()


async def test_it_tells_what_a_reload_would_change(scene: Scene) -> None:
    """When the file differs from what is served."""
    assert "The file differs" not in await scene.page()
    change = "tiny: from echo to sglang"
    scene.supervisor.told["plan"] = {"changes": [change], "problems": [], "digest": "d1"}
    scene.supervisor.told["apply"] = {"result": "applied", "generation": 8, "changes": [change]}

    for _ in range(300):  # a plan is good for some seconds
        if change in await scene.page():
            break
        await asyncio.sleep(0.2)
    page = (await scene.browser.get("/console/deed?deed=reload")).text
    assert "Reload the configuration?" in page
    assert change in page


async def test_what_was_looked_at_is_applied_and_nothing_else(scene: Scene) -> None:
    """The router refuses when the file has changed since."""
    scene.supervisor.told["plan"] = {"changes": ["tiny: elsewhere"], "digest": "d1"}
    scene.supervisor.told["apply"] = {"result": "applied", "generation": 8}
    page = (await scene.browser.get("/console/deed?deed=reload")).text
    form = {"csrf": CSRF.findall(page)[0], "deed": "reload", "digest": "d1"}
    assert 'name="digest" value="d1"' in page
    await scene.browser.post("/console/deed", form)
    asked = ("apply", {"digest": "d1"}, f"key {scene.record.id}")
    assert scene.supervisor.asked == [asked]
    assert "applied; generation 8 serves" in await scene.page()


async def test_it_shows_the_history(scene: Scene) -> None:
    """Who changed what."""
    scene.supervisor.told["history"] = [
        {"number": 7, "at": 1e9, "trigger": "file", "changes": ["<b>tiny</b>: elsewhere"]}
    ]
    page = await scene.page()
    assert "2001-09-09" in page
    assert "&lt;b&gt;tiny&lt;/b&gt;: elsewhere" in page


async def test_nothing_is_done_before_it_is_confirmed(scene: Scene) -> None:
    """The question says what it means, and how many requests it is about."""
    page = (await scene.browser.get("/console/deed?deed=restart&name=tiny")).text
    assert "Restart tiny?" in page
    assert "3 requests under way" in page
    form = {"deed": "restart", "name": "tiny"}
    assert (await scene.browser.post("/console/deed", form)).status == 403
    assert not scene.supervisor.asked


@pytest.mark.parametrize("deed", ["start", "stop", "restart", "drain"])
async def test_a_deed_is_done_in_the_name_of_the_key(scene: Scene, deed: str) -> None:
    """The router's history tells who wanted it; the console tells what came of it."""
    scene.supervisor.told[deed] = [{"home": "tiny", "state": "ready", "done": True}]
    answer = await scene.do(deed, "tiny")
    assert answer.headers["location"] == "/console"
    assert scene.supervisor.asked == [(deed, {"name": "tiny"}, f"key {scene.record.id}")]
    assert re.search(rf"{deed}\w*ed ", await scene.page())


async def test_a_reload_that_is_refused_says_why(scene: Scene) -> None:
    """And what serves on."""
    scene.supervisor.told["reload"] = {
        "result": "refused",
        "generation": 7,
        "problems": ["router.yaml:3: no such backend"],
    }
    await scene.do("reload")
    page = await scene.page()
    assert "refused; generation 7 serves; router.yaml:3: no such backend" in page


@pytest.mark.parametrize(
    "told",
    [
        InvalidRequest("It runs on a server that is not ours."),
        [{"home": "tiny", "state": "ready", "done": False, "told": "It runs on a server that"}],
    ],
)
async def test_a_deed_that_does_not_work_says_so(scene: Scene, told: Any) -> None:
    """Whether it was refused, or came to nothing."""
    scene.supervisor.told["stop"] = told
    await scene.do("stop", "tiny")
    page = await scene.page()
    assert 'class="state bad"' in page
    assert "It runs on a server that" in page


@pytest.mark.parametrize("query", ["deed=stop&name=nobody", "deed=explode&name=tiny", ""])
async def test_what_cannot_be_done_is_not_asked_for(scene: Scene, query: str) -> None:
    """Homes and deeds that there are not."""
    assert (await scene.browser.get(f"/console/deed?{query}")).status == 404


async def test_changes_are_sent_as_they_come(scene: Scene) -> None:
    """Parts of the page, as the server makes them; only those that have changed."""
    cookies = "; ".join(f"{name}={value}" for name, value in scene.browser.cookies.items())

    def read() -> list[dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", scene.browser.port, timeout=60)
        connection.request("GET", "/console/events", headers={"cookie": cookies})
        answer = connection.getresponse()
        assert answer.getheader("content-type") == "text/event-stream"
        events: list[dict[str, str]] = []
        while len(events) < 2:
            line = answer.readline()
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
                scene.supervisor.told["status"] = snapshot(READY, in_flight=99)
        connection.close()
        return events

    first, second = await asyncio.to_thread(read)
    assert {"summary", "homes", "pending"} <= set(first)
    assert set(second) == {"summary"}
    assert "99" in second["summary"]


@pytest.mark.parametrize(
    ("home", "deeds"),
    [
        ({"state": "ready"}, ("drain", "restart", "stop")),
        ({"state": "ready", "held": True}, ("start", "stop")),
        ({"state": "stopped", "held": True}, ("start",)),
        ({"state": "failed"}, ("start", "stop")),
        ({"state": "unavailable"}, ()),
        ({"state": "something new"}, ()),
    ],
)
def test_buttons_fit_the_state(home: dict[str, Any], deeds: tuple[str, ...]) -> None:
    """Nobody is offered what makes no sense."""
    assert deeds_for(home) == deeds
