"""Level 3: clients that leave, floods, readers that are slow, processes that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path
from typing import Any

from hoonify_router.testing.bench import Bench
from hoonify_router.testing.client import Answer
from hoonify_router.testing.homes import WorkerProcess
from hoonify_router.testing.records import Level, NotApplicable, check, require
from hoonify_router.testing.sink import Sink

DISCONNECTS = 100
AT_ONCE = 10
FLOOD = 64
_BUSY = (429, 503)


async def _clean(bench: Bench, after: str) -> None:
    """Check that a plain request is answered and nothing is left over."""
    try:
        await bench.settle()
    except Exception as fault:
        require(False, f"after {after}: {fault}")


@check(Level.ABUSE, task="chat")
async def survives_leaving_before_the_head(bench: Bench) -> None:
    """A client that leaves before its answer begins costs no slot."""
    pending = await bench.pend(await bench.long_body(stream=True))
    await asyncio.sleep(0.01)
    pending.leave()
    await _clean(bench, "a client that left before the first token")


@check(Level.ABUSE, task="chat")
async def survives_leaving_in_mid_stream(bench: Bench) -> None:
    """A client that leaves in mid-stream costs no slot."""
    stream = await bench.open(await bench.long_body(stream=True))
    await stream.first()
    stream.leave()
    await _clean(bench, "a client that left in mid-stream")


@check(Level.ABUSE, task="chat")
async def survives_leaving_a_whole_answer(bench: Bench) -> None:
    """A client that leaves while it waits for an answer in one piece costs no slot."""
    pending = await bench.pend(await bench.long_body())
    await asyncio.sleep(0.1)
    pending.leave()
    await _clean(bench, "a client that left before its answer in one piece")


@check(Level.ABUSE, task="chat")
async def survives_leaving_the_queue(bench: Bench) -> None:
    """Clients that leave while they wait for a slot cost nothing."""
    many = min(await bench.slots() or 8, 32) + 4
    body = await bench.long_body(stream=True)
    waiting = [await bench.pend(body) for _ in range(many)]
    await asyncio.sleep(0.05)
    for one in reversed(waiting):
        one.leave()
    await _clean(bench, f"{many} clients that left, some of them in the queue")


@check(Level.ABUSE, task="chat")
async def survives_a_hundred_disconnects(bench: Bench) -> None:
    """After a hundred clients that left at any moment, a clean request is answered."""
    dice = random.Random(8)
    body = await bench.long_body(stream=True)
    whole = await bench.long_body()

    async def visit(number: int) -> None:
        moment = dice.choice(("at once", "soon", "first", "later"))
        pending = await bench.pend(whole if number % 5 == 0 else body)
        try:
            if moment == "soon":
                await asyncio.sleep(dice.random() * 0.05)
            elif moment != "at once" and number % 5:
                stream = await pending.head()
                for _ in range(1 if moment == "first" else 4):
                    if not stream.streams or await stream.first() is None:
                        break
        finally:
            pending.leave()

    for start in range(0, DISCONNECTS, AT_ONCE):
        await asyncio.gather(*(visit(number) for number in range(start, start + AT_ONCE)))
    door = await bench.door()
    await _clean(bench, f"{DISCONNECTS} disconnects")
    require(
        not door.cut_streams, f"{door.cut_streams} streams were cut although a client was there"
    )


@check(Level.ABUSE, task="chat")
async def survives_a_flood(bench: Bench) -> None:
    """Of many requests at once each gets an answer, or is told in good form that it is too much."""
    bodies = [await bench.body(stream=number % 2 == 0) for number in range(FLOOD)]

    async def one(body: dict[str, Any]) -> Answer | None:
        stream = await bench.open(body)
        if not stream.streams:
            return await stream.whole()
        told = await stream.read()
        require(told.done == 1, "a stream in a flood has no [DONE]")
        code = told.error.get("code")
        require(not told.error or code, f"a stream in a flood ends with {told.error}")
        return None

    answers = await asyncio.gather(*(one(body) for body in bodies))
    for answer in answers:
        if answer is not None and answer.status != 200:
            fine = answer.status in _BUSY and answer.error.get("code")
            require(fine, f"in a flood one gets {answer.status}: {answer.body[:120]!r}")
            if answer.status == 429:
                require("retry-after" in answer.headers, "a 429 has no Retry-After")
    await _clean(bench, f"a flood of {FLOOD} requests")


@check(Level.ABUSE, task="chat")
async def serves_a_slow_reader(bench: Bench) -> None:
    """A client that reads slowly reads all of its answer, and holds up nobody else."""
    steady = await bench.steady()
    whole = await bench.post(await bench.long_body(**steady))
    stream = await bench.open(await bench.long_body(stream=True, **steady))
    count = 0
    async for _ in stream.events():
        count += 1
        if count <= 20:
            await asyncio.sleep(0.02)
        if count == 3:
            await bench.ask()
    require(stream.told.done == 1, "a slow reader's stream has no end")
    if whole.status == 200 and len(stream.told.text()) < len(whole.text):
        lost = len(whole.text) - len(stream.told.text())
        require(False, f"a slow reader misses {lost} characters")


@check(Level.ABUSE, kind="worker", task="chat")
async def waits_for_a_reader_that_sleeps(bench: Bench) -> None:
    """A client that stops reading fills no memory, and the others are served."""
    async with bench.connection() as connection:
        sleeper = Sink.ask(connection, await bench.long_chat(), slow=True)
        await sleeper.begun.wait()
        for _ in range(3):
            other = await Sink.ask(connection, await bench.chat()).end()
            told = f"beside a client that does not read, another fails: {other.error}"
            require(other.error is None, told)
        if not sleeper.ended.is_set():
            sleeper.cancel()
            told = "a client that does not read keeps its slot when it leaves"
            await bench.within(sleeper.released, 15, told)


@check(Level.ABUSE, task="chat")
async def refuses_an_enormous_prompt(bench: Bench) -> None:
    """A prompt of megabytes is refused, and does no harm."""
    answer = await bench.post(await bench.body("one two " * 250_000))
    if await bench.context():
        fine = answer.status in (400, 413, *_BUSY)
        require(fine, f"a prompt of two megabytes gets {answer.status}{bench.last_words}")
    await _clean(bench, "a prompt of two megabytes")


@check(Level.ABUSE, task="chat")
async def survives_nonsense(bench: Bench) -> None:
    """Bodies that are no request are refused, and do no harm."""
    message = b'[{"role": "user", "content": "%b"}]'
    model = f'{{"model": "{bench.subject.model}", "messages": '.encode()
    for body in (
        b"",
        b"{",
        model + message % b"\\ud800" + b"}",
        model + message % b"\xff\xfe" + b"}",
        model + b"[" * 5000 + b"}",
    ):
        answer = await bench.post(body)
        fine = answer.status in (200, 400, 413, 422)
        require(fine, f"{body[:60]!r} gets {answer.status}{bench.last_words}")
    await _clean(bench, "bodies that are no request")


@check(Level.ABUSE, task="chat")
async def survives_a_long_conversation(bench: Bench) -> None:
    """Many short turns in one request are read, or refused as too long."""
    turns = [{"role": ("user", "assistant")[n % 2], "content": "one two"} for n in range(501)]
    answer = await bench.post(await bench.body(turns))
    fine = answer.status in (200, 400)
    require(fine, f"a conversation of 501 turns gets {answer.status}{bench.last_words}")
    await _clean(bench, "a conversation of 501 turns")


@check(Level.ABUSE, task="chat")
async def keeps_going(bench: Bench) -> None:
    """Fifty short requests in a row are all answered, and memory does not grow with them."""
    home = await bench.home()
    pid = home.running_process.pid if isinstance(home, WorkerProcess) else 0
    for _ in range(10):
        await bench.ask()
    before = _resident(pid)
    for _ in range(50):
        await bench.ask()
    grown = _resident(pid) - before
    require(grown < 128 << 20, f"50 short requests took {grown >> 20} MiB of memory")


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0


@check(Level.ABUSE, kind="worker", task="chat")
async def survives_a_gateway_that_dies(bench: Bench) -> None:
    """A gateway that is killed in the middle of many requests leaves no slot taken."""
    worker = await bench.worker()
    connection = await worker.connect()
    many = min(await bench.slots(), 16)
    sinks = [Sink.ask(connection, await bench.long_chat()) for _ in range(many)]
    await sinks[0].begun.wait()
    connection.abort()
    await _clean(bench, "a gateway that was killed")


@check(Level.ABUSE, task="chat", ends=True)
async def tells_when_it_dies(bench: Bench) -> None:
    """Killed in mid-stream, the client reads an error and the end, not a cut and not a clean finish."""
    home = await bench.home()
    stream = await bench.open(await bench.long_body(stream=True))
    await stream.first()
    home.kill()
    told = await stream.read()
    require(told.done == 1, "the stream of an engine that was killed has no [DONE]")
    over = bool(told.finishes()) and not told.error
    await home.stop()
    await _clean(bench, "the engine was killed and started again")
    if over:
        raise NotApplicable("its answer was over before it was killed")
    require(told.error, "an engine that was killed leaves a stream without an error")


@check(Level.ABUSE, kind="worker", task="chat", ends=True)
async def starts_again(bench: Bench) -> None:
    """After a stop it starts again as if it were the first time, twice in a row."""
    worker = await bench.process()
    for _ in range(2):
        await worker.stop()
        await bench.home()
    await _clean(bench, "two starts")


@check(Level.ABUSE, kind="worker", ends=True)
async def leaves_nothing_behind(bench: Bench) -> None:
    """Its end is the end of all processes that it started, and its memory is given back."""
    worker = await bench.process()
    group = worker.running_process.pid
    worker.drain(0)
    await worker.gone(bench.patience / 2)
    await worker.stop()
    left = _group(group)
    require(not left, f"processes of it are still there: {left}")
    holders = await _gpu_holders()
    require(group not in holders, f"process {group} is gone, and the GPU still counts its memory")


async def _gpu_holders() -> set[int]:
    """Return the processes that hold memory of a GPU; none where there is no GPU."""
    query = ("--query-compute-apps=pid", "--format=csv,noheader")
    try:
        process = await asyncio.create_subprocess_exec(
            "nvidia-smi", *query, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return set()
    output, _ = await process.communicate()
    return {int(line) for line in output.split() if line.isdigit()}


def _group(group: int) -> list[int]:
    """Return the processes of a group that are still alive."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            state, _, pgrp = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state not in "ZX":
                found.append(int(folder.name))
    return found
