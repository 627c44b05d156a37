"""Balancers that must exist with settings they know, and models that may stand in for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from hoonify_router.config import LoadedConfig, balance_options_for

from .conftest import GOOD

Problems = Callable[..., list[str]]


class Moody(Struct, forbid_unknown_fields=True):
    """Settings that all have defaults."""

    patience: Annotated[int, Meta(ge=1)] = 3


class Picky(Struct, forbid_unknown_fields=True):
    """Settings of which one is required."""

    favourite: str


BALANCERS = {"moody": Moody, "picky": Picky}
TWO = GOOD + GOOD.partition("\n")[2].replace("polly", "molly")


def lines(problems: Problems, more: str, text: str = GOOD) -> list[str]:
    """Return what is wrong when the last model of ``text`` says ``more``."""
    indented = "".join(f"    {line}\n" for line in more.splitlines())
    found = problems(text + indented, balancer_settings=BALANCERS)
    return [line.removeprefix("router.yaml:") for line in found]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            "balance: mody",
            "7: models.polly.balance: no balancer called mody, did you mean moody?"
            " installed: moody, picky, round_robin",
        ),
        (
            "balance: xyz",
            "7: models.polly.balance: no balancer called xyz; installed: moody, picky, round_robin",
        ),
        (
            "balance: moody\nbalance_options: {patiense: 4}",
            "8: models.polly.balance_options.patiense: unknown key, did you mean patience?",
        ),
        (
            "balance: moody\nbalance_options: {patience: 0}",
            "8: models.polly.balance_options.patience: must be at least 1, got 0",
        ),
        ("balance: picky", "7: models.polly.balance_options.favourite: is required"),
        (
            "balance: picky\nbalance_options: {}",
            "8: models.polly.balance_options.favourite: is required",
        ),
        (
            "balance_options: {patience: 4}",
            "7: models.polly.balance_options: needs balance: NAME, one of moody, picky",
        ),
        (
            "balance: round_robin\nbalance_options: {patience: 4}",
            "8: models.polly.balance_options: has no meaning: round_robin has no options",
        ),
        ("balance: 7", "7: models.polly.balance: must be a text, got 7; put it in quotes"),
        (
            "fallback: [mooly]",
            "7: models.polly.fallback[0]: there is no model called mooly; the others: none",
        ),
        (
            "fallback: [polly]",
            "7: models.polly.fallback[0]: names the model itself, which has failed by then",
        ),
        ("attempts: 0", "7: models.polly.attempts: must be at least 1, got 0"),
        ("attempts: 11", "7: models.polly.attempts: must be at most 10, got 11"),
        ("breaker: {failures: 0}", "7: models.polly.breaker.failures: must be at least 1, got 0"),
        ("timeouts: {idel: 3s}", "7: models.polly.timeouts.idel: unknown key, did you mean idle?"),
    ],
)
def test_a_mistake_is_one_line(problems: Problems, more: str, told: str) -> None:
    """It says what to write instead."""
    assert lines(problems, more) == [told]


def test_a_fallback_is_another_model_named_once(problems: Problems) -> None:
    """With a suggestion for a name that is nearly right."""
    assert lines(problems, "fallback: [polly]", TWO) == []
    assert lines(problems, "fallback: [poly, polly, polly]", TWO) == [
        "12: models.molly.fallback[0]: there is no model called poly; did you mean polly?",
        '12: models.molly.fallback[2]: names "polly" a second time',
    ]


@pytest.mark.parametrize("weight", ["0", "1001", "1.5", "heavy"])
def test_a_weight_is_a_whole_number_from_1_to_1000(problems: Problems, weight: str) -> None:
    """Nobody is left out, and nobody drowns the others."""
    text = GOOD.replace(
        "    backend: parrot\n    options: {model: ./polly}\n",
        f"    homes: [{{backend: remote, weight: {weight}}}]\n",
    )
    (told,) = problems(text)
    assert told.startswith("router.yaml:5: models.polly.homes[0].weight: must be")


def test_a_broken_balancer_is_named_with_its_reason(problems: Problems) -> None:
    """What is installed and broken is not called unknown."""
    told = problems(GOOD + "    balance: sleepy\n", broken={"sleepy": "No module named 'bed'"})
    assert told == [
        "router.yaml:7: models.polly.balance: balancer sleepy is installed but cannot be loaded:"
        " No module named 'bed'"
    ]


def test_good_settings_become_the_balancers_own_struct(
    load: Callable[..., LoadedConfig],
) -> None:
    """Numbers of the environment too."""
    text = GOOD + "    balance: moody\n    balance_options: {patience: '${PATIENCE}'}\n"
    loaded = load(text, env={"PATIENCE": "7"}, balancer_settings=BALANCERS)
    assert balance_options_for(loaded.config.models["polly"], Moody) == Moody(7)


def test_a_secret_in_the_wrong_place_is_not_shown(problems: Problems) -> None:
    """Whatever comes from the environment may be one."""
    env = {"NAME": "hunter2"}
    for line in ("balance: ${NAME}", "fallback: ['${NAME}']"):
        (told,) = problems(GOOD + f"    {line}\n", env=env, balancer_settings=BALANCERS)
        assert "of this name" in told
        assert "hunter2" not in told
