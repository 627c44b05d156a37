"""A server's completion becomes exactly OpenAI's object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from tests.router.reading import Mail, published, strict

from hoonify_router.adapters.chat_dialect import ChatDialect
from hoonify_router.completion import Completion
from hoonify_router.errors import EngineDead, Overloaded, RouterError


def pour(told: Any, choices: int = 1) -> tuple[dict[str, Any], RouterError | None]:
    """Return what the client reads and how the answer ended."""
    mail = Mail()
    answer = Completion(mail, ("chatcmpl-ours", 1, "catalog-id"), choices, lambda: None)
    ChatDialect().pour(told if isinstance(told, bytes) else json.dumps(told).encode(), answer)
    assert answer.ended
    if answer.error is not None:
        return {}, answer.error
    answer.close()
    read: dict[str, Any] = json.loads(mail.body)
    strict(ChatCompletion.model_validate(read, strict=True))
    published("CreateChatCompletionResponse", read)
    return read, None


def completion(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a completion as SGLang writes it."""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    choice |= {"matched_stop": 5, **more}
    usage = {
        "prompt_tokens": 3,
        "total_tokens": 5,
        "completion_tokens": 2,
        "prompt_tokens_details": None,
        "reasoning_tokens": 0,
    }
    return {
        "id": "theirs",
        "object": "chat.completion",
        "created": 9,
        "model": "theirs/Model",
        "choices": [choice],
        "usage": usage,
        "metadata": {"weight_versions": ["default"]},
    }


def test_foreign_keys_are_dropped_and_missing_ones_added() -> None:
    """SGLang lacks refusal and brings metadata, matched_stop and nulls."""
    message = {"role": "assistant", "content": "hi", "reasoning_content": None, "tool_calls": None}
    read, _ = pour(completion(message))
    assert read == {
        "id": "chatcmpl-ours",
        "object": "chat.completion",
        "created": 1,
        "model": "catalog-id",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_usage_details_are_told_in_openai_s_places() -> None:
    """Wherever the server puts them."""
    told = completion({"role": "assistant", "content": "hi"})
    told["usage"] |= {"prompt_tokens_details": {"cached_tokens": 2}, "reasoning_tokens": 1}
    usage = pour(told)[0]["usage"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 1}
    told["usage"] |= {
        "reasoning_tokens": None,
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert pour(told)[0]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 7}


def test_tool_calls_reasoning_and_logprobs_stay() -> None:
    """They are part of the schema, or what open models' clients expect."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "h"}
    token = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
    logprobs = {"content": [token], "refusal": None}
    choice = pour(completion(message, logprobs=logprobs, finish_reason="tool_calls"))[0]["choices"][
        0
    ]
    assert choice["message"]["tool_calls"] == [call]
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning_content"] == "h"
    assert choice["logprobs"] == logprobs
    assert choice["finish_reason"] == "tool_calls"


def test_tool_calls_are_made_openai_s() -> None:
    """SGLang's have null numbers, others no ids and extras of their own."""
    calls = [
        {
            "index": None,
            "id": "a",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        },
        {"index": 0, "function": {"name": "g", "arguments": None, "x": 1}, "extra": 5},
        {"id": "c", "type": "custom", "custom": {"name": "h", "input": "text"}},
    ]
    message = {"role": "assistant", "content": "", "tool_calls": calls}
    told = pour(completion(message, finish_reason="tool_calls"))[0]["choices"][0]["message"]
    assert told["content"] is None
    first, second, third = told["tool_calls"]
    assert first == {k: v for k, v in calls[0].items() if k != "index"}
    assert second["id"].startswith("call_ours")
    assert second["function"] == {"name": "g", "arguments": ""}
    assert third == calls[2]


def test_annotations_stay_and_unknown_parts_go() -> None:
    """A cited page is part of the schema."""
    page = {"start_index": 0, "end_index": 2, "title": "t", "url": "https://example.com"}
    message = {
        "content": "hi",
        "annotations": [{"type": "url_citation", "url_citation": {**page, "x": 1}, "x": 1}],
        "hidden_states": [1],
    }
    told = pour(completion(message))[0]["choices"][0]["message"]
    assert told["annotations"] == [{"type": "url_citation", "url_citation": page}]
    assert set(told) == {"role", "content", "refusal", "annotations"}


def test_choices_in_any_order_end_up_in_ours() -> None:
    """By their index."""
    told = completion({"role": "assistant", "content": "second"}, index=1)
    told["choices"] += completion({"role": "assistant", "content": "first"})["choices"]
    texts = [choice["message"]["content"] for choice in pour(told, choices=2)[0]["choices"]]
    assert texts == ["first", "second"]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (b"", EngineDead),
        (b"not json", EngineDead),
        (b'{"choices":[{"message":{"content":5}}]}', EngineDead),
        ({"choices": []}, EngineDead),
        ({"object": "list"}, EngineDead),
        ({"error": {"message": "queue is full", "code": 503}}, Overloaded),
        ({"object": "error", "message": "queue is full", "code": 503}, Overloaded),
        (completion({"tool_calls": [{"function": {"arguments": "{}"}}]}), EngineDead),
        (completion({"content": "x"}, finish_reason=None), EngineDead),
        (completion({"content": "x"}, finish_reason="abort"), EngineDead),
        (completion({"content": "x"}, index=5), EngineDead),
    ],
)
def test_what_is_no_answer_is_an_error(told: Any, kind: type[RouterError]) -> None:
    """A 200 alone makes no answer."""
    assert isinstance(pour(told)[1], kind)
