"""What a home cannot honour is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hoonify_router.errors import Unsupported, WrongEndpoint
from hoonify_router.support import Support
from hoonify_router.types import CORE_PARAMETERS, ChatRequest, CompletionRequest, EmbeddingRequest

TEXT = {"type": "text", "text": "what is this?"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
FILE = {"type": "file", "file": {}}
TOOL = {"type": "function", "function": {"name": "f"}}


def chat(content: Any = "hi", **fields: Any) -> ChatRequest:
    given = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return msgspec.json.decode(msgspec.json.encode(given), type=ChatRequest)


NOTHING = Support("m", frozenset(), images=False)

ASKS_FOR_SOMETHING: list[dict[str, Any]] = [
    {"temperature": 0.7},
    {"top_p": 0.9},
    {"max_tokens": 5},
    {"max_completion_tokens": 5},
    {"n": 2},
    {"seed": 1},
    {"stop": "x"},
    {"frequency_penalty": 0.1},
    {"presence_penalty": -0.1},
    {"logit_bias": {"1": 1}},
    {"logprobs": True},
    {"response_format": {"type": "json_object"}},
    {"tools": [TOOL]},
    {"functions": [{"name": "f"}]},
    {"reasoning_effort": "low"},
    {"verbosity": "high"},
    {"modalities": ["text", "audio"]},
    {"audio": {"voice": "x"}},
    {"prediction": {"type": "content"}},
    {"web_search_options": {}},
    {"top_k": 5},
    {"min_p": 0.1},
    {"repetition_penalty": 1.1},
    {"ignore_eos": True},
    {"chat_template_kwargs": {"enable_thinking": False}},
]


@pytest.mark.parametrize("fields", ASKS_FOR_SOMETHING)
def test_a_field_that_the_home_lacks_is_refused_by_name(fields: dict[str, Any]) -> None:
    """And served where the home honours it."""
    (name,) = fields
    with pytest.raises(Unsupported) as caught:
        NOTHING.check(chat(**fields))
    assert caught.value.param == name
    assert f"'{name}'" in caught.value.message
    Support("m", frozenset({name}), images=False).check(chat(**fields))
    Support("m", None, images=False).check(chat(**fields))


ASKS_FOR_NOTHING: list[dict[str, Any]] = [
    {"temperature": 1},
    {"top_p": 1},
    {"n": 1},
    {"frequency_penalty": 0},
    {"presence_penalty": 0.0},
    {"logprobs": False},
    {"top_logprobs": 0},
    {"logit_bias": {}},
    {"stop": []},
    {"tools": []},
    {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
    {"tool_choice": "none"},
    {"functions": [], "function_call": "none"},
    {"response_format": {"type": "text"}},
    {"modalities": ["text"]},
    {"top_k": -1},
    {"min_p": 0},
    {"repetition_penalty": 1},
    {"ignore_eos": False},
    {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"},
    {"stream": True, "stream_options": {"include_usage": True}},
]


@pytest.mark.parametrize("fields", ASKS_FOR_NOTHING)
def test_a_neutral_value_may_pass(fields: dict[str, Any]) -> None:
    """It changes nothing, so no home needs to know it."""
    NOTHING.check(chat(**fields))


def test_the_two_names_of_the_token_limit_are_one() -> None:
    """A home that honours one of them honours both."""
    for known in ("max_tokens", "max_completion_tokens"):
        support = Support("m", frozenset({known}), images=False)
        support.check(chat(max_tokens=5, max_completion_tokens=5))


def test_an_answer_is_not_stored() -> None:
    """Where a home would, it is still not ours to promise."""
    with pytest.raises(Unsupported) as caught:
        Support("m", None, images=True).check(chat(store=True))
    assert caught.value.param == "store"


def test_images_need_a_model_that_sees() -> None:
    """The error names the part."""
    with pytest.raises(Unsupported) as caught:
        Support("m", None, images=False).check(chat([TEXT, IMAGE]))
    assert caught.value.param == "messages[0].content[1]"
    Support("m", None, images=True).check(chat([TEXT, IMAGE]))


@pytest.mark.parametrize("part", [SOUND, FILE])
def test_sound_and_files_are_refused(part: dict[str, Any]) -> None:
    """No home takes them."""
    with pytest.raises(Unsupported) as caught:
        Support("m", None, images=True).check(chat([part]))
    assert caught.value.param == "messages[0].content[0]"


def test_an_earlier_spoken_answer_is_for_a_server_that_may_have_it() -> None:
    """An engine of ours would drop it without a word."""
    spoken = {"role": "assistant", "audio": {"id": "a"}}
    given = {"model": "m", "messages": [spoken]}
    request = msgspec.json.decode(msgspec.json.encode(given), type=ChatRequest)
    with pytest.raises(Unsupported) as caught:
        NOTHING.check(request)
    assert caught.value.param == "messages[0].audio"
    Support("m", None, images=False).check(request)


def test_one_single_missing_field_is_found() -> None:
    """The look-up of one value differs from that of many."""
    known = frozenset(ChatRequest.__struct_fields__) - CORE_PARAMETERS - {"seed"}
    support = Support("m", known, images=False)
    support.check(chat(temperature=0.5))
    with pytest.raises(Unsupported):
        support.check(chat(seed=1))


def completion(**fields: Any) -> CompletionRequest:
    told = {"model": "m", "prompt": "Once", **fields}
    return msgspec.json.decode(msgspec.json.encode(told), type=CompletionRequest)


def embedding(**fields: Any) -> EmbeddingRequest:
    told = {"model": "m", "input": "Once", **fields}
    return msgspec.json.decode(msgspec.json.encode(told), type=EmbeddingRequest)


TEXTS = Support("m", frozenset(), images=False, tasks=frozenset({"completion", "embedding"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": 0},
        {"logprobs": 2},
        {"best_of": 2},
        {"best_of": 3, "n": 2},
        {"echo": True},
        {"suffix": "."},
        {"seed": 1},
    ],
)
def test_a_completion_s_field_that_the_home_lacks_is_refused(fields: dict[str, Any]) -> None:
    """Zero logprobs are those of the sampled tokens: not nothing, although 0 == False."""
    name = next(iter(fields))
    support = Support("m", frozenset({"n"}), images=False, tasks=frozenset({"completion"}))
    with pytest.raises(Unsupported) as caught:
        support.check(completion(**fields))
    assert caught.value.param == name
    honours = frozenset(fields) | {"n"}
    Support("m", honours, images=False, tasks=frozenset({"completion"})).check(completion(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"best_of": 1},
        {"best_of": 1, "n": 1},
        {"echo": False},
        {"suffix": ""},
        {"suffix": None},
        {"logprobs": None},
        {"temperature": 1},
        {"prompt": [1, 2]},
        {"stream": True, "stream_options": {"include_usage": True}, "user": "u"},
    ],
)
def test_a_completion_s_neutral_value_may_pass(fields: dict[str, Any]) -> None:
    """The best one of one is that one."""
    TEXTS.check(completion(**fields))


def test_the_best_n_of_n_are_all() -> None:
    """A home that makes n answers makes the best n of n."""
    support = Support("m", frozenset({"n"}), images=False, tasks=frozenset({"completion"}))
    support.check(completion(n=3, best_of=3))


def test_an_embedding_s_dimensions_must_be_honoured() -> None:
    """Input and form are the router's own business."""
    TEXTS.check(embedding(encoding_format="base64", user="u"))
    with pytest.raises(Unsupported) as caught:
        TEXTS.check(embedding(dimensions=8))
    assert caught.value.param == "dimensions"


def test_a_home_is_asked_only_for_what_it_does() -> None:
    """The error says where the model is served."""
    with pytest.raises(WrongEndpoint) as caught:
        TEXTS.check(chat())
    assert caught.value.param == "model"
    assert "/v1/completions and /v1/embeddings" in caught.value.message
    with pytest.raises(WrongEndpoint):
        NOTHING.check(embedding())
