"""400 or 422, with type, code, param and message: what clients are promised, row by row, without HTTP."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hoonify_router.api import RequestContext
from hoonify_router.errors import RouterError, envelope
from hoonify_router.parsing import parse_request
from hoonify_router.support import Support
from hoonify_router.types import Task
from hoonify_router.validation import check_values

HI = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f"}}
BASE: dict[Task, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [HI]},
    "completion": {"model": "m", "prompt": "hi"},
    "embedding": {"model": "m", "input": "hi"},
}


def refusal(task: Task, body: bytes, content_type: str = "application/json") -> RouterError:
    """Take a body as far as a home, and return what stops it; the home honours seeds alone."""
    ctx = RequestContext("r", "POST", "/", {"content-type": content_type}, "", 0.0)
    ctx.body = body
    problem = parse_request(ctx, task)
    if problem is None and ctx.request is not None:
        try:
            check_values(ctx.request)
            Support("m", frozenset({"seed"}), images=False, tasks=frozenset({task})).check(
                ctx.request
            )
        except RouterError as error:
            problem = error
    assert problem is not None, "the request was taken"
    return problem


Row = tuple[dict[str, Any], int, str, str, str]

# fmt: off
CHAT: list[Row] = [
    # 400: something is missing, of a wrong type, unknown, or not for this model
    ({"model": ...}, 400, "missing_required_parameter", "model", "Missing required parameter: 'model'."),
    ({"messages": ...}, 400, "missing_required_parameter", "messages", "Missing required parameter: 'messages'."),
    ({"messages": [HI, {"content": "x"}]}, 400, "missing_required_parameter", "messages[1].role", "Missing required parameter: 'messages[1].role'."),
    ({"messages": [HI, {"role": "user"}]}, 400, "missing_required_parameter", "messages[1].content", "Missing required parameter: 'messages[1].content'."),
    ({"messages": [{"role": "tool", "content": "5"}]}, 400, "missing_required_parameter", "messages[0].tool_call_id", "Missing required parameter: 'messages[0].tool_call_id'."),
    ({"messages": "hi"}, 400, "invalid_type", "messages", "Invalid type for 'messages': expected an array, but got a string."),
    ({"messages": [HI, {"role": "user", "content": 5}]}, 400, "invalid_type", "messages[1].content", "Invalid type for 'messages[1].content': expected a string or an array, but got an integer."),
    ({"temperature": "hot"}, 400, "invalid_type", "temperature", "Invalid type for 'temperature': expected a number, but got a string."),
    ({"max_tokens": 5.5}, 400, "invalid_type", "max_tokens", "Invalid type for 'max_tokens': expected an integer, but got a number."),
    ({"max_tokens": "5"}, 400, "invalid_type", "max_tokens", "Invalid type for 'max_tokens': expected an integer, but got a string."),
    ({"n": 1.0}, 400, "invalid_type", "n", "Invalid type for 'n': expected an integer, but got a number."),
    ({"stream": 1}, 400, "invalid_type", "stream", "Invalid type for 'stream': expected a boolean, but got an integer."),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}, 400, "invalid_type", "tools[0].function.parameters", "Invalid type for 'tools[0].function.parameters': expected an object, but got a string."),
    ({"logit_bias": {"1": 1, "50256": "x"}}, 400, "invalid_type", "logit_bias.50256", "Invalid type for 'logit_bias.50256': expected a number, but got a string."),
    ({"metadata": {"a": "b", "c": 5}}, 400, "invalid_type", "metadata.c", "Invalid type for 'metadata.c': expected a string, but got an integer."),
    ({"temprature": 1}, 400, "unknown_parameter", "temprature", "Unknown parameter: 'temprature'. Did you mean 'temperature'?"),
    ({"messages": [{**HI, "tone": "x"}]}, 400, "unknown_parameter", "messages[0].tone", "Unknown parameter: 'messages[0].tone'."),
    ({"temperature": 0.5}, 400, "unsupported_parameter", "temperature", "Unsupported parameter: 'temperature': the model 'm' cannot honour it here."),
    ({"moderation": {"model": "x"}}, 400, "unsupported_parameter", "moderation", "Unsupported parameter: 'moderation': the model 'm' cannot honour it here."),
    ({"store": True}, 400, "unsupported_parameter", "store", "Unsupported parameter: 'store': the router keeps no answers."),
    # 422: the right shape, an impossible value
    ({"temperature": 3}, 422, "invalid_value", "temperature", "Invalid value for 'temperature': it must be from 0 to 2, not 3."),
    ({"temperature": -0.5}, 422, "invalid_value", "temperature", "Invalid value for 'temperature': it must be from 0 to 2, not -0.5."),
    ({"max_tokens": 0}, 422, "invalid_value", "max_tokens", "Invalid value for 'max_tokens': it must be 1 or more, not 0."),
    ({"max_tokens": 2**63}, 422, "invalid_value", "max_tokens", "Invalid value for 'max_tokens': it is too large."),
    ({"repetition_penalty": 0}, 422, "invalid_value", "repetition_penalty", "Invalid value for 'repetition_penalty': it must be over 0 and at most 2, not 0."),
    ({"n": 129}, 422, "invalid_value", "n", "Invalid value for 'n': it must be from 1 to 128, not 129."),
    ({"messages": []}, 422, "invalid_value", "messages", "Invalid value for 'messages': it must not be empty."),
    ({"messages": [{"role": "wizard", "content": "x"}]}, 422, "invalid_value", "messages[0].role", "Invalid value for 'messages[0].role': it must be one of system, developer, user, assistant, tool, function, not 'wizard'."),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, 422, "invalid_value", "messages[0].content[0].type", "Invalid value for 'messages[0].content[0].type': it must be one of text, image_url, refusal, input_audio, file, not 'smell'."),
    ({"stop": ["a", "b", "c", "d", "e"]}, 422, "invalid_value", "stop", "Invalid value for 'stop': at most 4 items are allowed, not 5."),
    ({"stop": ["a", ""]}, 422, "invalid_value", "stop[1]", "Invalid value for 'stop[1]': it must not be empty."),
    ({"logit_bias": {"50256": 101}}, 422, "invalid_value", "logit_bias.50256", "Invalid value for 'logit_bias.50256': it must be from -100 to 100, not 101."),
    ({"reasoning_effort": "huge"}, 422, "invalid_value", "reasoning_effort", "Invalid value for 'reasoning_effort': it must be one of none, minimal, low, medium, high, xhigh, max, not 'huge'."),
    ({"tool_choice": "any"}, 422, "invalid_value", "tool_choice", "Invalid value for 'tool_choice': it must be one of none, auto, required, or an object, not 'any'."),
    ({"tool_choice": "required"}, 422, "invalid_value", "tool_choice", "Invalid value for 'tool_choice': it is only allowed together with 'tools'."),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, 422, "invalid_value", "tool_choice.function.name", "Invalid value for 'tool_choice.function.name': there is no such tool in 'tools'."),
    ({"top_logprobs": 2}, 422, "invalid_value", "top_logprobs", "Invalid value for 'top_logprobs': it is only allowed when 'logprobs' is true."),
    ({"stream_options": {}}, 422, "invalid_value", "stream_options", "Invalid value for 'stream_options': it is only allowed when 'stream' is true."),
    # several problems: the first
    ({"temperature": 3, "top_p": 3, "n": "x"}, 422, "invalid_value", "temperature", "Invalid value for 'temperature': it must be from 0 to 2, not 3."),
]
COMPLETION: list[Row] = [
    ({"prompt": ...}, 400, "missing_required_parameter", "prompt", "Missing required parameter: 'prompt'."),
    ({"prompt": 5}, 400, "invalid_type", "prompt", "Invalid type for 'prompt': expected a string or an array, but got an integer."),
    ({"prompt": ["a", 5]}, 400, "invalid_type", "prompt[1]", "Invalid type for 'prompt[1]': expected the same type as the items before it."),
    ({"prompt": [[1], "a"]}, 400, "invalid_type", "prompt[1]", "Invalid type for 'prompt[1]': expected the same type as the items before it."),
    ({"prompt": [[1], ["a"]]}, 400, "invalid_type", "prompt[1][0]", "Invalid type for 'prompt[1][0]': expected an integer, but got a string."),
    ({"messages": [HI]}, 400, "unknown_parameter", "messages", "Unknown parameter: 'messages'."),
    ({"suffix": "x"}, 400, "unsupported_parameter", "suffix", "Unsupported parameter: 'suffix': the model 'm' cannot honour it here."),
    ({"prompt": []}, 422, "invalid_value", "prompt", "Invalid value for 'prompt': it must not be empty."),
    ({"prompt": [[1], []]}, 422, "invalid_value", "prompt[1]", "Invalid value for 'prompt[1]': it must not be empty."),
    ({"prompt": [1, -1]}, 422, "invalid_value", "prompt[1]", "Invalid value for 'prompt[1]': it must be 0 or more, not -1."),
    ({"prompt": ["a"] * 2049}, 422, "invalid_value", "prompt", "Invalid value for 'prompt': at most 2048 are allowed, not 2049."),
    ({"prompt": ["a"] * 17, "n": 128}, 422, "invalid_value", "n", "Invalid value for 'n': at most 2048 answers are allowed, not 'n' times the prompts, which is 2176."),
    ({"max_tokens": 0}, 422, "invalid_value", "max_tokens", "Invalid value for 'max_tokens': it may be 0 only when 'echo' is true."),
    ({"max_tokens": -1}, 422, "invalid_value", "max_tokens", "Invalid value for 'max_tokens': it must be 0 or more, not -1."),
    ({"logprobs": 6}, 422, "invalid_value", "logprobs", "Invalid value for 'logprobs': it must be from 0 to 5, not 6."),
    ({"logprobs": True}, 400, "invalid_type", "logprobs", "Invalid type for 'logprobs': expected an integer, but got a boolean."),
    ({"best_of": 1, "n": 2}, 422, "invalid_value", "best_of", "Invalid value for 'best_of': it must be at least 'n', which is 2."),
    ({"best_of": 2, "stream": True}, 422, "invalid_value", "best_of", "Invalid value for 'best_of': the best answers cannot be known while they are streamed."),
    ({"logit_bias": {"x": 1}}, 422, "invalid_value", "logit_bias.x", "Invalid value for 'logit_bias.x': its keys must be token ids."),
    ({"stream_options": {"include_usage": True}}, 422, "invalid_value", "stream_options", "Invalid value for 'stream_options': it is only allowed when 'stream' is true."),
]
EMBEDDING: list[Row] = [
    ({"input": ...}, 400, "missing_required_parameter", "input", "Missing required parameter: 'input'."),
    ({"input": None}, 400, "invalid_type", "input", "Invalid type for 'input': expected a string or an array, but got null."),
    ({"input": ["a", [1]]}, 400, "invalid_type", "input[1]", "Invalid type for 'input[1]': expected the same type as the items before it."),
    ({"stream": True}, 400, "unknown_parameter", "stream", "Unknown parameter: 'stream'."),
    ({"dimensions": 5}, 400, "unsupported_parameter", "dimensions", "Unsupported parameter: 'dimensions': the model 'm' cannot honour it here."),
    ({"input": ""}, 422, "invalid_value", "input", "Invalid value for 'input': it must not be empty."),
    ({"input": ["a", ""]}, 422, "invalid_value", "input[1]", "Invalid value for 'input[1]': it must not be empty."),
    ({"input": [[]]}, 422, "invalid_value", "input[0]", "Invalid value for 'input[0]': it must not be empty."),
    ({"input": ["a"] * 2049}, 422, "invalid_value", "input", "Invalid value for 'input': at most 2048 are allowed, not 2049."),
    ({"dimensions": 0}, 422, "invalid_value", "dimensions", "Invalid value for 'dimensions': it must be 1 or more, not 0."),
    ({"encoding_format": "int8"}, 422, "invalid_value", "encoding_format", "Invalid value for 'encoding_format': it must be one of float, base64, not 'int8'."),
]
# fmt: on
ROWS = [
    pytest.param(task, row, id=f"{task}-{row[3]}-{row[2]}")
    for task, rows in (("chat", CHAT), ("completion", COMPLETION), ("embedding", EMBEDDING))
    for row in rows
]


@pytest.mark.parametrize(("task", "row"), ROWS)
def test_the_refusal_is_as_promised(task: Task, row: Row) -> None:
    """Status, type, code, param and message, exactly."""
    fields, status, code, param, message = row
    given = {name: value for name, value in (BASE[task] | fields).items() if value is not ...}
    error = refusal(task, msgspec.json.encode(given))
    assert error.status == status
    assert envelope(error)["error"] == {
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "code": code,
    }


@pytest.mark.parametrize("task", BASE)
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", "application/json", 400, "invalid_json"),
        (b"{", "application/json", 400, "invalid_json"),
        (b'{"model":NaN}', "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 400, "invalid_type"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_is_none_names_no_field(
    task: Task, body: bytes, content_type: str, status: int, code: str
) -> None:
    """Nothing in it can be at fault."""
    error = refusal(task, body, content_type)
    assert (error.status, error.code) == (status, code)
    assert error.param is None


POSSIBLE: list[tuple[Task, dict[str, Any]]] = [
    ("completion", {"prompt": ["a", "b"], "n": 1}),
    ("completion", {"prompt": [1, 2]}),
    ("completion", {"prompt": [[1], [2]]}),
    ("completion", {"prompt": ""}),
    ("completion", {"prompt": list(range(5000))}),
    ("completion", {"prompt": "x", "best_of": 1, "seed": 1}),
    ("embedding", {"input": "a", "encoding_format": "base64", "user": "u"}),
    ("embedding", {"input": ["a", "b"]}),
    ("embedding", {"input": [1, 2, 3]}),
    ("embedding", {"input": [[1], [2]]}),
]


@pytest.mark.parametrize(("task", "fields"), POSSIBLE)
def test_all_forms_of_a_prompt_are_taken(task: Task, fields: dict[str, Any]) -> None:
    """One text, several, one as tokens, several as tokens."""
    ctx = RequestContext("r", "POST", "/", {"content-type": "application/json"}, "", 0.0)
    ctx.body = msgspec.json.encode(BASE[task] | fields)
    assert parse_request(ctx, task) is None
    assert ctx.request is not None
    check_values(ctx.request)
