"""Kill processes of a router that is under load, again and again, and look what clients see and what stays.

    python -m benchmarks.kills --rounds 50 --seed 7

In each round one of engine, gateway, supervisor and main process gets SIGKILL at a random moment; four rounds kill each
of them once, in random order. Then:

- every stream ends truthfully: whole, with an error event, with a status, or, where the door itself was killed,
  by its closed connection; never with a clean end before its time, never with another's words;
- service is back by itself (a main process is started again, as a service manager would);
- nothing of what was killed stays: no engine without a supervisor, no process without its main process;
- when all clients are gone, no counter says otherwise.

Exit status 0 when all of that was so.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Tree, free_port

VICTIMS = ("engine", "gateway", "supervisor", "main")
CONFIG = """\
server: {{port: {port}, workers: 2, allow_anonymous: true, state_dir: {folder}/state}}
pipeline: [metrics, openai_errors]
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {{token_delay: 0.01, slots: 256}}
"""
PATIENCE = 90.0
_GAUGES = re.compile(
    r"^(?:hoonify_requests_in_flight|hoonify_home_requests_in_flight|hoonify_home_requests)(?:\{.*\})? (\S+)$",
    re.MULTILINE,
)
_UNTRUE = re.compile(r"^hoonify_untruthful_streams_total(?:\{.*\})? (\S+)$", re.MULTILINE)


@dataclass
class Record:
    """What has been seen.

    Attributes:
        endings: How requests ended, by kind.
        wrong: What must not be.
        back: Seconds until service was back, by victim.
    """

    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    back: dict[str, list[float]] = field(default_factory=dict)

    def table(self) -> str:
        """Return it for people."""
        lines = ["victim      kills  back after, median and longest"]
        for victim in VICTIMS:
            times = sorted(self.back.get(victim, []))
            if times:
                middle = times[len(times) // 2]
                lines.append(f"{victim:11} {len(times):5}  {middle:6.2f} s  {times[-1]:6.2f} s")
        lines += ["", "requests ended"]
        lines += [f"{kind:24} {count:6}" for kind, count in sorted(self.endings.items())]
        lines += ["", *(f"WRONG: {what}" for what in self.wrong[:20])]
        return "\n".join(lines) + "\n"


class Door:
    """A router that is started again when its main process was killed.

    Args:
        folder: Its configuration, state and log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.port = free_port()
        (folder / "router.yaml").write_text(CONFIG.format(port=self.port, folder=folder))
        self.start()

    def start(self) -> None:
        """Start it."""
        self._count += 1
        command = [sys.executable, "-m", "hoonify_router", "serve"]
        command += ["--config", str(self._folder / "router.yaml")]
        self._mark = f"{self._folder.name}-{self._count}"
        log = self._folder / f"router-{self._count}.log"
        self.tree = Tree(command, frozenset(), log, {"HOONIFY_KILLS": self._mark})

    def processes(self) -> dict[str, list[int]]:
        """Return its live processes by what they are, whoever their parent is now."""
        found: dict[str, list[int]] = {name: [] for name in (*VICTIMS, "helper")}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                environ = (folder / "environ").read_bytes()
                if f"HOONIFY_KILLS={self._mark}\0".encode() not in environ + b"\0":
                    continue
                if (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    continue
                kind = _kind(environ, (folder / "cmdline").read_bytes())
                pid = int(folder.name)
                found["main" if pid == self.tree.process.pid else kind].append(pid)
        return found

    def get(self, path: str) -> str:
        """Return the body of a GET.

        Raises:
            OSError: Nobody answers, or not with 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            if answer.status != 200:
                raise OSError(f"{path}: {answer.status}")
            return body
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()


def _kind(environ: bytes, command: bytes) -> str:
    if b"hoonify_router.worker" in command:
        return "engine"
    if b"SANIC_WORKER_NAME=Sanic-Server-" in environ:
        return "gateway"
    if b"SANIC_WORKER_NAME=Sanic-supervisor" in environ:
        return "supervisor"
    return "helper"


def ask(port: int, number: int, words: int) -> str:
    """Stream one answer and return how it ended; what begins with ``wrong`` must not be."""
    said = [f"r{number}w{n}" for n in range(words)]
    body = {"model": "parrot", "messages": [{"role": "user", "content": " ".join(said)}]}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    texts: list[str] = []
    finished = failed = done = False
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps({**body, "stream": True}),
            {"content-type": "application/json"},
        )
        answer = connection.getresponse()
        if answer.status != 200:
            known = answer.status == 503 and answer.getheader("retry-after")
            return f"status {answer.status}" if known else f"wrong: status {answer.status}"
        for line in _lines(answer):
            if not line.startswith(b"data: "):
                continue
            if line.strip() == b"data: [DONE]":
                done = True
                continue
            event = json.loads(line[6:])
            if "error" in event:
                failed = True
                continue
            for choice in event["choices"]:
                texts.append(choice["delta"].get("content") or "")
                finished = finished or choice["finish_reason"] is not None
    except TimeoutError:
        return "wrong: nothing came for too long"
    except (OSError, http.client.HTTPException):
        return "closed connection"
    except ValueError:
        return "closed connection" if not done else "wrong: no JSON"
    finally:
        connection.close()
    whole = "".join(texts)
    if not " ".join(said).startswith(whole):
        return "wrong: another's words"
    if not done:
        return "wrong: ended without a word"
    if finished == failed:
        return "wrong: neither finished nor failed, or both"
    if failed:
        return "error event"
    return "whole" if whole == " ".join(said) else "wrong: finished before its time"


def _lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield lines; unlike the answer's own iterator, this one tells a clean end from a closed connection."""
    rest = b""
    while data := answer.read1(65536):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


class Load:
    """Clients that ask without a pause.

    Args:
        door: Whom they ask.
        record: What they note.
        clients: How many there are.
    """

    def __init__(self, door: Door, record: Record, clients: int) -> None:
        self._door = door
        self._record = record
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.door_dies = False
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        dice = random.Random(number)
        while not self._over.is_set():
            number += 1000
            may_close = self.door_dies
            ending = ask(self._door.port, number, dice.randint(5, 120))
            with self._lock:
                self._record.endings[ending] += 1
                if ending.startswith("wrong"):
                    self._record.wrong.append(ending)
                elif ending == "closed connection" and not (may_close or self.door_dies):
                    self._record.wrong.append("closed connection, but no door was killed")
            if ending != "whole":
                self._over.wait(0.1)

    def end(self) -> None:
        """Let all clients finish."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)


def wait(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; tell whether it came true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if condition():
                return True
        time.sleep(0.05)
    return False


def serves(door: Door) -> bool:
    """Tell whether the router answers; two gateways are asked a few times."""
    return all(ask(door.port, 9, 3) == "whole" for _ in range(4))


def one_round(door: Door, load: Load, record: Record, dice: random.Random, victim: str) -> None:
    """Kill one process and wait until all is well."""
    time.sleep(dice.uniform(0.1, 1.5))
    before = door.processes()
    if not before[victim]:
        record.wrong.append(f"there was no {victim}")
        return
    pid = dice.choice(before[victim])
    load.door_dies = victim in ("gateway", "main")
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    if victim == "main":
        door.tree.process.wait()
        if not wait(lambda: not any(door.processes().values()), 30):
            record.wrong.append(f"outlived their main process: {door.processes()}")
        door.start()
    elif victim == "supervisor":
        gone = set(before["engine"])
        if not wait(lambda: gone.isdisjoint(door.processes()["engine"]), 30):
            record.wrong.append(f"engines outlived their supervisor: {gone}")

    def is_back() -> bool:
        now = door.processes()
        counts = [len(now[name]) for name in VICTIMS]
        return counts == [1, 2, 1, 1] and pid not in now[victim] and serves(door)

    if not wait(is_back, PATIENCE):
        record.wrong.append(f"after {victim} was killed service did not come back")
    record.back.setdefault(victim, []).append(time.monotonic() - began)
    load.door_dies = False


def kill_again_and_again(rounds: int, seed: int, clients: int = 12) -> Record:
    """Do it all and return what was seen; of each four rounds, each kills another process."""
    record, dice = Record(), random.Random(seed)
    left: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        door = Door(Path(name))
        try:
            if not wait(lambda: serves(door), PATIENCE):
                record.wrong.append("the router does not start")
                return record
            load = Load(door, record, clients)
            try:
                for number in range(rounds):
                    if not left:
                        left = dice.sample(VICTIMS, len(VICTIMS))
                    one_round(door, load, record, dice, left.pop())
                    print(
                        f"round {number + 1}: {sum(record.endings.values())} requests", flush=True
                    )
            finally:
                load.end()
            _look_at_counters(door, record)
            os.kill(door.tree.process.pid, signal.SIGTERM)
            if door.tree.process.wait(PATIENCE) != 0:
                record.wrong.append(f"exit status {door.tree.process.returncode}")
            if not wait(lambda: not any(door.processes().values()), 30):
                record.wrong.append(f"outlived the router: {door.processes()}")
        finally:
            door.tree.stop()
    return record


def _look_at_counters(door: Door, record: Record) -> None:
    """Wait until every gauge says that nothing is under way."""
    if not wait(lambda: not any(map(float, _GAUGES.findall(door.get("/metrics")))), 30):
        told = [line[0] for line in _GAUGES.finditer(door.get("/metrics"))]
        record.wrong.append(f"counters leak: {told}")
    if any(map(float, _UNTRUE.findall(door.get("/metrics")))):
        record.wrong.append("a stream ended untruthfully, by the router's own count")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.kills", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=12)
    arguments = parser.parse_args()
    record = kill_again_and_again(arguments.rounds, arguments.seed, arguments.clients)
    print(record.table())
    return 1 if record.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
