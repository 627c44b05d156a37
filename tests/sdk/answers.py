"""What a client has in hand at the end of an answer, whichever way it came, and what must be true of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from tests.sdk.referees import check_chat, check_chat_chunk
from tests.sdk.wire import Exchange


@dataclass
class Choice:
    """One of an answer's choices, put together."""

    text: str | None = None
    calls: list[dict[str, str]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] | None = None
    finish: str = ""


@dataclass
class Answer:
    """An answer, put together."""

    model: str
    choices: list[Choice]
    usage: dict[str, Any] | None


def read_chat(exchange: Exchange, request: dict[str, Any]) -> Answer:
    """Hold every byte of a chat answer against OpenAI's rules and return what it says."""
    assert exchange.status == 200, exchange.body
    assert exchange.headers["x-request-id"]
    answer = _stream(exchange, request) if request.get("stream") else _whole(exchange)
    assert answer.model == request["model"]
    assert len(answer.choices) == (request.get("n") or 1)
    return answer


def _whole(exchange: Exchange) -> Answer:
    data = exchange.json
    check_chat(data)
    assert data["id"].startswith("chatcmpl-")
    assert isinstance(data["usage"], dict)
    assert [choice["index"] for choice in data["choices"]] == list(range(len(data["choices"])))
    choices = []
    for told in data["choices"]:
        message = told["message"]
        calls = message.get("tool_calls", [])
        assert calls or "tool_calls" not in message, "no calls are no field, not an empty list"
        assert message["content"] is not None or calls
        choices.append(
            Choice(
                message["content"],
                [{"id": call["id"], **call["function"]} for call in calls],
                told["logprobs"] and told["logprobs"]["content"],
                told["finish_reason"],
            )
        )
    return Answer(data["model"], choices, data["usage"])


def _stream(exchange: Exchange, request: dict[str, Any]) -> Answer:
    chunks = exchange.events
    for chunk in chunks:
        check_chat_chunk(chunk)
    assert chunks[0]["id"].startswith("chatcmpl-")
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
    choices: dict[int, Choice] = {}
    for chunk in chunks:
        (told,) = chunk["choices"]
        delta, index = told["delta"], told["index"]
        if index not in choices:
            assert delta["role"] == "assistant", "who speaks is said first"
            assert not delta.get("content")
            assert "tool_calls" not in delta
            choices[index] = Choice()
        else:
            assert "role" not in delta
        _add(choices[index], told)
    assert sorted(choices) == list(range(len(choices)))
    return Answer(chunks[0]["model"], [choices[index] for index in sorted(choices)], usage)


def _add(choice: Choice, told: dict[str, Any]) -> None:
    delta = told["delta"]
    assert not choice.finish, "nothing follows a finish"
    if delta.get("content"):
        choice.text = (choice.text or "") + delta["content"]
    for call in delta.get("tool_calls", []):
        if call["index"] == len(choice.calls):
            assert call["type"] == "function"
            assert call["id"]
            assert call["function"]["name"]
            choice.calls.append(
                {"id": call["id"], "name": call["function"]["name"], "arguments": ""}
            )
        else:
            assert call["index"] == len(choice.calls) - 1, "one call after the other, without gaps"
            assert not call["function"].get("name")
            assert "id" not in call
        choice.calls[-1]["arguments"] += call["function"].get("arguments", "")
    if told.get("logprobs"):
        choice.logprobs = (choice.logprobs or []) + told["logprobs"]["content"]
    choice.finish = told["finish_reason"] or ""


# ------------------------------------------------------------------ what must be true of it


def check_truth(answer: Answer, request: dict[str, Any]) -> None:
    """Hold what is said against what was asked."""
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if answer.usage is not None:
        told = answer.usage
        assert told["total_tokens"] == told["prompt_tokens"] + told["completion_tokens"]
        assert told["prompt_tokens"] > 0
        if limit:
            assert told["completion_tokens"] <= limit * len(answer.choices)
            if all(choice.finish == "length" for choice in answer.choices):
                assert told["completion_tokens"] == limit * len(answer.choices)
    for choice in answer.choices:
        assert choice.finish in ("stop", "length", "tool_calls")
        if not limit:
            assert choice.finish != "length"
        _check_stop(choice, request)
        _check_logprobs(choice, request, limit)
        _check_calls(choice, request)
        _check_format(choice, request)


def _stops(request: dict[str, Any]) -> list[str]:
    stop = request.get("stop") or []
    return [stop] if isinstance(stop, str) else stop


def _check_stop(choice: Choice, request: dict[str, Any]) -> None:
    for stop in _stops(request):
        assert stop not in (choice.text or "")


def _check_logprobs(choice: Choice, request: dict[str, Any], limit: int | None) -> None:
    if not request.get("logprobs"):
        assert choice.logprobs is None
        return
    told = choice.logprobs or []
    assert len(told) <= (limit or 10_000)
    for token in told:
        assert token["logprob"] <= 0
        assert len(token["top_logprobs"]) == request.get("top_logprobs", 0)
        values = [other["logprob"] for other in token["top_logprobs"]]
        assert values == sorted(values, reverse=True)
        for one in (token, *token["top_logprobs"]):
            assert one["token"] == bytes(one["bytes"]).decode(errors="replace")
    forced = request.get("tool_choice", "auto") not in ("auto", "none")
    if not choice.calls and not forced:  # the tokens of a call that was cut have no text
        spelt = b"".join(bytes(token["bytes"]) for token in told)
        text = (choice.text or "").encode()
        assert spelt.startswith(text) if _stops(request) else spelt == text


def _check_calls(choice: Choice, request: dict[str, Any]) -> None:
    mode = request.get("tool_choice", "auto") if request.get("tools") else "none"
    names = [tool["function"]["name"] for tool in request.get("tools", [])]
    if isinstance(mode, dict):
        names, mode = [mode["function"]["name"]], "required"
    if mode == "none":
        assert not choice.calls
    if mode == "required":
        assert choice.calls or choice.finish == "length" or _stops(request)
        assert not (choice.text or "").strip()
    if request.get("parallel_tool_calls") is False:
        assert len(choice.calls) <= 1
    assert len({call["id"] for call in choice.calls}) == len(choice.calls)
    for call in choice.calls:
        assert call["name"] in names
        if choice.finish == "tool_calls":
            tool = next(t for t in request["tools"] if t["function"]["name"] == call["name"])
            schema = tool["function"].get("parameters", {}) if mode == "required" else {}
            jsonschema.validate(json.loads(call["arguments"]), schema)
    assert choice.finish != "tool_calls" or choice.calls
    if choice.calls and not _stops(request):
        assert choice.finish in ("tool_calls", "length")


def _check_format(choice: Choice, request: dict[str, Any]) -> None:
    form = request.get("response_format") or {"type": "text"}
    if form["type"] == "text" or choice.finish != "stop" or _stops(request):
        return
    said = json.loads(choice.text or "")
    assert isinstance(said, dict)
    if form["type"] == "json_schema":
        jsonschema.validate(said, form["json_schema"]["schema"])
