"""Equal beginnings meet, within bounds of memory and of fairness."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_plugins.balancers.prefix import Prefix, PrefixIndex, PrefixSettings
from hoonify_plugins.balancers.prompts import prompt_text
from hoonify_router.api import Candidate, RequestContext
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImagePart,
    ImageURL,
    Message,
    TextPart,
)

MakeCandidates = Callable[..., list[Candidate]]
MakeContext = Callable[..., RequestContext]


def balancer(**settings: float) -> Prefix:
    given = {"block": 16, "depth": 64, **settings}
    return Prefix(PrefixSettings(**given), random.Random(1))  # type: ignore[arg-type]


def test_conversations_stay_where_they_began(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Each turn repeats all before it; many conversations spread over all homes."""
    made, one = candidates(1, 1, 1), balancer()
    first_homes = Counter()
    for number in range(60):
        text = f"conversation {number} " * 4
        home = one.choose(made, context(text)).home.id
        first_homes[home] += 1
        for turn in range(4):
            text += f"and then, in turn {turn}, this was said and answered. "
            assert one.choose(made, context(text)).home.id == home
    assert len(first_homes) == 3
    assert min(first_homes.values()) >= 10


def test_the_longest_known_beginning_wins(context: MakeContext, candidates: MakeCandidates) -> None:
    """A system prompt that all share does not draw conversations away from their homes."""
    made, one = candidates(1, 1), balancer()
    shared = "You are a helpful parrot. " * 8
    one.index.learn(one.index.chain(_text(context, shared + "A" * 64)), "m/0")
    one.index.learn(one.index.chain(_text(context, shared + "B" * 64)), "m/1")
    assert one.choose(made, context(shared + "A" * 64 + "more")).home.id == "m/0"
    assert one.choose(made, context(shared + "B" * 64 + "more")).home.id == "m/1"


def test_a_little_in_common_is_not_worth_a_detour(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """Below the share that must be known, the less busy home is taken."""
    for match, home in ((0.5, "m/0"), (0.6, "m/1")):
        one = balancer(match=match)
        one.index.learn(one.index.chain(_text(context, "A" * 74)), "m/0")  # five blocks
        asked = context("A" * 74 + "B" * 80)  # of ten
        assert one.choose(candidates(1, 1, busy=[5, 0]), asked).home.id == home


def _text(context: MakeContext, prompt: str) -> str:
    return prompt_text(context(prompt).request, 10_000)


def test_a_home_that_may_not_be_asked_is_passed_over(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """The next shorter beginning counts; afterwards the new home is the one that knows."""
    made, one = candidates(1, 1, 1), balancer()
    text = "tell me a story about a parrot and a crow, please. " * 4
    home = one.choose(made, context(text)).home.id
    others = [candidate for candidate in made if candidate.home.id != home]
    second = one.choose(others, context(text)).home.id
    assert second != home
    assert one.choose(made, context(text)).home.id == second


@pytest.mark.parametrize(
    ("busy", "told", "stays"),
    [
        ([16, 0], None, True),  # the lead is allowed
        ([17, 0], None, False),
        ([60, 40], None, True),  # many, but not half as many again
        ([61, 40], None, False),
        ([0, 0], [17, 0], False),  # engines see other gateways' requests
        ([2, 2], [2, 40], True),
    ],
)
def test_a_home_that_is_much_busier_has_to_share(
    candidates: MakeCandidates,
    context: MakeContext,
    busy: list[int],
    told: list[int | None] | None,
    stays: bool,
) -> None:
    """Beyond both thresholds the least busy home is taken, and knows the prompt from then on."""
    one, text = balancer(), "once upon a time there was a parrot " * 4
    one.index.learn(one.index.chain(_text(context, text)), "m/0")
    made = candidates(1, 1, busy=busy, told=told)
    assert (one.choose(made, context(text)).home.id == "m/0") is stays
    known = one.index.find(one.index.chain(_text(context, text)), {"m/0", "m/1"})
    assert known == ("m/0" if stays else "m/1")


def test_weights_count_in_what_is_fair(candidates: MakeCandidates, context: MakeContext) -> None:
    """A home four times as strong may have four times as many, and the lead on top."""
    one, text = balancer(), "once upon a time there was a parrot " * 4
    one.index.learn(one.index.chain(_text(context, text)), "m/0")
    assert one.choose(candidates(4, 1, busy=[56, 10]), context(text)).home.id == "m/0"
    assert one.choose(candidates(4, 1, busy=[61, 10]), context(text)).home.id == "m/1"


def test_new_prompts_fill_homes_evenly(candidates: MakeCandidates, context: MakeContext) -> None:
    """Text, not requests: who was given a long one is passed over while others catch up, by weight."""
    made, one = candidates(1, 2), balancer()
    one.update([candidate.home for candidate in made])
    dice = random.Random(3)
    given = Counter[str]()
    for _ in range(60):
        text = dice.randbytes(dice.choice((16, 100, 400))).hex()
        given[one.choose(made, context(text)).home.id] += len(text)
    assert given["m/1"] == pytest.approx(2 * given["m/0"], rel=0.15)


def test_a_new_prompt_does_not_wait_for_an_empty_cache(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """A home with three requests more than the least busy one is not given it, however empty it is."""
    one = balancer()
    assert one.choose(candidates(1, 1, busy=[9, 0]), context("the first one " * 9)).home.id == "m/1"
    assert (
        one.choose(candidates(1, 1, busy=[3, 0]), context("the second one " * 9)).home.id == "m/1"
    )
    assert one.choose(candidates(1, 1, busy=[2, 0]), context("the third one " * 9)).home.id == "m/0"


def test_a_home_that_joins_is_not_given_everything(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """It counts as full as the others are on average, and what is gone does not count."""
    made, one = candidates(1, 1, 1), balancer()
    one.update([candidate.home for candidate in made[:2]])
    dice = random.Random(4)

    def ask(homes: list[Candidate]) -> str:
        return one.choose(homes, context(dice.randbytes(200).hex())).home.id

    for _ in range(10):
        ask(made[:2])
    one.update([candidate.home for candidate in made])
    joined = Counter(ask(made) for _ in range(30))
    assert joined == {"m/0": 10, "m/1": 10, "m/2": 10}
    one.update([candidate.home for candidate in made[1:]])
    assert Counter(ask(made[1:]) for _ in range(10)) == {"m/1": 5, "m/2": 5}


def test_what_homes_were_given_long_ago_counts_less(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """A home that could not be asked for long is not given everything for as long."""
    made, one = candidates(1, 1), balancer(remember=256)
    one.update([candidate.home for candidate in made])
    dice = random.Random(5)

    def ask(homes: list[Candidate]) -> str:
        return one.choose(homes, context(dice.randbytes(128).hex())).home.id

    for _ in range(1000):
        ask(made[:1])
    back = [ask(made) for _ in range(60)]
    assert Counter(back[30:])["m/0"] >= 10


def test_a_hot_prompt_spreads_and_everybody_is_used(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """With one prompt for all and nothing ending, no home is far ahead."""
    made, one = candidates(1, 1, 1), balancer(lead=8)
    for _ in range(300):
        one.choose(made, context("the same prompt for everybody " * 4)).in_flight += 1
    counts = sorted(candidate.in_flight for candidate in made)
    assert counts[0] > 0
    assert counts[-1] <= counts[0] * 1.5 + 1 or counts[-1] - counts[0] <= 9


def test_memory_is_bounded_whatever_is_asked() -> None:
    """No more than 256 bytes for each block that is remembered; no text is kept."""
    index = PrefixIndex(block=256, capacity=4096)
    names = ["m/0", "m/1"]
    dice = random.Random(7)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1000):
            index.learn(index.chain(dice.randbytes(4096).hex()), names[number % 2])
            assert len(index) <= 4096
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(index) == 4096
    assert used <= 256 * 4096


def test_what_was_not_met_for_long_is_forgotten_from_its_end() -> None:
    """The beginning that many share outlives the tails."""
    index = PrefixIndex(block=16, capacity=8)
    shared = index.chain("s" * 32)
    index.learn(index.chain("s" * 32 + "a" * 48), "m/0")
    index.learn(index.chain("s" * 32 + "b" * 64), "m/1")
    assert index.find(shared, {"m/0", "m/1"}) == "m/1"
    tail = index.chain("s" * 32 + "a" * 48)[-1]
    assert index.find([tail], {"m/0"}) is None
    assert len(index) == 8


@given(st.text(max_size=200), st.text(max_size=200), st.integers(1, 40))
def test_numbers_are_equal_just_as_far_as_texts_are(one: str, other: str, block: int) -> None:
    """Block by block, what does not fill one left out."""
    index = PrefixIndex(block, 1000)
    left, right = index.chain(one), index.chain(other)
    assert len(left) == len(one) // block
    same = 0
    while same < min(len(left), len(right)) and left[same] == right[same]:
        same += 1
    assert one[: same * block] == other[: same * block]
    if same < min(len(left), len(right)):
        assert one[: (same + 1) * block] != other[: (same + 1) * block]


def test_roles_and_parts_count() -> None:
    """What a template would write differently is different; nothing past the limit is looked at."""

    def text(*messages: Message, limit: int = 1000) -> str:
        return prompt_text(ChatRequest("m", list(messages)), limit)

    assert text(Message("user", "ab")) != text(Message("system", "ab"))
    assert text(Message("user", "ab")) != text(Message("user", "a"), Message("user", "b"))
    assert text(Message("user", [TextPart("ab")])) == text(Message("user", "ab"))
    assert text(Message("user", "x" * 100), limit=10) == text(Message("user", "x" * 99), limit=10)
    assert len(text(Message("user", "x" * 100), limit=10)) == 10
    images = [
        text(Message("user", [ImagePart(ImageURL(f"data:image/png;base64,{'A' * 500}{end}"))]))
        for end in "BC"
    ]
    assert images[0] != images[1]
    assert len(images[0]) < 100
    assert text(Message("assistant", None)) == text(Message("assistant", ""))


def test_other_requests_have_their_own_beginnings() -> None:
    """A completion has its prompt, as text or as tokens; an embedding keeps nothing that is warm."""

    def text(prompt: object) -> str:
        return prompt_text(CompletionRequest("m", prompt), 100)  # type: ignore[arg-type]

    assert text("once") == "once"
    assert text(["once", "twice"]) == "once"
    assert text([1, 22, 3]) == text([[1, 22, 3], [4]]) == "1 22 3 "
    assert text([]) == ""
    assert prompt_text(EmbeddingRequest("m", "once"), 100) == ""
    assert prompt_text(None, 100) == ""


def test_short_prompts_go_where_there_is_room(
    candidates: MakeCandidates, context: MakeContext
) -> None:
    """What does not fill a block is not worth a detour."""
    one = balancer(block=256)
    assert one.choose(candidates(1, 1, busy=[2, 0]), context("hi")).home.id == "m/1"
    assert len(one.index) == 0
