"""Both sides of the control socket ask each other, and nobody waits for one who is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hoonify_router.errors import (
    InvalidValue,
    ModelUnavailable,
    NotFound,
    RouterError,
    TotalTimeout,
)
from hoonify_router.supervisor.client import SupervisorClient
from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.supervisor.control import ControlServer


class Table:
    """A table with one command that says who asked, one that waits and one that refuses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.commands = Commands()
        self.commands.add("who", self.who)
        self.commands.add("wait", self.wait, patience=None)
        self.commands.add("refuse", self.refuse)

    async def who(self, arguments: NoArguments, asker: Asker) -> list[str]:
        asker.tell("looking")
        return [self.name, asker.who]

    async def wait(self, arguments: NoArguments, asker: Asker) -> str:
        self.began.set()
        await self.go_on.wait()
        return "waited"

    async def refuse(self, arguments: NoArguments, asker: Asker) -> None:
        raise InvalidValue("Not that one.", param="name", retry_after=3)


async def _nobody(home_id: str) -> Any:
    raise AssertionError


@pytest.fixture
async def table() -> Table:
    return Table("supervisor")


@pytest.fixture
async def server(runtime_dir: Path, table: Table) -> AsyncIterator[ControlServer]:
    made = ControlServer(_nobody, list, lambda count: None, table.commands)
    await made.listen(runtime_dir / "supervisor.sock")
    yield made
    await made.close()


@pytest.fixture
async def client(server: ControlServer, runtime_dir: Path) -> AsyncIterator[SupervisorClient]:
    made = SupervisorClient(runtime_dir / "supervisor.sock", lambda table: None, role="cli")
    await made.connect()
    yield made
    made.close()


async def test_a_client_asks_and_is_answered(client: SupervisorClient) -> None:
    """With the lines that come meanwhile."""
    lines: list[str] = []
    told = await client.ask("who", who="user ada", tell=lines.append)
    assert (told, lines) == (["supervisor", "user ada"], ["looking"])


async def test_a_refusal_comes_as_the_error_that_it_is(client: SupervisorClient) -> None:
    """With everything that an answer over HTTP needs."""
    with pytest.raises(InvalidValue, match="Not that one") as caught:
        await client.ask("refuse")
    assert (caught.value.param, caught.value.retry_after) == ("name", 3)
    with pytest.raises(NotFound, match="no command 'dance'"):
        await client.ask("dance")


async def test_answers_may_come_in_any_order(client: SupervisorClient, table: Table) -> None:
    """A long command holds up no other."""
    waiting = asyncio.create_task(client.ask("wait"))
    await table.began.wait()
    assert await client.ask("who") == ["supervisor", ""]
    table.go_on.set()
    assert await waiting == "waited"


async def test_a_client_may_lose_its_patience(client: SupervisorClient, table: Table) -> None:
    """The late answer disturbs nobody."""
    with pytest.raises(TotalTimeout, match="No answer to 'wait'"):
        await client.ask("wait", patience=0.01)
    table.go_on.set()
    assert await client.ask("who") == ["supervisor", ""]


async def test_nobody_waits_for_a_supervisor_that_is_gone(
    client: SupervisorClient, server: ControlServer, table: Table
) -> None:
    """Neither who asked before, nor who asks after."""
    waiting = asyncio.create_task(client.ask("wait"))
    await table.began.wait()
    await server.close()
    async with asyncio.timeout(10):
        with pytest.raises(RouterError, match=r"cannot be reached|broken off"):
            await waiting
        while client.connected:  # noqa: ASYNC110 - its end cannot be awaited
            await asyncio.sleep(0.005)
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await client.ask("who")


async def test_all_gateways_are_asked_and_who_does_not_answer_is_left_out(
    server: ControlServer, client: SupervisorClient, runtime_dir: Path
) -> None:
    """A command line is no gateway; a gateway that fails costs its own answer only."""
    tables = [Table("first"), Table("second")]
    tables[1].commands.add("odd", tables[1].who)
    gateways = [
        SupervisorClient(
            runtime_dir / "supervisor.sock", lambda table: None, commands=table.commands
        )
        for table in tables
    ]
    for gateway in gateways:
        await gateway.connect()
    assert sorted(await server.ask_gateways("who")) == [["first", ""], ["second", ""]]
    assert await server.ask_gateways("odd") == [["second", ""]]
    for gateway in gateways:
        gateway.close()


async def test_a_flood_of_questions_is_refused(client: SupervisorClient, table: Table) -> None:
    """And memory stays bounded; the next question is welcome again."""
    waiting = [asyncio.create_task(client.ask("wait")) for _ in range(200)]
    done, still = await asyncio.wait(waiting, timeout=0.5)
    assert len(still) == 64
    assert {str(task.exception()) for task in done} == {"Too much is asked at once."}
    table.go_on.set()
    assert [await task for task in still] == ["waited"] * 64
    assert await client.ask("who") == ["supervisor", ""]


async def test_arguments_have_a_limit(client: SupervisorClient) -> None:
    """They are a name or two."""
    with pytest.raises(Exception, match="Too much"):
        await client.ask("who", {"x": "y" * 300_000})
