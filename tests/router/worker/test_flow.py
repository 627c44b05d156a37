"""Flow control joins what waits and loses nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.types import (
    Counted,
    Embedded,
    Event,
    Finish,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from hoonify_router.worker.flow import Outlet

_pieces = st.text(max_size=3)
_indexes = st.integers(0, 2)
_logprobs = st.none() | st.lists(st.builds(TokenLogprob, st.binary(max_size=2), st.just(-1.0)))
_events = st.one_of(
    st.builds(Text, _pieces, _indexes, _logprobs),
    st.builds(Reasoning, _pieces, _indexes),
    st.builds(ToolCall, st.integers(0, 1), st.sampled_from(["", "f"]), _pieces, _indexes),
    st.builds(Finish, st.just("stop"), _indexes),
)


def test_events_pass_while_there_is_credit() -> None:
    """Nothing is held back or joined inside the window."""
    outlet = Outlet(credit=2)
    assert outlet.push(Text("a"))
    assert outlet.push(Text("b"))
    assert not outlet.push(Text("c"))
    assert len(outlet) == 1


def test_texts_without_credit_are_joined_by_index() -> None:
    """A thousand tokens of two answers wait as two events."""
    outlet = Outlet(credit=0)
    for number in range(1000):
        outlet.push(Text(f"{number} ", number % 2))
    assert len(outlet) == 2
    even, odd = outlet.grant(10)
    assert even == Text("".join(f"{number} " for number in range(0, 1000, 2)), 0)
    assert isinstance(odd, Text)
    assert odd.index == 1


def test_the_end_waits_behind_the_text() -> None:
    """Credit for one event releases the joined text only."""
    outlet = Outlet(credit=0)
    for event in (Text("a"), Text("b"), Finish("stop"), Counted(Usage(1, 2))):
        outlet.push(event)
    assert outlet.grant(1) == [Text("ab")]
    assert outlet.grant(5) == [Finish("stop"), Counted(Usage(1, 2))]
    assert len(outlet) == 0


def test_nonsense_credit_is_ignored() -> None:
    """A client cannot make the window negative."""
    outlet = Outlet(credit=1)
    assert outlet.grant(-100) == []
    assert outlet.push(Text("a"))


def test_probabilities_stay_with_their_text() -> None:
    """Joined in order; a piece without any adds none, and all without any stay without."""
    one, two, three = (TokenLogprob(bytes([n]), -float(n), [(b"x", -1.0)]) for n in (97, 98, 99))
    outlet = Outlet(credit=0)
    for event in (Text("a", 0, [one]), Text("b"), Text("", 0, [two, three]), Text("c", 1)):
        outlet.push(event)
    assert outlet.grant(5) == [Text("ab", 0, [one, two, three]), Text("c", 1, None)]


def test_arguments_of_one_call_are_joined() -> None:
    """A new call begins a new event, and so does text between two pieces; answers are apart."""
    outlet = Outlet(credit=0)
    for event in (
        ToolCall(0, "f", '{"a'),
        ToolCall(0, "", '": 1}'),
        ToolCall(0, "other", "{}", 1),
        ToolCall(1, "g"),
        ToolCall(1, "", "{"),
        Text("so"),
        ToolCall(1, "", "}"),
    ):
        outlet.push(event)
    assert outlet.grant(9) == [
        ToolCall(0, "f", '{"a": 1}'),
        ToolCall(0, "other", "{}", 1),
        ToolCall(1, "g", "{"),
        Text("so"),
        ToolCall(1, "", "}"),
    ]


def test_what_waits_is_bounded() -> None:
    """Past the limit the outlet is full until enough has left; one event never grows too large."""
    outlet = Outlet(credit=0, limit=1_000_000)
    pushed = 0
    while not outlet.full:
        outlet.push(Text("x" * 1000))
        pushed += 1000
    assert pushed <= 1_000_000
    pieces = outlet.grant(1)
    assert not outlet.full
    pieces += outlet.grant(1000)
    assert max(len(piece.text) for piece in pieces) < 300_000  # type: ignore[union-attr]
    assert sum(len(piece.text) for piece in pieces) == pushed  # type: ignore[union-attr]
    assert not outlet.full


def test_probabilities_weigh() -> None:
    """Empty texts with many likely tokens fill the outlet as well."""
    outlet = Outlet(credit=0, limit=100_000)
    told = [TokenLogprob(b"a", -1.0, [(b"b", -2.0)] * 20)]
    for _ in range(100):
        outlet.push(Text("", 0, told))
    assert outlet.full


def test_vectors_wait_as_they_are() -> None:
    """There is nothing to join."""
    outlet = Outlet(credit=0)
    vectors = [Embedded(bytes([n] * 4), n) for n in range(3)]
    for vector in vectors:
        assert not outlet.push(vector)
    assert outlet.grant(3) == vectors


def _story(events: list[Event], index: int) -> list[tuple[object, str, list[TokenLogprob]]]:
    """Return what a reader of one answer learns, however it was cut into events."""
    told: list[tuple[object, str, list[TokenLogprob]]] = []
    for event in events:
        if event.index != index:  # type: ignore[union-attr]
            continue
        match event:
            case Text(text, _, logprobs):
                piece: tuple[object, str, list[TokenLogprob]] = (Text, text, logprobs or [])
            case ToolCall(number, name, arguments):
                piece = ((ToolCall, number, name), arguments, [])
            case Reasoning(text):
                piece = (Reasoning, text, [])
            case _:
                piece = (Finish, "", [])
        goes_on = (ToolCall, piece[0][1]) if isinstance(piece[0], tuple) and not piece[0][2] else 0
        last = told[-1][0] if told else None
        same = last[:2] == goes_on if isinstance(last, tuple) else last is piece[0] is not Finish
        if same:
            kind, text, logprobs = told.pop()
            piece = (kind, text + piece[1], logprobs + piece[2])
        if piece[1:] != ("", []) or isinstance(piece[0], tuple) or piece[0] is Finish:
            told.append(piece)
    return told


@given(st.lists(_events, max_size=60), st.lists(st.integers(0, 5), max_size=60))
def test_each_answer_arrives_whole_and_in_order(events: list[Event], grants: list[int]) -> None:
    """Whatever the credit and its timing, each index tells the same story."""
    outlet = Outlet(credit=3)
    arrived: list[Event] = []
    for number, event in enumerate(events):
        if outlet.push(event):
            arrived.append(event)
        if number < len(grants):
            arrived += outlet.grant(grants[number])
    arrived += outlet.grant(len(events))
    assert len(outlet) == 0
    for index in range(3):
        assert _story(arrived, index) == _story(events, index)
