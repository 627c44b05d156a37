"""Conversations as chat products have them: groups share a system prompt, and each turn repeats all before it."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]
Message = tuple[Role, str]
"""Role and content."""

_SYLLABLES = ("ba", "den", "fo", "gri", "lum", "mar", "ne", "pol", "ra", "sti", "tor", "we")


@dataclass(frozen=True)
class Traffic:
    """What is asked.

    Args:
        users: Conversations at the same time.
        groups: System prompts; users have them in turn.
        turns: Of a conversation; then its user begins another one, with the same system prompt.
        system: Characters of a system prompt.
        document: Characters that a conversation is about; its first question brings them.
        question: Characters of a question.
        answer: Characters of an answer, where nobody says what it is.
    """

    users: int = 24
    groups: int = 6
    turns: int = 5
    system: int = 1200
    document: int = 0
    question: int = 300
    answer: int = 60

    @property
    def alive(self) -> float:
        """Return the characters that all conversations have together at a time, shared ones counted once."""
        turn = self.question + self.answer
        return self.groups * self.system + self.users * (
            self.document + turn * (self.turns + 1) / 2
        )


def words(count: int, dice: random.Random) -> str:
    """Return about ``count`` characters of text that nobody has said before."""
    said: list[str] = []
    size = 0
    while size < count:
        word = dice.choice(_SYLLABLES) + dice.choice(_SYLLABLES)
        said.append(word)
        size += len(word) + 1
    return " ".join(said)


class User:
    """Somebody who has one conversation after another.

    Args:
        traffic: What they are like.
        system: The prompt that the group shares.
        dice: Draws what is asked.
    """

    def __init__(self, traffic: Traffic, system: str, dice: random.Random) -> None:
        self._traffic = traffic
        self._system = system
        self._dice = dice
        # Not all begin at the same time: each is somewhere in a conversation whose past nobody has kept.
        self._left = dice.randint(1, traffic.turns)
        self._messages: list[Message] = [("system", system)]

    def ask(self) -> list[Message]:
        """Return the next prompt."""
        if not self._left:
            self._left = self._traffic.turns
            self._messages = [("system", self._system)]
        self._left -= 1
        size = self._traffic.question
        if len(self._messages) == 1:
            size += self._traffic.document
        self._messages.append(("user", words(size, self._dice)))
        return list(self._messages)

    def hear(self, answer: str) -> None:
        """Take an answer: it is part of the next prompt."""
        self._messages.append(("assistant", answer))


def users(traffic: Traffic, seed: str) -> Iterator[User]:
    """Yield the users of one run; another seed has no word in common with it."""
    dice = random.Random(seed)
    prompts = [words(traffic.system, dice) for _ in range(traffic.groups)]
    for number in range(traffic.users):
        own = random.Random(f"{seed} {number}")
        yield User(traffic, prompts[number % traffic.groups], own)


@dataclass
class Outcome:
    """What came of a run, or of a part of one.

    Args:
        prompt: Tokens, or characters, of all prompts.
        cached: Of them, those that a home still knew.
        waits: Seconds to each first token.
        by_home: Requests of each home.
    """

    prompt: int = 0
    cached: int = 0
    waits: list[float] = field(default_factory=list)
    by_home: Counter[str] = field(default_factory=Counter)

    @property
    def hit_rate(self) -> float:
        """Return the share of all prompts that need not be read."""
        return self.cached / self.prompt

    @property
    def imbalance(self) -> float:
        """Return the requests of the busiest home against the average."""
        return max(self.by_home.values()) * len(self.by_home) / self.by_home.total()

    @property
    def wait_p50(self) -> float:
        """Return the median of the milliseconds to a first token."""
        return 1000 * statistics.median(self.waits)

    @property
    def wait_p90(self) -> float:
        """Return what nine of ten first tokens took at most, in milliseconds."""
        return 1000 * statistics.quantiles(self.waits, n=10, method="inclusive")[-1]

    def readings(self) -> dict[str, float]:
        """Return what goes into a table or a record."""
        return {
            "hit_rate": round(self.hit_rate, 4),
            "imbalance": round(self.imbalance, 3),
            "first_token_p50_ms": round(self.wait_p50, 1),
            "first_token_p90_ms": round(self.wait_p90, 1),
        }


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each reading over some rounds."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
