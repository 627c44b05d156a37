"""Flow control joins what waits and loses nothing."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from hoonify_router.types import Counted, Event, Finish, Reasoning, Text, Usage
from hoonify_router.worker.flow import Outlet

_pieces = st.text(max_size=3)
_indexes = st.integers(0, 2)
_events = st.one_of(
    st.builds(Text, _pieces, _indexes),
    st.builds(Reasoning, _pieces, _indexes),
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


def _story(events: list[Event], index: int) -> list[tuple[type, str]]:
    """Return what a reader of one answer learns, however it was cut into events."""
    told = [e for e in events if getattr(e, "index", None) == index and getattr(e, "text", "end")]
    return [
        (kind, "".join(getattr(e, "text", ".") for e in group))
        for kind, group in groupby(told, key=type)
    ]


@given(st.lists(_events, max_size=60), st.lists(st.integers(0, 5), max_size=60))
def test_each_answer_arrives_whole_and_in_order(events: list[Event], grants: list[int]) -> None:
    """Whatever the credit and its timing, each index tells the same story; little waits."""
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
