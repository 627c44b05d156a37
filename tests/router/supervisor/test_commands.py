"""Whoever asks for a command gets an answer or an error, whatever the command does."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from hoonify_router.supervisor import commands as module
from hoonify_router.supervisor.commands import Asker, Commands, NoArguments
from hoonify_router.supervisor.messages import Ask, Refused, Told


class Greet(Struct, forbid_unknown_fields=True):
    """Whom."""

    name: str


async def greet(arguments: Greet, asker: Asker) -> dict[str, str]:
    asker.tell("clearing my throat")
    return {"said": f"hello {arguments.name}", "to": asker.who}


@pytest.fixture
def commands() -> Commands:
    made = Commands()
    made.add("greet", greet, Greet)
    return made


async def ask(commands: Commands, command: str, **arguments: Any) -> Any:
    """Return the answer's content, or the refusal."""
    answer = await commands.answer(Ask(7, command, arguments, "user ada"), lambda text: None)
    assert answer.call == 7
    return msgspec.msgpack.decode(answer.content) if isinstance(answer, Told) else answer


async def test_a_command_is_done_and_answered(commands: Commands) -> None:
    """It knows who asks, and may tell how it goes."""
    lines: list[str] = []
    answer = await commands.answer(Ask(1, "greet", {"name": "eve"}, "user ada"), lines.append)
    assert isinstance(answer, Told)
    assert msgspec.msgpack.decode(answer.content) == {"said": "hello eve", "to": "user ada"}
    assert lines == ["clearing my throat"]


@pytest.mark.parametrize(
    ("arguments", "message", "param"),
    [
        ({}, "Object missing required field `name`.", None),
        ({"name": 1}, "Expected `str`, got `int`.", "name"),
        ({"name": "a", "x": 1}, "Object contains unknown field `x`.", None),
    ],
)
async def test_wrong_arguments_are_refused_by_name(
    commands: Commands, arguments: dict[str, Any], message: str, param: str | None
) -> None:
    """Before the command hears of them."""
    assert await ask(commands, "greet", **arguments) == Refused(7, "InvalidValue", message, param)


async def test_an_unknown_command_is_refused(commands: Commands) -> None:
    """An older router does not know all that a newer command line does."""
    told = "The router has no command 'dance'."
    assert await ask(commands, "dance") == Refused(7, "NotFound", told)


async def test_a_bug_is_an_answer_without_secrets(
    commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has all of it."""

    async def broken(arguments: NoArguments, asker: Asker) -> None:
        raise KeyError("sk-0123456789abcdef")

    commands.add("broken", broken)
    told = "The command 'broken' failed: a bug, which the router's log tells more of. (KeyError)"
    assert await ask(commands, "broken") == Refused(7, "RouterError", told)
    assert "KeyError" in caplog.text


@pytest.mark.parametrize("content", [object(), {"x": object()}, 1 << 90])
async def test_an_answer_that_cannot_be_written_is_an_error(
    commands: Commands, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its caller does not wait for ever."""

    async def odd(arguments: NoArguments, asker: Asker) -> Any:
        return content

    commands.add("odd", odd)
    assert (await ask(commands, "odd")).kind == "RouterError"


async def test_an_answer_has_a_limit(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """So has its caller's memory."""
    monkeypatch.setattr(module, "MAX_CONTENT", 10)
    assert (await ask(commands, "greet", name="x" * 20)).message.endswith("is too large.")


async def test_a_command_that_never_ends_is_broken_off(commands: Commands) -> None:
    """Unless it is one that goes on."""
    ended: list[str] = []

    def waits(name: str) -> Any:
        async def wait(arguments: NoArguments, asker: Asker) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

        return wait

    commands.add("short", waits("short"), patience=0.01)
    commands.add("long", waits("long"), patience=0.01, goes_on=True)
    assert (await ask(commands, "long")).message.endswith("took longer than 0.01 s. It goes on.")
    assert (await ask(commands, "short")).kind == "TotalTimeout"
    await asyncio.sleep(0)
    assert ended == ["short"]
    await commands.close()
    assert ended == ["short", "long"]


async def test_a_command_ends_with_its_caller_unless_it_goes_on(commands: Commands) -> None:
    """A reload is not undone because a terminal was closed."""
    go_on = asyncio.Event()
    done = asyncio.Event()
    broken: list[str] = []

    async def finish(arguments: NoArguments, asker: Asker) -> None:
        await go_on.wait()
        done.set()

    async def look(arguments: NoArguments, asker: Asker) -> None:
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            broken.append("look")
            raise

    commands.add("finish", finish, goes_on=True)
    commands.add("look", look)
    asking = [asyncio.create_task(ask(commands, name)) for name in ("finish", "look")]
    await asyncio.sleep(0.01)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    await asyncio.sleep(0)
    assert broken == ["look"]
    go_on.set()
    async with asyncio.timeout(5):
        await done.wait()


async def test_a_command_that_cancels_itself_is_answered(commands: Commands) -> None:
    """A cancellation that nobody asked for is an error like any other."""

    async def gives_up(arguments: NoArguments, asker: Asker) -> None:
        raise asyncio.CancelledError

    commands.add("gives_up", gives_up)
    assert (await ask(commands, "gives_up")).message == "The command 'gives_up' was broken off."


async def test_only_so_many_run_at_once(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes too much is told so at once, and may come again."""
    monkeypatch.setattr(module, "AT_ONCE", 1)
    go_on = asyncio.Event()

    async def wait(arguments: NoArguments, asker: Asker) -> str:
        await go_on.wait()
        return "done"

    commands.add("wait", wait)
    first = asyncio.create_task(ask(commands, "wait"))
    await asyncio.sleep(0.01)
    assert (await ask(commands, "wait")).kind == "Overloaded"
    go_on.set()
    assert await first == "done"
    assert await ask(commands, "wait") == "done"


def test_a_name_is_given_once(commands: Commands) -> None:
    """Two parts of the router that want the same one are a bug."""
    with pytest.raises(ValueError, match="'greet' already"):
        commands.add("greet", greet, Greet)
