"""A candidate home is tried with copies of real requests, and the command line says whether a move is safe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Router, StartRouter, wait_until
from .test_maintenance import order

pytestmark = pytest.mark.slow  # each starts a router

MODEL = """
models:
  parrot:
    provider: Nobody
    context_length: 4096
    backend: echo
"""
SHADOW = "    shadow: {backend: echo, options: {OPTIONS}, share: 1.0}\n"


def with_shadow(options: str) -> str:
    return MODEL + SHADOW.replace("OPTIONS", options)


def ask(router: Router, words: str, stream: bool, **more: Any) -> str:
    """Send one request; return the text that the client reads."""
    body = {
        "model": "parrot",
        "messages": [{"role": "user", "content": words}],
        "stream": stream,
        **more,
    }
    with router.post(body, timeout=60) as answer:
        text = answer.read().decode()
    if not stream:
        return str(json.loads(text)["choices"][0]["message"]["content"])
    assert "[DONE]" in text
    return "".join(
        json.loads(event[6:])["choices"][0]["delta"].get("content", "")
        for event in text.split("\n\n")
        if event.startswith("data: {")
    )


def compare(router: Router, folder: Path) -> Any:
    status, out, err = order(router, folder, "compare", "parrot", "--json")
    assert status == 0, out + err
    return json.loads(out)


def until_compared(router: Router, folder: Path, pairs: int) -> Any:
    """Ask until so many pairs of answers have been compared."""

    def enough() -> Any:
        assert ask(router, "one two three", stream=True) == "one two three"
        told = compare(router, folder)
        return told if told["compared"] >= pairs else None

    return wait_until(enough, 120, f"{pairs} pairs of answers")


def test_a_candidate_is_compared_and_changed_under_way(
    start_router: StartRouter, tmp_path: Path
) -> None:
    """Behind two gateways: first one that says the same, then one that does not, then none."""
    router = start_router(with_shadow("token_delay: 0.001"), "--workers", "2")
    router.wait_ready()
    told = until_compared(router, tmp_path, 3)
    assert told["sampled"]["exact"] == 1.0
    assert told["judgement"] == "unknown"  # echo knows no temperature
    assert "20 are needed" in told["verdict"]
    assert told["shadow"]["failed"] == 0
    assert told["home"]["mean_tokens"] == told["shadow"]["mean_tokens"]
    assert told["shadow"]["ttft_p50"] > 0
    status, out, err = order(router, tmp_path, "compare", "parrot")
    assert (status, "100.0% equal" in out) == (0, True), out + err
    state = json.loads(order(router, tmp_path, "status", "--json")[1])
    home, shadow = state["models"][0]["homes"]
    assert (home["id"], shadow["id"], shadow["shadow"]) == ("parrot", "parrot/shadow", True)
    assert shadow["traffic"]["requests"] == 0

    (tmp_path / "router.yaml").write_text(with_shadow("reply: text, text: one two four"))
    status, out, err = order(router, tmp_path, "reload")
    assert status == 0, out + err
    told = until_compared(router, tmp_path, 3)
    assert told["sampled"]["exact"] == 0.0
    assert 0.5 < told["sampled"]["common_prefix"] < 1

    (tmp_path / "router.yaml").write_text(MODEL)
    status, out, err = order(router, tmp_path, "reload")
    assert status == 0, out + err
    assert ask(router, "one two three", stream=True) == "one two three"
    status, out, err = order(router, tmp_path, "compare", "parrot")
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        "hoonify-router: 'parrot' has no shadow: give it one with `shadow: {backend: NAME}`"
    ]
    assert order(router, tmp_path, "compare", "parot")[0] == 2


def test_a_candidate_that_cannot_load_disturbs_nobody(
    start_router: StartRouter, tmp_path: Path
) -> None:
    """The service starts and serves without it, and `compare` says why there is no verdict."""
    router = start_router(with_shadow("load_crash: true"))
    router.wait_ready()

    def failed() -> Any:
        assert ask(router, "one two", stream=False) == "one two"
        told = compare(router, tmp_path)
        return told if told["state"] == "failed" else None

    told = wait_until(failed, 120, "the failure of the shadow")
    assert told["compared"] == 0
    assert told["verdict"].startswith("No verdict yet: the shadow has answered no copy yet (")
    assert ask(router, "one two", stream=True) == "one two"


def test_greedy_answers_lead_to_a_verdict(start_router: StartRouter, tmp_path: Path) -> None:
    """Two homes with the same weights say the same, and that is enough to move."""
    options = f"{{model: {ROOT}/models/tiny-chat/onnx, provider: cpu, threads: 1}}"
    home = f"backend: onnxruntime, options: {options}"
    router = start_router(
        f"""
models:
  parrot:
    provider: Nobody
    context_length: 512
    homes: [{{{home}}}]
    shadow: {{{home}, share: 1.0, concurrency: 32}}
"""
    )
    router.wait_ready()

    def enough() -> Any:
        ask(router, "Tell me of the sea.", stream=True, temperature=0, max_tokens=12)
        told = compare(router, tmp_path)
        return told if told["repeatable"]["compared"] >= 1 else None

    wait_until(enough, 120, "a first pair")
    for number in range(20):
        ask(router, f"Count from {number}.", number % 2 == 0, temperature=0, max_tokens=12)
    told = wait_until(
        lambda: (told := compare(router, tmp_path))["repeatable"]["compared"] >= 20 and told,
        120,
        "20 pairs",
    )
    assert (told["judgement"], told["repeatable"]["exact"]) == ("same", 1.0)
    assert told["verdict"].startswith("As good: 100 % of ")
