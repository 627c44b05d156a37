"""Every answer and every chunk of a broad matrix of chat requests is what OpenAI's schema says."""

from __future__ import annotations

import itertools

import pytest
from tests.sdk.answers import check_truth, read_chat
from tests.sdk.cases import everything, pairs, request_of
from tests.sdk.conftest import HOMES
from tests.sdk.referees import check_published
from tests.sdk.wire import Wire

PATH = "/v1/chat/completions"
ROWS = {home: pairs(everything(home)) for home in HOMES}

QUICK = 12
"""Rows of the dearest home that every run of the tests takes; the engine is the same as next door."""


@pytest.mark.parametrize(
    ("home", "row"),
    [
        pytest.param(
            home,
            row,
            id=f"{home}-{'-'.join(row.values())}",
            marks=[pytest.mark.slow] * (home == "far-tiny-chat" and number >= QUICK),
        )
        for home in HOMES
        for number, row in enumerate(ROWS[home])
    ],
)
def test_every_combination_is_honoured_truthfully(
    wire: Wire, home: str, row: dict[str, str]
) -> None:
    """Legal requests of OpenAI's get legal answers of OpenAI's that do what was asked."""
    request = request_of(home, row)
    check_published("CreateChatCompletionRequest", request)
    check_truth(read_chat(wire.post(PATH, request), request), request)


@pytest.mark.parametrize("home", HOMES)
def test_every_two_values_meet(home: str) -> None:
    """The rows leave no pair out."""
    dimensions = everything(home)
    met = {pair for row in ROWS[home] for pair in itertools.combinations(row.items(), 2)}
    for a, b in itertools.combinations(dimensions, 2):
        for x, y in itertools.product(dimensions[a], dimensions[b]):
            assert ((a, x), (b, y)) in met
