"""The referees of the other tests here blow their whistles."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from tests.sdk.referees import (
    PUBLISHED,
    WORDS,
    OutOfShape,
    check_chat,
    check_chat_chunk,
    check_completion_chunk,
    check_model,
    check_published,
)

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "x", "refusal": None},
            "logprobs": {
                "content": [{"token": "x", "logprob": -1, "bytes": [120], "top_logprobs": []}],
                "refusal": None,
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
CHUNK: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": None, "finish_reason": None}],
}


def spoil_model(data: Any) -> None:
    data["choices"][0]["message"]["extra"] = 1


FOULS: dict[str, Callable[[Any], object]] = {
    "a field too many": spoil_model,
    "a field missing": lambda data: data.pop("created"),
    "refusal left out": lambda data: data["choices"][0]["message"].pop("refusal"),
    "logprobs left out": lambda data: data["choices"][0].pop("logprobs"),
    "refusal of logprobs left out": lambda data: data["choices"][0]["logprobs"].pop("refusal"),
    "bytes left out": lambda data: data["choices"][0]["logprobs"]["content"][0].pop("bytes"),
    "details that are null": lambda data: data["usage"].update(prompt_tokens_details=None),
    "calls that are null": lambda data: data["choices"][0]["message"].update(tool_calls=None),
    "details that are a list": lambda data: data["usage"].update(prompt_tokens_details=[]),
    "a foreign finish reason": lambda data: data["choices"][0].update(finish_reason="error"),
    "a finish that is open": lambda data: data["choices"][0].update(finish_reason=None),
    "a number as text": lambda data: data.update(created="1"),
    "a boolean as number": lambda data: data["choices"][0].update(index=True),
    "another object": lambda data: data.update(object="chat.completion.chunk"),
    "no list": lambda data: data.update(choices={}),
}


def test_a_good_answer_passes() -> None:
    """Otherwise nothing here would mean anything."""
    check_chat(CHAT)
    check_chat_chunk(CHUNK)


@pytest.mark.parametrize("foul", FOULS)
def test_the_models_see_each_foul(foul: str) -> None:
    """Whatever a client could stumble over."""
    data = copy.deepcopy(CHAT)
    FOULS[foul](data)
    with pytest.raises(OutOfShape):
        check_model(ChatCompletion, data)


@pytest.mark.parametrize("foul", FOULS)
@pytest.mark.skipif(not PUBLISHED.is_file(), reason="OpenAI's published schema is not at hand")
def test_the_published_schema_sees_each_foul(foul: str) -> None:
    """By itself."""
    data = copy.deepcopy(CHAT)
    FOULS[foul](data)
    with pytest.raises(OutOfShape):
        check_published("CreateChatCompletionResponse", data)


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0, "delta": {"content": "x"}, "logprobs": None},
        {"index": 0, "delta": {"thought": "x"}, "finish_reason": None},
        {"index": 0, "delta": {"tool_calls": [{"id": "x"}]}, "finish_reason": None},
        {"index": 0, "delta": {"role": "robot"}, "finish_reason": None},
    ],
)
def test_chunks_are_judged_too(choice: Any) -> None:
    """An open finish is said, deltas hold what OpenAI's hold."""
    with pytest.raises(OutOfShape):
        check_chat_chunk({**CHUNK, "choices": [choice]})


def test_a_chunk_of_a_completion_may_be_open() -> None:
    """The package has no model of its own for it."""
    chunk = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "x", "logprobs": None, "finish_reason": None}],
    }
    check_completion_chunk(chunk)
    del chunk["choices"][0]["finish_reason"]  # type: ignore[attr-defined]
    with pytest.raises(OutOfShape):
        check_completion_chunk(chunk)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="OpenAI's published schema is not at hand")
def test_the_schemas_of_answers_speak_of_shapes_only() -> None:
    """Of values they list a few words; so one answer of a shape stands for all."""
    document = json.loads(PUBLISHED.read_text())["components"]["schemas"]
    limits = {"minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "pattern"}
    reached = {"ChatCompletionModeration"}  # nobody moderates here

    def look(schema: Any, field: str = "") -> None:
        if isinstance(schema, list):
            for inner in schema:
                look(inner, field)
        if not isinstance(schema, dict):
            return
        assert not limits & schema.keys()
        assert "enum" not in schema or field in WORDS
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and name not in reached:
            reached.add(name)
            look(document[name], field)
        for key, inner in schema.items():
            if key == "properties":
                for each, value in inner.items():
                    look(value, each)
            elif key != "enum":
                look(inner, field)

    for name in ("CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"):
        look(document[name])
    for name in ("CreateCompletionResponse", "CreateEmbeddingResponse", "ErrorResponse"):
        look(document[name])
    assert len(reached) > 5
