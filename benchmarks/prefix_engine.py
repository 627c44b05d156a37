"""Two real SGLang servers on the CPU behind a real router, whose way to balance is changed while it runs."""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.conversations import Message, Outcome, Traffic, User, users
from benchmarks.native import CannotMeasure
from benchmarks.processes import Tree, free_port
from hoonify_backends.sglang import ENVIRONMENTS
from hoonify_router.environments import EnvironmentStore
from hoonify_router.environments.store import FOLDER_VARIABLE

ROOT = Path(__file__).parents[1]
MODEL = "tiny-chat"
HOMES = 2
ANSWER = 12
_COUNTED = re.compile(r'^hoonify_attempts_total\{[^}]*home="([^"]+)"[^}]*\} ([0-9.e+]+)$', re.M)
_PATIENCE = 120.0
_START = 600.0  # two engines load their libraries on a machine that may be busy


def environment() -> Path | None:
    """Return the folder with SGLang's environment for the CPU, or None where there is none."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else ROOT / "config" / "var" / "environments"
    found = [one for one in ENVIRONMENTS if one.accelerator == "cpu"]
    return folder if any(EnvironmentStore(folder).current(one) for one in found) else None


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Args:
        text: What was said.
        wait: Seconds to the first token.
        prompt: Tokens of the prompt.
        cached: Of them, those that the engine still knew.
    """

    text: str
    wait: float
    prompt: int
    cached: int


class Replicas:
    """The router and its two homes.

    Args:
        folder: For their files.
        environments: Where SGLang's is.
        tokens: That the cache of each home holds.
    """

    def __init__(self, folder: Path, environments: Path, tokens: int) -> None:
        self._config = folder / "router.yaml"
        self._tokens = tokens
        self.port = free_port()
        self._write("round_robin")
        self.tree = Tree(
            [sys.executable, "-m", "hoonify_router", "serve", "--config", str(self._config)],
            frozenset(),
            folder / "log",
            {"HOONIFY_STATE_DIR": str(folder / "state"), FOLDER_VARIABLE: str(environments)},
        )
        try:
            self.tree.wait_for(f"http://127.0.0.1:{self.port}/ready", _START)
        except CannotMeasure:
            self.tree.stop()
            raise

    def balance(self, how: str) -> None:
        """Edit the file, and wait until the router goes by it; the homes stay as they are."""
        if f'"balance": "{how}"' in self._config.read_text():
            return
        before = self._generation()
        self._write(how)
        deadline = time.monotonic() + _PATIENCE
        while self._generation() == before:
            if time.monotonic() > deadline:
                raise CannotMeasure(f"the router did not take over `balance: {how}`")
            time.sleep(0.1)

    def ask(self, messages: list[Message]) -> Answer:
        """Send a conversation and read the stream of its answer."""
        body = {
            "model": MODEL,
            "messages": [{"role": role, "content": content} for role, content in messages],
            "max_tokens": ANSWER,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        began = time.perf_counter()
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            if response.status != 200:
                raise CannotMeasure(f"{response.status}: {response.read(500)!r}")
            return self._read(response, began)
        finally:
            connection.close()

    def answered(self) -> Counter[str]:
        """Return how many requests each home has been sent so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            told = answer.read().decode()
        counts = Counter({f"{MODEL}/{number}": 0 for number in range(HOMES)})
        for home, count in _COUNTED.findall(told):
            counts[home] += int(float(count))
        return counts

    def _read(self, response: http.client.HTTPResponse, began: float) -> Answer:
        wait: float | None = None
        pieces: list[str] = []
        usage: dict[str, Any] = {}
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            chunk: dict[str, Any] = json.loads(line[6:])
            if "error" in chunk:
                raise CannotMeasure(f"a stream broke: {chunk['error']}")
            for choice in chunk["choices"]:
                if piece := choice["delta"].get("content"):
                    wait = wait or time.perf_counter() - began
                    pieces.append(piece)
            usage = chunk.get("usage") or usage
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        # An answer may be empty: then its end is when the client sees the first of it.
        wait = wait or time.perf_counter() - began
        return Answer("".join(pieces), wait, usage["prompt_tokens"], cached)

    def _generation(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=30) as answer:
            return str(answer.headers["x-router-generation"])

    def _write(self, how: str) -> None:
        home = {
            "backend": "sglang",
            "options": {
                "model": str(ROOT / "models" / "tiny-chat" / "hf"),
                "device": "cpu",
                "extra_args": ["--max-total-tokens", str(self._tokens)],
            },
        }
        model = {"provider": "Hoonify", "context_length": 1024, "balance": how}
        config = {
            "server": {"port": self.port, "allow_anonymous": True},
            "pipeline": ["metrics", "openai_errors"],
            "models": {MODEL: {**model, "homes": [home] * HOMES}},
        }
        fresh = self._config.with_suffix(".new")
        fresh.write_text(json.dumps(config))  # JSON is YAML
        fresh.replace(self._config)


class Run:
    """One way to balance under one load.

    Args:
        replicas: Who is asked.
        traffic: What.
        seed: Another one has nothing in common with it, so that caches are as good as cold.
        requests: How many; the first quarter is not counted, for caches fill in it.
        think: Seconds that a user waits after an answer, on average.
    """

    def __init__(
        self, replicas: Replicas, traffic: Traffic, seed: str, requests: int, think: float
    ) -> None:
        self._replicas = replicas
        self._users = list(users(traffic, seed))
        self._seed = seed
        self._requests = requests
        self._think = think
        self._asked = 0
        self._before: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Let all users talk; return what came of it."""
        threads = [
            threading.Thread(target=self._talk, args=(user, Random(f"{self._seed} {number}")))
            for number, user in enumerate(self._users)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure:
            raise self._failure
        self.outcome.by_home = self._replicas.answered()
        self.outcome.by_home.subtract(self._before)
        return self.outcome

    def _talk(self, user: User, dice: Random) -> None:
        try:
            while True:
                time.sleep(dice.uniform(0.5, 1.5) * self._think)
                with self._lock:
                    if self._asked >= self._requests or self._failure:
                        return
                    self._asked += 1
                    counts = self._asked > self._requests // 4
                    if self._asked == self._requests // 4:
                        self._before = self._replicas.answered()
                answer = self._replicas.ask(user.ask())
                user.hear(answer.text)
                if counts:
                    with self._lock:
                        self.outcome.prompt += answer.prompt
                        self.outcome.cached += answer.cached
                        self.outcome.waits.append(answer.wait)
        except Exception as failure:  # told by whoever waits for all
            self._failure = failure
