"""Log probabilities of the model's own distribution, and when they go out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.logprobs import Ledger, watch
from hoonify_backends.generation.sampler import choose
from hoonify_backends.generation.sampling import Sampling
from hoonify_router.types import TokenLogprob


def random_scores(rows: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 4, (rows, size)).astype(np.float32)


def log_softmax(row: np.ndarray) -> np.ndarray:
    """In double precision, as it stands in every book."""
    exact = row.astype(np.float64)
    return exact - np.log(np.exp(exact - exact.max()).sum()) - exact.max()


def watcher(count: int | None, **wishes: float) -> Chooser:
    return Chooser(Sampling(**wishes), [], watched=count)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [5, 300, 32_000])
@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_they_are_those_of_the_scores(size: int, count: int) -> None:
    """The chosen token's and the likeliest, most probable first."""
    scores = random_scores(3, size)
    watched = watch(scores, [watcher(count), watcher(None), watcher(count)])
    assert watched is not None
    told = watched.scores([1, 2, 3])
    assert told[1] is None
    for row, token in ((0, 1), (2, 3)):
        score = told[row]
        assert score is not None
        exact = log_softmax(scores[row])
        assert score.logprob == pytest.approx(exact[token], abs=1e-4)
        best = np.argsort(-exact, kind="stable")[:count]
        assert [token for token, _ in score.top] == best.tolist()
        assert [value for _, value in score.top] == pytest.approx(exact[best], abs=1e-4)


def test_nothing_is_kept_where_nobody_asks() -> None:
    """It costs a look at each row's wish."""
    assert watch(random_scores(2, 9), [watcher(None), watcher(None)]) is None


def test_wishes_of_the_request_do_not_show() -> None:
    """Temperature, penalties, biases and constraints change the choice, not what is told of it."""

    class Only7:
        complete = False

        def apply(self, logits: np.ndarray) -> None:
            kept = logits[7]
            logits.fill(-np.inf)
            logits[7] = kept

        def saw(self, token: int) -> None:
            pass

    scores = random_scores(1, 50)
    exact = log_softmax(scores[0])
    wishes = Sampling(temperature=0.1, top_k=3, logit_bias=((7, -50.0),), presence_penalty=2)
    chooser = Chooser(wishes, [], constraint=Only7(), watched=2)
    chooser.saw(3)
    watched = watch(scores, [chooser])
    tokens = choose(scores, [chooser])
    assert tokens == [7]
    assert watched is not None
    [score] = watched.scores(tokens)
    assert score is not None
    assert score.logprob == pytest.approx(exact[7], abs=1e-4)
    assert [token for token, _ in score.top] == np.argsort(-exact)[:2].tolist()


def test_an_impossible_token_of_the_model_is_told_as_such() -> None:
    """Minus infinity is a log probability too."""
    scores = np.array([[1.0, -np.inf, 0.0]], np.float32)
    watched = watch(scores, [watcher(3)])
    assert watched is not None
    [score] = watched.scores([1])
    assert score is not None
    assert score.logprob == -np.inf
    assert [token for token, _ in score.top] == [0, 2, 1]


def entry(name: str) -> TokenLogprob:
    return TokenLogprob(name.encode(), -1.0)


def names(entries: list[TokenLogprob]) -> str:
    return "".join(one.token.decode() for one in entries)


def test_a_token_waits_for_its_text() -> None:
    """And for the text of those with which it makes a character."""
    ledger = Ledger()
    ledger.note(entry("a"), "")
    ledger.note(entry("b"), "é")
    ledger.note(entry("c"), "xy")
    assert names(ledger.show(0)) == ""
    assert names(ledger.show(1)) == "ab"
    assert names(ledger.show(1)) == ""
    assert names(ledger.show(1)) == "c"


def test_at_the_end_everything_goes_out() -> None:
    """Tokens that never got a text, too: they were generated."""
    ledger = Ledger()
    ledger.note(entry("a"), "x")
    ledger.note(entry("b"), "")
    assert names(ledger.close(cut=False)) == "ab"
    assert names(ledger.close(cut=False)) == ""


def test_a_stop_string_keeps_what_is_shown_of_no_token() -> None:
    """One of which a part is shown counts; one that is all of the stop string does not."""
    ledger = Ledger()
    for name, text in (("a", "xx"), ("b", "yy"), ("c", "zz"), ("d", "")):
        ledger.note(entry(name), text)
    assert names(ledger.show(3)) == "a"
    assert names(ledger.close(cut=True)) == "b"


@given(
    tokens=st.lists(st.sampled_from(["", "x", "yy", "zzz"]), max_size=12),
    cuts=st.lists(st.integers(1, 4)),
)
def test_every_token_goes_out_once_and_none_before_its_text(
    tokens: list[str], cuts: list[int]
) -> None:
    """However the text is shown."""
    ledger, out, shown = Ledger(), "", 0
    ends: dict[str, int] = {}
    total = 0
    for place, text in enumerate(tokens):
        name = chr(97 + place)
        ledger.note(entry(name), text)
        total += len(text)
        ends[name] = total
    for cut in cuts:
        size = min(cut, total - shown)
        shown += size
        for name in names(ledger.show(size)):
            out += name
            assert ends[name] <= shown
    out += names(ledger.close(cut=False))
    assert out == "".join(ends)
