"""Log probabilities in OpenAI's two shapes, exact to the byte."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionTokenLogprob
from openai.types.completion_choice import Logprobs

from hoonify_router.logprobs import LEAST, TextLogprobs, as_number, chat_logprobs
from hoonify_router.types import TokenLogprob

from .reading import published, strict

LOGS = st.floats(-50, 0) | st.sampled_from([-math.inf, math.inf, math.nan, -1e9])
TOKENS = st.builds(
    TokenLogprob,
    st.binary(max_size=4) | st.text(max_size=3).map(str.encode),
    LOGS,
    st.lists(st.tuples(st.binary(max_size=3), LOGS), max_size=4),
)


@pytest.mark.parametrize(
    ("given_", "told"),
    [(-0.5, -0.5), (0.0, 0.0), (-math.inf, LEAST), (math.nan, LEAST), (None, LEAST), (-1e9, LEAST)],
)
def test_what_json_does_not_know_is_very_unlikely(given_: float | None, told: float) -> None:
    """OpenAI's word for it is -9999."""
    assert as_number(given_) == told


def test_half_a_character_keeps_its_bytes() -> None:
    """Its text cannot be told, its bytes can."""
    (told,) = json.loads(chat_logprobs([TokenLogprob(b"\xf0\x9f", -1.0, [(b"a", -0.5)])]))
    assert told == {
        "token": "\ufffd",
        "logprob": -1.0,
        "bytes": [0xF0, 0x9F],
        "top_logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97]}],
    }


@given(st.lists(TOKENS, max_size=4))
def test_any_token_of_a_chat_fits_openai_s_types(tokens: list[TokenLogprob]) -> None:
    """With nothing added, and its bytes as they were."""
    told: list[Any] = json.loads(chat_logprobs(tokens))
    for one in told:
        strict(ChatCompletionTokenLogprob.model_validate(one, strict=True))
        published("ChatCompletionTokenLogprob", one)
    assert [bytes(one["bytes"]) for one in told] == [token.token for token in tokens]
    assert [len(one["top_logprobs"]) for one in told] == [len(token.top) for token in tokens]


@given(st.lists(TOKENS, max_size=6), st.integers(0, 6))
def test_any_token_of_a_completion_fits_openai_s_types(
    tokens: list[TokenLogprob], cut: int
) -> None:
    """Four lists of equal length, in one piece or in two; the sampled token is among the likeliest."""
    whole, parts = TextLogprobs(), TextLogprobs()
    whole.add(tokens)
    told = json.loads(whole.take())
    strict(Logprobs.model_validate(told, strict=True))
    assert {len(values) for values in told.values()} == {len(tokens)}
    assert all(t in top for t, top in zip(told["tokens"], told["top_logprobs"], strict=True))
    assert told["text_offset"] == sorted(told["text_offset"])
    joined: dict[str, list[Any]] = {name: [] for name in told}
    for some in (tokens[:cut], tokens[cut:]):
        parts.add(some)
        for name, values in json.loads(parts.take()).items():
            joined[name] += values
    assert joined == told


def test_offsets_never_go_back() -> None:
    """Not even for bytes that are no UTF-8."""
    gathered = TextLogprobs()
    gathered.add([TokenLogprob(token, -1.0) for token in (b"a", b"", b"\x80", b"b")])
    assert json.loads(gathered.take())["text_offset"] == [0, 1, 1, 1]


@given(st.text(max_size=12), st.data())
def test_offsets_count_characters(text: str, data: st.DataObject) -> None:
    """However the text is cut into tokens, also within a character."""
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=8)) | {0, len(raw)})
    pieces = [raw[a:b] for a, b in itertools.pairwise(cuts)]
    gathered = TextLogprobs()
    gathered.add([TokenLogprob(piece, -1.0) for piece in pieces])
    starts = [len(raw[:cut].decode("utf-8", "ignore")) for cut in cuts[:-1]]
    assert json.loads(gathered.take())["text_offset"] == starts
