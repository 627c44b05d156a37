"""Log probabilities and the text they belong to, for any tokens and any way to hold text back."""

from __future__ import annotations

import codecs
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends.generation.vocabularies import byte_level, sentence_piece
from tests.thoroughness import examples

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.logprobs import Score
from hoonify_router.types import Event, Text, TokenLogprob

BYTES = byte_level()
PIECES = sentence_piece()
EOS = 300  # no token of either


def texts(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def entries(events: list[Event]) -> list[TokenLogprob]:
    return [one for event in events if isinstance(event, Text) for one in event.logprobs or ()]


def joined(events: list[Event]) -> str:
    """Return the text that the tokens' bytes make, without an unfinished character at its end."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    return decode(b"".join(one.token for one in entries(events)))


def run(answer: Answer, tokens: list[int]) -> list[Event]:
    events: list[Event] = []
    for token in tokens:
        events += answer.push(token, Score(-1.0, []))
        if answer.finish is None:
            assert texts(events).startswith(joined(events))
        if answer.finish is not None:
            break
    return events


def check(answer: Answer, tokens: list[int]) -> None:
    events = run(answer, tokens)
    assert all(event.text or event.logprobs for event in events if isinstance(event, Text))
    assert len(entries(events)) <= answer.tokens
    if answer.finish is not None:
        assert joined(events).startswith(texts(events))
    if answer.finish == "length":
        assert joined(events) == texts(events)
        assert len(entries(events)) == answer.tokens  # those of an unfinished character too


@settings(deadline=None, max_examples=examples(300))
@given(
    tokens=st.lists(st.integers(0, BYTES.get_vocab_size() + 2), max_size=40),
    stops=st.lists(st.text("abĠ t\ufffd<", min_size=1, max_size=3), max_size=2),
    limit=st.integers(1, 45),
)
def test_bytes_of_any_tokens_join_to_the_text(
    tokens: list[int], stops: list[str], limit: int
) -> None:
    """Nonsense too: none is lost, none comes twice, none before its text."""
    decoder = Detokenizer(BYTES).new()
    check(Answer(decoder, limit=limit, eos=frozenset({EOS}), stops=stops, told=True), tokens)


PARTS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["<s>", "▁", "▁Hel", "lo", "▁wor", "ld", "é", "a", "b", "▁▁"]).map(
        lambda piece: [PIECES.token_to_id(piece)]
    ),
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd").map(
        lambda letter: [PIECES.token_to_id(f"<0x{byte:02X}>") for byte in letter.encode()]
    ),
)


@settings(deadline=None, max_examples=examples(300))
@given(
    parts=st.lists(PARTS, max_size=20),
    stops=st.lists(st.text("ab Helo", min_size=1, max_size=3), max_size=2),
    limit=st.integers(1, 45),
)
def test_bytes_of_pieces_join_to_the_text(
    parts: list[list[int]], stops: list[str], limit: int
) -> None:
    """Also where the first space is dropped and characters come in single bytes."""
    tokens = [token for part in parts for token in part]
    decoder = Detokenizer(PIECES).new()
    check(Answer(decoder, limit=limit, eos=frozenset({EOS}), stops=stops, told=True), tokens)


@given(
    tokens=st.lists(st.integers(0, BYTES.get_vocab_size() - 1), max_size=30),
    stop=st.text("abt ", min_size=1, max_size=3),
)
def test_they_change_nothing_of_the_answer(tokens: list[int], stop: str) -> None:
    """The text and its end are the same with and without."""
    told = Answer(Detokenizer(BYTES).new(), limit=25, stops=[stop], told=True)
    plain = Answer(Detokenizer(BYTES).new(), limit=25, stops=[stop])
    said = []
    for token in tokens:
        said += plain.push(token)
        if plain.finish is not None:
            break
    assert texts(run(told, tokens)) == texts(said)
    assert (told.finish, told.tokens) == (plain.finish, plain.tokens)
