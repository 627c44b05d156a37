"""An answer in one piece is exactly OpenAI's object."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from tests.router.reading import published, strict

from hoonify_router.completion import Completion
from hoonify_router.errors import EngineDead, RouterError
from hoonify_router.types import TokenLogprob, ToolCall, Usage


class Mail:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []

    def send(self, status: int, body: bytes) -> None:
        self.sent.append((status, body))


def make(choices: int = 1) -> tuple[Completion, Mail, list[RouterError | None]]:
    """Return an answer, where it goes and how it ended."""
    mail, ends = Mail(), []
    identity = ("chatcmpl-1", 1_760_000_000, "tiny-chat")
    answer = Completion(mail, identity, choices, lambda: ends.append(answer.error))
    return answer, mail, ends


def read(mail: Mail) -> dict[str, Any]:
    """Return the one answer that was sent, checked against OpenAI's own types."""
    ((status, body),) = mail.sent
    assert status == 200
    told: dict[str, Any] = json.loads(body)
    strict(ChatCompletion.model_validate(told, strict=True))
    published("CreateChatCompletionResponse", told)
    assert set(told) <= {"id", "object", "created", "model", "choices", "usage"}
    for choice in told["choices"]:
        assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
        assert {"role", "content", "refusal"} <= set(choice["message"])
    return told


def test_texts_come_together() -> None:
    """With the fields that the schema requires, null where there is nothing."""
    answer, mail, ends = make()
    answer.text("Hel")
    answer.text("lo ä")
    answer.finish("stop")
    answer.count(Usage(3, 2))
    answer.complete()
    assert ends == [None]
    assert mail.sent == []
    answer.close()
    told = read(mail)
    assert told["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello ä", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert told["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert (told["id"], told["created"], told["model"]) == (
        "chatcmpl-1",
        1_760_000_000,
        "tiny-chat",
    )


def test_tool_calls_have_no_content() -> None:
    """Null content, and each call in one piece under an id of its own."""
    answer, mail, _ = make()
    answer.text("", 0, [TokenLogprob(b"<call>", -0.5)])
    answer.tool_call(ToolCall(0, "f", '{"a"'))
    answer.tool_call(ToolCall(1, "g"), "call_theirs")
    answer.tool_call(ToolCall(0, "", ":1}"))
    answer.finish("tool_calls")
    answer.complete()
    answer.close()
    choice = read(mail)["choices"][0]
    message = choice["message"]
    assert message["content"] is None
    first, second = message["tool_calls"]
    assert first["id"].startswith("call_")
    assert first["type"] == "function"
    assert first["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert second["id"] == "call_theirs"
    assert second["function"] == {"name": "g", "arguments": ""}
    assert choice["logprobs"]["content"][0]["token"] == "<call>"
    assert choice["finish_reason"] == "tool_calls"


def test_a_text_beside_tool_calls_stays() -> None:
    """Some models explain what they do."""
    answer, mail, _ = make()
    answer.text("Let me see.")
    answer.tool_call(ToolCall(0, "f", "{}"))
    answer.finish("tool_calls")
    answer.complete()
    answer.close()
    assert read(mail)["choices"][0]["message"]["content"] == "Let me see."


def test_calls_with_gaps_break_the_answer() -> None:
    """The same truth as in streams."""
    answer, mail, ends = make()
    answer.tool_call(ToolCall(1, "f"))
    assert isinstance(ends[0], EngineDead)
    assert mail.sent == []


def test_log_probabilities_are_told_token_by_token() -> None:
    """With the exact bytes of half a character."""
    answer, mail, _ = make()
    answer.text("", 0, [])
    answer.text("é", 0, [TokenLogprob(b"\xc3", -0.5), TokenLogprob(b"\xa9", float("-inf"))])
    answer.finish("stop")
    answer.complete()
    answer.close()
    logprobs = read(mail)["choices"][0]["logprobs"]
    assert logprobs["refusal"] is None
    assert [one["bytes"] for one in logprobs["content"]] == [[0xC3], [0xA9]]
    assert [one["logprob"] for one in logprobs["content"]] == [-0.5, -9999.0]


def test_a_refusal_stands_where_the_schema_wants_it() -> None:
    """Not twice."""
    answer, mail, _ = make()
    answer.parts({"refusal": "No."}, 0, {"content": None, "refusal": []})
    answer.finish("stop")
    answer.complete()
    answer.close()
    choice = read(mail)["choices"][0]
    assert choice["message"]["refusal"] == "No."
    assert choice["logprobs"] == {"content": None, "refusal": []}


def test_reasoning_is_told_beside_the_answer() -> None:
    """As open models' clients expect it."""
    answer, mail, _ = make()
    answer.reasoning("Hm")
    answer.reasoning("m.")
    answer.text("Yes.")
    answer.finish("stop")
    answer.complete()
    answer.close()
    message = read(mail)["choices"][0]["message"]
    assert message["reasoning_content"] == "Hmm."
    assert message["content"] == "Yes."


def test_an_engine_that_says_nothing_answers_with_an_empty_text() -> None:
    """Not with null, which stands for tool calls."""
    answer, mail, _ = make()
    answer.finish("stop")
    answer.complete()
    answer.close()
    assert read(mail)["choices"][0]["message"]["content"] == ""


def test_every_choice_must_finish() -> None:
    """Two were asked for, one came."""
    answer, _, ends = make(choices=2)
    answer.text("a", 0)
    answer.finish("stop", 0)
    answer.complete()
    assert isinstance(ends[0], EngineDead)


@given(st.lists(st.text(max_size=8), max_size=5), st.text(min_size=1, max_size=20))
def test_any_text_survives(texts: list[str], model: str) -> None:
    """Quotes, control characters, emoji: JSON takes them all."""
    mail = Mail()
    answer = Completion(mail, ("chatcmpl-1", 1, model), 1, lambda: None)
    for text in texts:
        answer.text(text)
    answer.finish("stop")
    answer.complete()
    answer.close()
    told = read(mail)
    assert told["choices"][0]["message"]["content"] == "".join(texts)
    assert told["model"] == model
