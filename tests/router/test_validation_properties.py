"""Whatever JSON comes in whatever field: a request, or a refusal that names a place in the body."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples

from hoonify_router.errors import InvalidJSON, InvalidRequest, MissingParameter
from hoonify_router.parsing import parse_chat, parse_completion, parse_embedding
from hoonify_router.support import Support
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    InferenceRequest,
)
from hoonify_router.validation import check_values

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"minimum": 1}}}}
RICH_CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s", "name": "n"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
        {"role": "tool", "tool_call_id": "c", "content": "5"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "max_tokens": 5,
    "n": 2,
    "seed": 1,
    "stop": ["a"],
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
    },
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "functions": [FUNCTION],
    "function_call": {"name": "f"},
    "modalities": ["text"],
    "audio": {"voice": {"id": "v"}, "format": "wav"},
    "prediction": {"type": "content", "content": [{"type": "text", "text": "t"}]},
    "web_search_options": {"user_location": {"type": "approximate", "approximate": {}}},
    "moderation": {"model": "m", "policy": {"input": {"mode": "score"}}},
    "metadata": {"a": "b"},
    "prompt_cache_options": {"ttl": "30m"},
    "chat_template_kwargs": {"a": [1]},
}
RICH_COMPLETION: dict[str, Any] = {
    "model": "m",
    "prompt": [[1, 2], [3]],
    "n": 2,
    "best_of": 2,
    "max_tokens": 5,
    "echo": True,
    "logprobs": 3,
    "logit_bias": {"1": 2},
    "stream": True,
    "stream_options": {"include_usage": True},
}
RICH_EMBEDDING: dict[str, Any] = {
    "model": "m",
    "input": ["a", "b"],
    "encoding_format": "float",
    "dimensions": 5,
}
KINDS: list[tuple[type[InferenceRequest], Callable[[bytes], Any], dict[str, Any]]] = [
    (ChatRequest, parse_chat, RICH_CHAT),
    (CompletionRequest, parse_completion, RICH_COMPLETION),
    (EmbeddingRequest, parse_embedding, RICH_EMBEDDING),
]

leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**400, 1e308, -0.0, 5.0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["text", "function", "auto", "user", "tool", "x" * 300, "a`b", "$.a[...]"])
)
keys = st.text(max_size=4) | st.sampled_from(
    ["type", "text", "function", "name", "a.b", "x - at `$.n", "k" * 300]
)
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)


def encode(value: Any) -> bytes:
    """Return JSON; integers may have any number of digits."""
    return msgspec.json.encode(value)


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the names of all places in a body, as ``param`` writes them."""
    yield path[:200]
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from paths(entry, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for place, entry in enumerate(value):
            yield from paths(entry, f"{path}[{place}]")


def refusal_of(parse: Callable[[bytes], Any], body: Any) -> InvalidRequest | None:
    """Parse and check a body; return why it was refused."""
    try:
        request = parse(encode(body))
        check_values(request)
        Support("m", frozenset(), images=True, tasks=frozenset({request.task})).check(request)
    except InvalidRequest as refusal:
        return refusal
    msgspec.msgpack.encode(request)  # an engine worker can be asked
    msgspec.json.encode(request)
    return None


def judge(parse: Callable[[bytes], Any], body: Any) -> None:
    """Make sure that a body is a request, or refused with the name of a place that it has."""
    refusal = refusal_of(parse, body)
    if refusal is None or isinstance(refusal, InvalidJSON):
        return
    refusal.message.encode()
    assert len(refusal.message) < 700
    known = set(paths(body))
    if isinstance(refusal, MissingParameter):
        assert refusal.param is not None
        assert refusal.param not in known or place(body, refusal.param) is None
        assert refusal.param.rpartition(".")[0] in known
    elif isinstance(body, dict):
        assert refusal.param in known
    else:
        assert refusal.param is None


def place(body: Any, param: str) -> Any:
    """Return what stands at a place, where its name leaves no doubt."""
    for step in param.replace("[", ".").replace("]", "").split("."):
        body = body[int(step)] if isinstance(body, list) else body.get(step)
    return body


@pytest.mark.parametrize(("kind", "parse", "rich"), KINDS, ids=lambda one: "")
def test_the_rich_body_is_good(
    kind: type, parse: Callable[[bytes], Any], rich: dict[str, Any]
) -> None:
    """Or nothing below would mean much."""
    request = parse(encode(rich))
    assert type(request) is kind
    check_values(request)


@settings(max_examples=examples(300))
@given(st.data())
def test_any_value_in_any_field(data: st.DataObject) -> None:
    """Every field of every kind of request, and some that no request has."""
    kind, parse, rich = data.draw(st.sampled_from(KINDS))
    name = data.draw(st.sampled_from(kind.__struct_fields__) | keys)
    small = {key: rich[key] for key in kind.__struct_fields__[:2]}
    judge(parse, {**small, name: data.draw(anything)})


@settings(max_examples=examples(500))
@given(st.data())
def test_any_value_at_any_place(data: st.DataObject) -> None:
    """A good body with one place changed, taken away, or given a key more."""
    _, parse, rich = data.draw(st.sampled_from(KINDS))
    body = {"": copy.deepcopy(rich)}
    holder: Any = body
    key: Any = ""
    while isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.integers(0, 4)):
        holder = holder[key]
        steps = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = data.draw(st.sampled_from(steps))
    deed = data.draw(st.sampled_from(["change", "remove", "add"]))
    if deed == "add" and isinstance(holder[key], dict):
        holder[key][data.draw(keys)] = data.draw(anything)
    elif deed == "remove" and holder is not body:
        del holder[key]
    else:
        holder[key] = data.draw(anything)
    judge(parse, body[""])


@settings(max_examples=examples(100))
@given(anything)
def test_any_body(body: Any) -> None:
    """It need not even be an object."""
    for _, parse, _ in KINDS:
        judge(parse, body)
