"""Every answer and every chunk of a matrix of plain completions is what OpenAI's schema says."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.sdk.cases import CHOICES, COUNTING, LIMITS, SAMPLING, STREAMING, pairs
from tests.sdk.conftest import HOMES
from tests.sdk.referees import check_completion, check_completion_chunk
from tests.sdk.wire import Exchange, Wire

PATH = "/v1/completions"
PROMPTS: dict[str, Any] = {
    "text": COUNTING,
    "one": [COUNTING],
    "three": [COUNTING, "Hello!", "a b c"],
}
LOGPROBS: dict[str, Any] = {"none": {}, "zero": {"logprobs": 0}, "five": {"logprobs": 5}}
STOPS: dict[str, Any] = {"none": {}, "text": {"stop": "5"}, "list": {"stop": ["4, 5", "?!"]}}


def dimensions(home: str) -> dict[str, dict[str, Any]]:
    scripted = home.endswith("echo")
    return {
        "streaming": STREAMING,
        "choices": CHOICES,
        "stops": STOPS,
        "limits": {name: fields for name, fields in LIMITS.items() if "max_tokens" in fields},
        "sampling": {"as-it-is": {}} if scripted else SAMPLING,
        "logprobs": LOGPROBS,
        "user": {"nobody": {}, "ada": {"user": "ada"}},
        "prompts": PROMPTS,
    }


ROWS = {home: pairs(dimensions(home)) for home in HOMES}

QUICK = 8
"""Rows of the dearest home that every run of the tests takes; the engine is the same as next door."""


@pytest.mark.parametrize(
    ("home", "row"),
    [
        pytest.param(
            home,
            row,
            id=f"{home}-{'-'.join(row.values())}",
            marks=[pytest.mark.slow] * (home == "far-tiny-chat" and number >= QUICK),
        )
        for home in HOMES
        for number, row in enumerate(ROWS[home])
    ],
)
def test_every_combination_is_honoured_truthfully(
    wire: Wire, home: str, row: dict[str, str]
) -> None:
    """Legal requests get legal answers that do what was asked."""
    request: dict[str, Any] = {"model": home, "prompt": PROMPTS[row["prompts"]]}
    for name, value in row.items():
        if name != "prompts":
            request.update(dimensions(home)[name][value])
    choices, usage = read(wire.post(PATH, request), request)
    count = 3 if row["prompts"] == "three" else 1
    assert len(choices) == count * (request.get("n") or 1)
    if usage is not None:
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["completion_tokens"] <= request["max_tokens"] * len(choices)
    stops = request.get("stop", [])
    for choice in choices:
        assert choice["finish_reason"] in ("stop", "length")
        assert not any(
            stop in choice["text"] for stop in ([stops] * isinstance(stops, str) or stops)
        )
        check_logprobs(choice, request)


def check_logprobs(choice: dict[str, Any], request: dict[str, Any]) -> None:
    told = choice["logprobs"]
    if request.get("logprobs") is None:
        assert told is None
        return
    if not choice["text"] and told is None:
        return
    lengths = {len(told[name]) for name in ("tokens", "token_logprobs", "text_offset")}
    assert len(lengths) == 1
    assert all(value <= 0 for value in told["token_logprobs"])
    assert told["text_offset"] == sorted(told["text_offset"])
    spelt = "".join(told["tokens"])
    assert spelt.startswith(choice["text"]) if request.get("stop") else spelt == choice["text"]
    places = itertools.accumulate((len(token) for token in told["tokens"][:-1]), initial=0)
    assert told["text_offset"] == list(places)[: len(told["tokens"])]
    if request["logprobs"]:
        assert all(0 < len(top) <= request["logprobs"] + 1 for top in told["top_logprobs"])
        tops = zip(told["top_logprobs"], told["tokens"], told["token_logprobs"], strict=True)
        assert all(top.get(token, value) == value for top, token, value in tops)


def read(exchange: Exchange, request: dict[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    """Return the choices, put together, and the usage if it is told."""
    assert exchange.status == 200, exchange.body
    if not request.get("stream"):
        data = exchange.json
        check_completion(data)
        assert data["id"].startswith("cmpl-")
        assert data["model"] == request["model"]
        assert [choice["index"] for choice in data["choices"]] == list(range(len(data["choices"])))
        return data["choices"], data["usage"]
    chunks = exchange.events
    for chunk in chunks:
        check_completion_chunk(chunk)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    usage = None
    if (request.get("stream_options") or {}).get("include_usage"):
        assert all(chunk["usage"] is None for chunk in chunks[:-1])
        last = chunks.pop()
        usage = last["usage"]
        assert last["choices"] == []
        assert isinstance(usage, dict)
    else:
        assert not any("usage" in chunk for chunk in chunks)
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        (told,) = chunk["choices"]
        choice = choices.setdefault(
            told["index"], {"text": "", "logprobs": None, "finish_reason": None}
        )
        assert choice["finish_reason"] is None, "nothing follows a finish"
        choice["text"] += told["text"]
        choice["finish_reason"] = told["finish_reason"]
        if told["logprobs"] is not None:
            gathered = choice["logprobs"] = choice["logprobs"] or {}
            for name, values in told["logprobs"].items():
                gathered[name] = gathered.get(name, []) + values
    assert sorted(choices) == list(range(len(choices)))
    return [choices[index] for index in sorted(choices)], usage
