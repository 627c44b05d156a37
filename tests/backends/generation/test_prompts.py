"""From a request to tokens, sampling and limits; or a refusal with the parameter's name."""

from __future__ import annotations

from typing import Any

import pytest

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.plan import Plan
from hoonify_backends.generation.prompts import PromptReader
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.generation.structure import Structures
from hoonify_backends.generation.template import ChatTemplate
from hoonify_router.errors import ContextLengthExceeded, InvalidValue
from hoonify_router.types import ChatRequest, CompletionRequest, Message

VOCABULARY = 1280
EOS = frozenset({1})


@pytest.fixture
def reader(tokenizer: Any) -> PromptReader:
    """Prompts of exactly the messages' text, in a context of 32 tokens."""
    return PromptReader(
        ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", {}),
        tokenizer,
        Structures(tokenizer, VOCABULARY, EOS),
        defaults=Sampling(temperature=0.3, top_k=40, top_p=0.9),
        eos=EOS,
        context_length=32,
        vocabulary=VOCABULARY,
    )


def request(content: str = "Hello", **wishes: Any) -> ChatRequest:
    return ChatRequest("m", [Message("user", content)], **wishes)


def complete(prompt: Any = "Hello", **wishes: Any) -> CompletionRequest:
    return CompletionRequest("m", prompt, **wishes)


def tokens_of(plan: Plan) -> list[list[int]]:
    return [prompt.tokens for prompt in plan.prompts]


def answer_of(plan: Plan) -> Answer:
    """Return the first answer."""
    return next(plan.jobs()).answer


def limit_of(reader: PromptReader, **wishes: Any) -> int:
    """Return how many tokens the answer may have, by counting."""
    answer = answer_of(reader.read(request(ignore_eos=True, **wishes)))
    while answer.finish is None:
        answer.push(5)
    assert answer.finish == "length"
    return answer.tokens


def test_a_prompt_becomes_tokens(reader: PromptReader, tokenizer: Any) -> None:
    """Those of the rendered template, without any the tokenizer would add."""
    expected = tokenizer.encode("Hello", add_special_tokens=False).ids
    assert tokens_of(reader.read(request())) == [expected]


def test_the_client_wins_over_all_defaults(reader: PromptReader) -> None:
    """Field by field; what it leaves out stays."""
    sampling = reader.read(request(temperature=1.0, top_k=-1, seed=7)).sampling
    assert sampling == Sampling(temperature=1.0, top_p=0.9, top_k=0, seed=7)
    sampling = reader.read(request(top_p=0.5, min_p=0.1, repetition_penalty=1.2)).sampling
    assert sampling == Sampling(0.3, 0.5, 40, 0.1, 1.2)


def test_the_answer_has_the_rest_of_the_context(reader: PromptReader) -> None:
    """Unless the client wants less; the newer of the two names wins; more than there is room for is capped."""
    room = 32 - len(tokens_of(reader.read(request()))[0])
    assert limit_of(reader) == room
    assert limit_of(reader, max_tokens=3) == 3
    assert limit_of(reader, max_tokens=3, max_completion_tokens=4) == 4
    assert limit_of(reader, max_tokens=1000) == room


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_no_tokens_at_all_cannot_be_wished(reader: PromptReader, name: str) -> None:
    """The parameter is named."""
    with pytest.raises(InvalidValue) as caught:
        reader.read(request(**{name: 0}))
    assert caught.value.param == name


def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(
    reader: PromptReader, tokenizer: Any
) -> None:
    """There must be room for one token of an answer."""
    word = tokenizer.encode("a", add_special_tokens=False).ids
    assert len(word) == 1
    longest = "a\n" * 40
    tokens = tokenizer.encode(longest, add_special_tokens=False).ids
    with pytest.raises(ContextLengthExceeded) as caught:
        reader.read(request(longest))
    assert "32 tokens" in caught.value.message
    assert f"{len(tokens)} tokens" in caught.value.message
    assert caught.value.param == "messages"
    fitting = tokenizer.decode(tokens[:31])
    assert len(tokens_of(reader.read(request(fitting)))[0]) <= 31


def test_an_empty_prompt_is_refused(reader: PromptReader) -> None:
    """A template that renders to nothing gives the model nothing to continue."""
    with pytest.raises(InvalidValue):
        reader.read(request(""))


@pytest.mark.parametrize(
    ("stop", "stops"), [("x", True), (["x", "y"], True), ([], False), (None, False)]
)
def test_one_stop_string_or_several(
    reader: PromptReader, tokenizer: Any, stop: Any, stops: bool
) -> None:
    """A string, a list, an empty list or nothing."""
    answer = answer_of(reader.read(request(stop=stop)))
    for token in tokenizer.encode("ax", add_special_tokens=False).ids:
        answer.push(token)
    assert (answer.finish == "stop") is stops


@pytest.mark.parametrize("wishes", [{"stop": ""}, {"stop": ["a", ""]}, {"repetition_penalty": 0.0}])
def test_impossible_values_are_refused(reader: PromptReader, wishes: dict[str, Any]) -> None:
    """By the parameter's name."""
    with pytest.raises(InvalidValue) as caught:
        reader.read(request(**wishes))
    assert caught.value.param == next(iter(wishes))


def test_the_end_token_may_be_ignored(reader: PromptReader) -> None:
    """``ignore_eos`` is for benchmarks."""
    for ignore in (False, True):
        answer = answer_of(reader.read(request(ignore_eos=ignore)))
        answer.push(1)
        assert (answer.finish is None) is ignore
