"""What an operator sees of a running router: numbers that are exact, and a log that machines read."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .conftest import Router, wait_until

CONFIG = """
server: {port: 8000}
pipeline: [metrics]
plugins:
  metrics: {token: watcher}
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
"""
SECRET = "nobody-may-log-this"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with three gateways."""
    folder = tmp_path_factory.mktemp("observation")
    (folder / "router.yaml").write_text(CONFIG)
    running = Router(folder / "router.yaml", folder, "--workers", "3")
    try:
        running.wait_ready(60)
        wait_until(lambda: len(gateways(running)) == 3, 60, "three gateways")
        yield running
    finally:
        running.clean_up()


def gateways(router: Router) -> list[int]:
    return [
        pid
        for pid in router.processes()
        if b"SANIC_WORKER_NAME=Sanic-Server-" in Path(f"/proc/{pid}/environ").read_bytes()
    ]


def ask(router: Router, request_id: str, **more: Any) -> tuple[int, str]:
    """Send a chat; return its status and the id that it went by."""
    body = {"model": "parrot", "messages": [{"role": "user", "content": f"{SECRET} a b"}], **more}
    headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
    sent = urllib.request.Request(
        f"{router.base_url}/chat/completions", json.dumps(body).encode(), headers
    )
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            answer.read()
            return answer.status, answer.headers["x-request-id"]
    except urllib.error.HTTPError as error:
        with error:
            error.read()
            return error.code, error.headers["x-request-id"]


def scrape(router: Router, token: str = "watcher") -> list[Any]:
    """Return all samples that one of the gateways tells."""
    sent = urllib.request.Request(f"http://127.0.0.1:{router.port}/metrics")
    sent.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(sent, timeout=10) as answer:
        text = answer.read().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(samples: list[Any], name: str, **labels: str) -> float:
    return sum(
        sample.value
        for sample in samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def logged(router: Router) -> dict[str, dict[str, Any]]:
    """Return the log's lines of requests, by their ids."""
    lines = [json.loads(line) for line in list(router.lines) if line.startswith('{"time"')]
    return {line["request_id"]: line for line in lines if "request_id" in line}


def test_numbers_are_exact_whatever_is_killed(router: Router) -> None:
    """Nothing that was answered is forgotten with the gateway that answered, and nothing stays in flight."""
    before = scrape(router)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda n: ask(router, f"r-{n}", stream=n % 2 == 0)[0], range(60)))
    assert done == [200] * 60
    victim = gateways(router)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in gateways(router), 60, "its death")
    wait_until(lambda: len(gateways(router)) == 3, 60, "its successor")
    router.wait_ready()
    for _ in range(9):
        after = scrape(router)
        for name in ("hoonify_requests_total", "hoonify_attempts_total"):
            assert total(after, name, model="parrot") - total(before, name, model="parrot") == 60
        assert total(after, "hoonify_stream_endings_total", ending="stop") == 30
        assert total(after, "gen_ai_client_operation_duration_seconds_count") == 60
        assert total(after, "hoonify_requests_in_flight") == 0
        assert total(after, "hoonify_untruthful_streams_total") == 0


def test_homes_are_told_as_the_supervisor_knows_them(router: Router) -> None:
    """By every gateway alike, and not added up."""
    for _ in range(6):
        samples = scrape(router)
        assert total(samples, "hoonify_home_state", home="parrot", state="ready") == 1
        assert total(samples, "hoonify_home_state", home="parrot") == 1
        assert total(samples, "hoonify_home_starts_total", home="parrot") == 1
        assert 0 < total(samples, "hoonify_home_load_seconds", home="parrot") < 60
    wait_until(
        lambda: total(scrape(router), "hoonify_home_breakers", state="closed") == 3,
        20,
        "all gateways' breakers",
    )
    lags = {s.labels["gateway"] for s in scrape(router) if "loop_lag" in s.name}
    assert lags == {"0", "1", "2"}


@pytest.mark.parametrize("token", ["", "wrong"])
def test_numbers_are_for_those_who_bring_their_token(router: Router, token: str) -> None:
    """Everybody else gets 401, in the shape of all errors."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        scrape(router, token)
    with refused.value as error:
        assert error.code == 401
        assert json.load(error)["error"]["code"] == "invalid_api_key"


def test_each_request_is_a_line_of_json(router: Router) -> None:
    """By the id that its client gave it; what was asked is not in it, nor in any other line."""
    assert ask(router, "mine-1", stream=True) == (200, "mine-1")
    assert ask(router, "mine-2", temperature=9) == (422, "mine-2")
    status, made = ask(router, "in sane")
    assert status == 200
    assert made.startswith("req_")
    wait_until(lambda: {"mine-1", "mine-2", made} <= set(logged(router)), 60, "their lines")
    good, bad = logged(router)["mine-1"], logged(router)["mine-2"]
    assert good["status"] == 200
    assert (good["model"], good["home"], good["stream"]) == ("parrot", "parrot", True)
    assert good["finish_reason"] == "stop"
    assert good["prompt_tokens"] > 0
    assert good["completion_tokens"] == 3
    assert 0 < good["ttft_ms"] <= good["duration_ms"]
    assert (bad["status"], bad["error"]) == (422, "invalid_value")
    assert "home" not in bad
    assert SECRET not in router.output


def test_other_words_are_json_too(router: Router) -> None:
    """Every line is, but for the banner."""
    for line in list(router.lines):
        if line.startswith("{"):
            assert {"time", "level", "logger"} <= set(json.loads(line))
