"""A model that sleeps until it is asked: its first request waits, and later ones know how long."""

from __future__ import annotations

import json
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import wait_until

pytestmark = pytest.mark.slow  # each starts a router, and engines that take their time

SLEEPY = """
server: {ping_interval: 200ms}
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
    options: {load_delay: 2}
    start: on_demand
    MORE
"""


def body(**more: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": "good morning"}], **more}


def test_the_first_requests_wait_for_the_start(start_router: Any) -> None:
    """A stream gets pings meanwhile, an answer in one piece just comes later; one start serves all."""
    router = start_router(SLEEPY.replace("MORE", ""), "--workers", "2")
    router.wait_ready()
    assert router.engines() == []
    with ThreadPoolExecutor(6) as pool:
        streams = [pool.submit(lambda: router.post(body(stream=True)).read()) for _ in range(3)]
        wholes = [pool.submit(lambda: json.load(router.post(body()))) for _ in range(3)]
        for stream in streams:
            said = stream.result(60)
            assert said.startswith(b": waiting")
            assert said.endswith(b"data: [DONE]\n\n")
            assert b'"error"' not in said
        for whole in wholes:
            assert whole.result(60)["choices"][0]["message"]["content"] == "good morning"
    assert len(router.engines()) == 1


def test_a_home_without_requests_stops_and_is_started_again(start_router: Any) -> None:
    """The second time the router knows how long it takes, and says so to whom it cannot let wait."""
    router = start_router(SLEEPY.replace("MORE", "idle_stop: 1s\n    hold_timeout: 100ms"))
    router.wait_ready()
    with pytest.raises(urllib.error.HTTPError) as refused:
        router.post(body())
    with refused.value as answer:
        assert answer.code == 503
        assert int(answer.headers["retry-after"]) >= 1

    def answered() -> Any:
        try:
            with router.post(body()) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            return None

    for _ in range(2):
        wait_until(answered, 60, "the home to be ready")
        wait_until(lambda: not router.engines(), 60, "the home to be stopped")
    asked = time.time()
    with pytest.raises(urllib.error.HTTPError) as refused:
        router.post(body())
    with refused.value as answer:
        assert answer.code == 503
        assert 2 <= int(answer.headers["retry-after"]) < 30 + time.time() - asked
    learned = json.loads((router.state / "load_times.json").read_text())
    (record,) = learned.values()
    assert record["home"] == "parrot"
    assert min(record["seconds"]) >= 2
