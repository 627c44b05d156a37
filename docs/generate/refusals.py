"""Tables of requests that are refused, with what clients really get."""

from __future__ import annotations

import json
from typing import Any, cast

from hoonify_router.api import RequestContext
from hoonify_router.errors import RouterError
from hoonify_router.parsing import parse_request
from hoonify_router.support import Support
from hoonify_router.types import Task
from hoonify_router.validation import check_values

_HI = {"role": "user", "content": "Hello!"}
_GOOD: dict[str, dict[str, Any]] = {
    "chat": {"model": "tiny-chat", "messages": [_HI]},
    "completion": {"model": "tiny-chat", "prompt": "Once"},
    "embedding": {"model": "tiny-embed", "input": "Hello!"},
}
_REFUSED: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {"messages": None},
        {"messages": []},
        {"messages": [_HI, {"role": "user", "content": 5}]},
        {"messages": [{"role": "tool", "content": "5"}]},
        {"temperature": "hot"},
        {"temperature": 3},
        {"max_tokens": 0},
        {"n": 1.0},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"logit_bias": {"50256": 101}},
        {"top_logprobs": 2},
        {"tool_choice": "required"},
        {"tools": [{"type": "function", "function": {"name": "get weather"}}]},
        {"response_format": {"type": "xml"}},
        {"temprature": 1},
        {"web_search_options": {}},
        {"store": True},
    ],
    "completion": [
        {"prompt": []},
        {"prompt": ["Once", 5]},
        {"prompt": [15, -1]},
        {"logprobs": 6},
        {"best_of": 1, "n": 2},
        {"max_tokens": 0},
        {"stream_options": {"include_usage": True}},
        {"messages": [_HI]},
        {"suffix": "upon a time"},
    ],
    "embedding": [
        {"input": ""},
        {"input": ["Hello!", [1, 2]]},
        {"input": [[]]},
        {"dimensions": 0},
        {"dimensions": 64},
        {"encoding_format": "int8"},
        {"stream": True},
    ],
}
_HONOURED = frozenset({"temperature", "max_tokens", "n", "stop", "logit_bias", "tools", "logprobs"})


def refusal_table(task: str) -> str:
    """Return a row per request that is refused; each has been tried on the real parser and checks."""
    rows = ["| in the request | status | `code` | `param` | `message` |", "|---|---|---|---|---|"]
    for given in _REFUSED[task]:
        error = _try(cast(Task, task), _GOOD[task] | given)
        shown = json.dumps(given)[1:-1]
        param = f"`{error.param}`"
        message = error.message.replace("|", "\\|")
        rows.append(f"| `{shown}` | {error.status} | `{error.code}` | {param} | {message} |")
    return "\n".join(rows)


def _try(task: Task, given: dict[str, Any]) -> RouterError:
    ctx = RequestContext("docs", "POST", "/", {"content-type": "application/json"}, "", 0.0)
    ctx.body = json.dumps(given).encode()
    if (problem := parse_request(ctx, task)) is not None:
        return problem
    assert ctx.request is not None
    try:
        check_values(ctx.request)
        Support(ctx.request.model, _HONOURED, images=False, tasks=frozenset({task})).check(
            ctx.request
        )
    except RouterError as error:
        return error
    raise AssertionError(f"this request is taken: {given}")
