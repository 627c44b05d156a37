"""How tokens are chosen and what is told of them, against plain ONNX Runtime and plain formulas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hoonify_backends.generation.template import ChatTemplate
from hoonify_router.errors import InvalidValue
from hoonify_router.types import Message, TokenLogprob

QUESTION = "Write a short story about a fox."
WILD: dict[str, Any] = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "ignore_eos": True}

Ask = Callable[..., Any]
Start = Callable[..., Any]


@pytest.fixture
def prompt(loaded: Any, tokenizer: Any) -> list[int]:
    """The question's tokens."""
    template = ChatTemplate(loaded.folder.chat_template, loaded.folder.tokenizer_config)
    text = template.render([Message("user", QUESTION)])
    tokens: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return tokens


def log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = scores.astype(np.float64)
    exact -= exact.max()
    return exact - np.log(np.exp(exact).sum())


def check(told: list[TokenLogprob], prompt: list[int], reference: Any, tokenizer: Any) -> None:
    """Compare with the plain graph, token by token."""
    tokens = list(prompt)
    for one in told:
        exact = log_softmax(reference.scores(tokens))
        token = spelled(one.token, tokenizer, exact)
        assert one.logprob == pytest.approx(exact[token], abs=1e-3)
        best = np.argsort(-exact)[: len(one.top)]
        assert [value for _, value in one.top] == pytest.approx(exact[best], abs=1e-3)
        likeliest = [spelled(name, tokenizer, exact) for name, _ in one.top]
        assert exact[likeliest] == pytest.approx(exact[best], abs=1e-3)
        tokens.append(token)


def spelled(name: bytes, tokenizer: Any, exact: NDArray[np.float64]) -> int:
    """Return the token with these bytes; the likeliest of several."""
    fits = [t for t in range(len(exact)) if SPELLING[t] == name]
    return max(fits, key=lambda token: float(exact[token]))


SPELLING: dict[int, bytes] = {}


@pytest.fixture(autouse=True)
def spelling(tokenizer: Any, loaded: Any) -> None:
    """Write down every token's bytes, once."""
    if not SPELLING:
        from hoonify_backends.generation.detokenizer import Detokenizer

        spell = Detokenizer(tokenizer).new().spell
        SPELLING.update({token: spell(token) for token in range(loaded.model.vocabulary)})


@pytest.mark.parametrize("count", [0, 1, 5, 20])
async def test_log_probabilities_are_those_of_the_plain_graph(
    *,
    start: Start,
    ask: Ask,
    reference: Any,
    tokenizer: Any,
    prompt: list[int],
    count: int,
) -> None:
    """Within a thousandth, greedy; one for each token of the answer, and the text is theirs."""
    wishes = {"temperature": 0, "max_tokens": 20, "logprobs": True, "top_logprobs": count}
    answered = await ask(await start(), QUESTION, **wishes)
    told = answered.logprobs()
    assert len(told) == answered.usage.completion_tokens > 10
    assert b"".join(one.token for one in told).decode() == answered.text
    assert all(len(one.top) == count for one in told)
    check(told, prompt, reference, tokenizer)


async def test_wishes_do_not_change_what_is_told(
    start: Start, ask: Ask, reference: Any, tokenizer: Any, prompt: list[int]
) -> None:
    """Temperature, penalties, biases and company change the choice only."""
    engine = await start(slots=4, prefill_chunk=16)
    wishes = WILD | {
        "max_tokens": 16,
        "seed": 3,
        "logprobs": True,
        "top_logprobs": 3,
        "frequency_penalty": 1.0,
        "presence_penalty": 0.5,
        "repetition_penalty": 1.2,
        "logit_bias": {"50": 5, "60": -100},
    }
    alone = await ask(engine, QUESTION, **wishes)
    plain = [ask(engine, "Hello!", **WILD | {"max_tokens": 30}) for _ in range(3)]
    answered, *others = await asyncio.gather(ask(engine, QUESTION, **wishes), *plain)
    assert answered.text == alone.text
    check(answered.logprobs(), prompt, reference, tokenizer)
    assert all(other.logprobs() == [] for other in others)


async def test_stop_strings_hold_log_probabilities_back(start: Start, ask: Ask) -> None:
    """The tokens told are those of the text that is shown."""
    engine = await start()
    wishes = {"temperature": 0, "max_tokens": 30, "logprobs": True}
    whole = await ask(engine, QUESTION, **wishes)
    for begin in range(3, 40, 5):
        stop = whole.text[begin : begin + 4]
        answered = await ask(engine, QUESTION, stop=stop, **wishes)
        shown = b"".join(one.token for one in answered.logprobs()).decode()
        assert shown.startswith(answered.text)
        assert whole.text.startswith(shown)
        assert len(shown) - len(answered.text) < len(stop)
        count = len(answered.logprobs())
        assert [one.token for one in answered.logprobs()] == [
            one.token for one in whole.logprobs()[:count]
        ]


def penalized(
    scores: NDArray[np.float32], prompt: list[int], answer: list[int], wishes: dict[str, Any]
) -> NDArray[np.float64]:
    """Apply every wish to every token, by the book."""
    changed = scores.astype(np.float64)
    for token in range(len(changed)):
        if token in prompt or token in answer:
            factor = wishes.get("repetition_penalty", 1.0)
            changed[token] *= 1 / factor if changed[token] > 0 else factor
        changed[token] -= answer.count(token) * wishes.get("frequency_penalty", 0.0)
        changed[token] -= float(token in answer) * wishes.get("presence_penalty", 0.0)
        changed[token] += wishes.get("logit_bias", {}).get(str(token), 0.0)
    return changed


@pytest.mark.parametrize(
    "wishes",
    [
        {"frequency_penalty": 1.5},
        {"presence_penalty": 2.0},
        {"frequency_penalty": -0.5, "presence_penalty": -0.5},
        {"repetition_penalty": 1.3},
        {"logit_bias": {"10": 3.0, "20": -100.0, "300": 12.5}},
        {"frequency_penalty": 0.7, "repetition_penalty": 1.1, "logit_bias": {"42": 9.0}},
    ],
    ids=str,
)
async def test_greedy_answers_with_penalties_are_those_of_the_formulas(
    *,
    start: Start,
    ask: Ask,
    reference: Any,
    tokenizer: Any,
    prompt: list[int],
    wishes: dict[str, Any],
) -> None:
    """Over the whole answer, prompt tokens counting where they do."""
    answered = await ask(
        await start(), QUESTION, temperature=0, max_tokens=24, ignore_eos=True, **wishes
    )
    answer: list[int] = []
    for _ in range(24):
        scores = reference.scores([*prompt, *answer])
        answer.append(int(penalized(scores, prompt, answer, wishes).argmax()))
    assert answered.text == tokenizer.decode(answer)


async def test_a_bias_for_a_token_that_does_not_exist_is_refused(start: Start, ask: Ask) -> None:
    """By the parameter's name, before anything is sent."""
    with pytest.raises(InvalidValue) as caught:
        await ask(await start(), QUESTION, logit_bias={"1280": 1})
    assert caught.value.param == "logit_bias.1280"
