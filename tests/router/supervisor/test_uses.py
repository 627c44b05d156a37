"""What the gateways tell of the homes that they use is added up."""

from __future__ import annotations

import math

from hoonify_router.supervisor.uses import Uses


def test_requests_of_all_gateways_count() -> None:
    """And each gateway's newest word."""
    uses = Uses()
    uses.hear("one", {"parrot": (2, 5), "crow": (1, 1)}, 10.0)
    uses.hear("two", {"parrot": (1, 1)}, 11.0)
    uses.hear("one", {"parrot": (0, 5)}, 12.0)
    assert uses.in_flight("parrot") == 1
    assert uses.in_flight("crow") == 1
    assert uses.in_flight("nobody") == 0


def test_a_request_between_two_words_is_seen() -> None:
    """It was quick: nothing is there before, nothing after, but one more has been served."""
    uses = Uses()
    assert uses.last("parrot") == -math.inf
    uses.hear("one", {"parrot": (0, 1)}, 10.0)
    assert uses.last("parrot") == 10.0
    uses.hear("one", {"parrot": (0, 1)}, 11.0)
    assert uses.last("parrot") == 10.0
    uses.hear("one", {"parrot": (0, 2)}, 12.0)
    assert uses.last("parrot") == 12.0


def test_the_end_of_the_last_request_is_a_use() -> None:
    """A long stream that has just ended leaves no home that has been idle for long."""
    uses = Uses()
    uses.hear("one", {"parrot": (1, 1)}, 10.0)
    uses.hear("one", {"parrot": (0, 1)}, 500.0)
    assert uses.last("parrot") == 500.0


def test_a_gateway_that_is_gone_has_no_requests() -> None:
    """Nothing leaks when it is killed."""
    uses = Uses()
    uses.hear("one", {"parrot": (3, 3)}, 10.0)
    uses.forget("one", 20.0)
    uses.forget("one", 30.0)
    uses.forget("nobody", 30.0)
    assert uses.in_flight("parrot") == 0
    assert uses.last("parrot") == 20.0
