"""Names of requests and answers."""

from __future__ import annotations

import re

import pytest

from hoonify_router.identity import Names, call_id


def test_names_are_unique() -> None:
    """Within a process and between processes."""
    one, other = Names(), Names()
    made = [f(None) for f in (one.request_id, other.request_id) for _ in range(1000)]
    made += [f() for f in (one.completion_id, other.completion_id) for _ in range(1000)]
    assert len(set(made)) == 4000
    assert all(re.fullmatch(r"(req_|chatcmpl-)[0-9a-f]{24}", name) for name in made)


@pytest.mark.parametrize("wanted", ["abc", "A-b_c.9", "x" * 128])
def test_a_sane_id_of_the_client_s_is_taken(wanted: str) -> None:
    """So that its logs and ours can be matched."""
    assert Names().request_id(wanted) == wanted


@pytest.mark.parametrize("wanted", [None, "", "x" * 129, "a b", "a\nb", "ü", "<script>", "a\n"])
def test_anything_else_is_replaced(wanted: str | None) -> None:
    """It will stand in logs and headers."""
    assert Names().request_id(wanted).startswith("req_")


def test_calls_have_ids_as_unique_as_their_answers() -> None:
    """Of any choice, of any number."""
    names = Names()
    made = {
        call_id(answer_id, index, number)
        for answer_id in (names.completion_id(), names.completion_id())
        for index in (0, 1, 17, 127)
        for number in (0, 1, 16, 256, 4096)
    }
    assert len(made) == 40
    assert all(one.startswith("call_") and one.isascii() for one in made)
    assert names.text_id().startswith("cmpl-")
