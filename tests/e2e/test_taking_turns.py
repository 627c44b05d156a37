"""Two models on a GPU with room for one: they take turns, nobody is refused, nothing thrashes."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
from collections import Counter
from typing import Any

import pytest

from .conftest import wait_until

pytestmark = pytest.mark.slow  # it serves for twenty seconds

TURN = 2.0
SECONDS = 20.0
CLIENTS = 8
YAML = f"""
server: {{gpu_budget: 10GiB, gpu_turn: {TURN:g}s}}
models:
  parrot: &model
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {{token_delay: 0.01, slots: 4}}
    gpu_memory: 6GiB
    start: on_demand
    hold_timeout: 3m
  crow: *model
"""


def starts(router: Any) -> dict[str, int]:
    """Return how often each home was started, as the log tells it."""
    return Counter(
        line.partition(": ready on ")[0].rpartition(" ")[2].rpartition('"')[2]
        for line in router.lines
        if ": ready on " in line
    )


def test_two_models_that_do_not_fit_together(start_router: Any) -> None:
    """Eight clients ask both by turns: only whole answers, each model loaded at most once per turn."""
    router = start_router(YAML, "--workers", "2")
    router.wait_ready()
    over = threading.Event()
    answers: Counter[str] = Counter()
    wrong: list[str] = []

    def client(number: int) -> None:
        names = ["parrot", "crow"]
        while not over.is_set():
            name = names[number % 2]
            number += 1
            said = [{"role": "user", "content": f"{name} {number} a b c d"}]
            try:
                with router.post(
                    {"model": name, "messages": said, "stream": number % 3 == 0}, timeout=180
                ) as answer:
                    body = answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    wrong.append(f"{name}: {error.code} {error.read()!r}")
                continue
            except Exception as error:
                wrong.append(f"{name}: {error!r}")
                continue
            if number % 3 == 0:
                whole = '"error"' not in body and body.endswith("data: [DONE]\n\n")
            else:
                message = json.loads(body)["choices"][0]["message"]
                whole = message["content"] == said[0]["content"]
            if whole:
                answers[name] += 1
            else:
                wrong.append(f"{name}: {body[-300:]}")

    clients = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    began = time.monotonic()
    for one in clients:
        one.start()
    time.sleep(SECONDS)
    over.set()
    for one in clients:
        one.join(180)
    took = time.monotonic() - began
    assert not wrong, f"{len(wrong)}: {wrong[:3]}\n{router.output[-3000:]}"
    assert min(answers["parrot"], answers["crow"]) >= CLIENTS
    loads = starts(router)
    assert set(loads) == {"parrot", "crow"}
    assert min(loads.values()) >= 2
    assert max(loads.values()) <= took / TURN + 1
    wait_until(lambda: len(router.engines()) <= 1, 60, "the other engine to go")
