"""From a request to tokens, sampling and limits; or a refusal with the parameter's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.backends.images import about, plain
from tokenizers import Tokenizer

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.plan import Plan
from hoonify_backends.generation.prompts import PromptReader, is_long
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.generation.sight import ImageMarks, Seen
from hoonify_backends.generation.structure import Structures
from hoonify_backends.generation.template import ChatTemplate
from hoonify_router.errors import ContextLengthExceeded, InvalidValue, Unsupported
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


def test_wishes_for_choosing_tokens_are_read(reader: PromptReader) -> None:
    """Those of OpenAI's that have no default of a model."""
    wishes = {"frequency_penalty": 0.5, "presence_penalty": -0.5, "logit_bias": {"7": 2, "0": -1}}
    sampling = reader.read(request(**wishes)).sampling
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (0.5, -0.5)
    assert sampling.logit_bias == ((7, 2), (0, -1))
    assert reader.read(complete(**wishes)).sampling == sampling


@pytest.mark.parametrize(
    "bias",
    [{"1280": 1}, {"-1": 1}, {"x": 1}, {"": 1}, {"٣": 1}, {"1.0": 1}, {"9" * 30: 1}, {"1": 101}],
)
def test_a_bias_for_no_token_or_out_of_range_is_refused(
    reader: PromptReader, bias: dict[str, float]
) -> None:
    """By its name, and with the range in the message."""
    with pytest.raises(InvalidValue) as caught:
        reader.read(request(logit_bias=bias))
    assert caught.value.param == f"logit_bias.{next(iter(bias))[:20]}"
    assert "1279" in caught.value.message or "100" in caught.value.message


def test_which_log_probabilities_are_told(reader: PromptReader) -> None:
    """A flag and a number in a chat, one number in a completion."""
    assert reader.read(request()).watched is None
    assert reader.read(request(logprobs=False, top_logprobs=0)).watched is None
    assert reader.read(request(logprobs=True)).watched == 0
    assert reader.read(request(logprobs=True, top_logprobs=20)).watched == 20
    assert reader.read(complete()).watched is None
    assert reader.read(complete(logprobs=0)).watched == 0
    assert reader.read(complete(logprobs=5)).watched == 5


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_impossible_log_probabilities_are_refused(
    reader: PromptReader, wishes: dict[str, Any], param: str
) -> None:
    """Too many, or without the flag that they need."""
    with pytest.raises(InvalidValue) as caught:
        reader.read(request(**wishes))
    assert caught.value.param == param


def test_prompts_of_a_completion(reader: PromptReader, tokenizer: Any) -> None:
    """A text, texts, tokens, lists of tokens; the tokenizer adds what it adds by itself."""
    hello, world = (tokenizer.encode(text).ids for text in ("Hello", "a world"))
    for prompt in ("Hello", ["Hello"], hello, [hello]):
        assert tokens_of(reader.read(complete(prompt))) == [hello]
    for prompts in (["Hello", "a world"], [hello, world]):
        assert tokens_of(reader.read(complete(prompts))) == [hello, world]


def test_a_post_processor_adds_its_tokens_to_completions_only(tokenizer: Any) -> None:
    """A chat's template writes them itself."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    with_start = Tokenizer.from_str(tokenizer.to_str())
    with_start.post_processor = TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", with_start.token_to_id("<|end|>"))]
    )
    template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", {})
    reader = PromptReader(
        template,
        with_start,
        Structures(with_start, VOCABULARY, EOS),
        defaults=Sampling(),
        eos=EOS,
        context_length=32,
        vocabulary=VOCABULARY,
    )
    plain = tokenizer.encode("Hello").ids
    assert tokens_of(reader.read(complete())) == [[with_start.token_to_id("<|end|>"), *plain]]
    assert tokens_of(reader.read(request())) == [plain]


def test_a_completion_has_sixteen_tokens_unless_it_says_otherwise(reader: PromptReader) -> None:
    """OpenAI's default; none at all is fine, and more than there is room for is capped."""
    room = 32 - len(tokens_of(reader.read(complete()))[0])
    for wish, limit in ((None, 16), (0, 0), (5, 5), (999, room)):
        [prompt] = reader.read(complete(max_tokens=wish)).prompts
        assert prompt.limit == limit


def test_an_echo_is_the_prompt(reader: PromptReader, tokenizer: Any) -> None:
    """As it was written, or what its tokens say."""
    tokens = tokenizer.encode("a world").ids
    openings = [p.opening for p in reader.read(complete(["Hello", "x"], echo=True)).prompts]
    assert openings == ["Hello", "x"]
    assert reader.read(complete(tokens, echo=True)).prompts[0].opening == "a world"
    assert reader.read(complete(tokens)).prompts[0].opening == ""


@pytest.mark.parametrize(
    ("prompt", "wishes", "error", "param"),
    [
        ("", {}, InvalidValue, "prompt"),
        (["a", ""], {}, InvalidValue, "prompt[1]"),
        ([5, 1280], {}, InvalidValue, "prompt[1]"),
        ([[5], [6, -1]], {}, InvalidValue, "prompt[1][1]"),
        ("a\n" * 40, {}, ContextLengthExceeded, "prompt"),
        (["a", "a\n" * 40], {}, ContextLengthExceeded, "prompt[1]"),
        ("a", {"max_tokens": -1}, InvalidValue, "max_tokens"),
        ("a", {"suffix": "b"}, Unsupported, "suffix"),
        ("a", {"best_of": 2}, Unsupported, "best_of"),
        ("a", {"best_of": 1, "n": 2}, InvalidValue, "best_of"),
        ("a", {"echo": True, "logprobs": 0}, Unsupported, "echo"),
        ("a", {"logprobs": 6}, InvalidValue, "logprobs"),
        ("a", {"logit_bias": {"5000": 1}}, InvalidValue, "logit_bias.5000"),
    ],
)
def test_completions_that_cannot_be_served(
    reader: PromptReader, prompt: Any, wishes: dict[str, Any], error: type[Exception], param: str
) -> None:
    """Each by the name of what is wrong."""
    with pytest.raises(error) as caught:
        reader.read(complete(prompt, **wishes))
    assert caught.value.param == param  # type: ignore[attr-defined]


def test_best_of_as_many_as_there_are_is_no_wish(reader: PromptReader) -> None:
    """Nothing would be left out."""
    assert reader.read(complete(best_of=3, n=3)).n == 3


def test_answers_of_one_prompt_share_it(reader: PromptReader) -> None:
    """An engine reads it once; their indices count through all prompts."""
    jobs = list(reader.read(complete(["Hello", "a"], n=2)).jobs())
    assert [job.answer.index for job in jobs] == [0, 1, 2, 3]
    assert jobs[0].prompt is jobs[1].prompt
    assert jobs[2].prompt is jobs[3].prompt
    assert jobs[0].prompt is not jobs[2].prompt


def test_an_answers_randomness_is_its_own_and_its_seeds(reader: PromptReader) -> None:
    """The first of several answers is the only one of a request for one, whatever the prompt's place."""

    def points(asked: CompletionRequest) -> list[float]:
        return [job.chooser.random.random() for job in reader.read(asked).jobs()]

    several = points(complete(["Hello", "a"], n=3, seed=9))
    assert several[:3] == several[3:]
    assert len(set(several)) == 3
    assert points(complete(seed=9)) == several[:1]


def test_what_takes_long_is_read_beside_the_loop() -> None:
    """Long prompts, many answers, and forms that may have to be compiled."""
    assert not is_long(request())
    assert not is_long(complete(["a", "b"], n=4))
    assert is_long(request("a" * 20_000))
    assert is_long(complete([5] * 20_000))
    assert is_long(request(n=17))
    assert is_long(request(logit_bias={str(token): 1.0 for token in range(1000)}))
    assert is_long(request(response_format={"type": "json_object"}))
    assert is_long(request(tools=[{"type": "function", "function": {"name": "f"}}]))


def test_images_are_in_the_prompt_and_nobody_counts_them_as_words(tokenizer: Any) -> None:
    """They take room of the context; a penalty for repetition does not know them."""
    marks = ImageMarks(Tokenizer.from_str(tokenizer.to_str()))
    source = "{% for m in messages %}{{ m.content }}{% endfor %}"
    reader = PromptReader(
        ChatTemplate(source, {}, image_mark=marks.mark),
        tokenizer,
        Structures(tokenizer, VOCABULARY, EOS),
        defaults=Sampling(temperature=0),
        eos=EOS,
        context_length=32,
        vocabulary=VOCABULARY,
        marks=marks,
    )
    its = [10**9 + number for number in range(20)]
    image = Seen("what the engine made of it", lambda place: its, 1)
    request = ChatRequest("m", about("Hello", plain("red")), repetition_penalty=1.5)
    plan = reader.read(request, [image])
    words = tokens_of(reader.read(ChatRequest("m", about("Hello"))))[0]
    assert tokens_of(plan) == [[*words, *its]]
    assert plan.prompts[0].limit == 32 - len(words) - 20
    [job] = plan.jobs()
    assert job.images == ("what the engine made of it",)
    job.chooser.prepare(np.zeros(VOCABULARY, np.float32))
    with pytest.raises(ContextLengthExceeded, match=f"have {len(words) + 40} tokens") as refused:
        reader.read(ChatRequest("m", about("Hello", plain("red"), plain("red"))), [image, image])
    assert refused.value.param == "messages"
