"""Homes with prefix caches, simulated: no engine, no sockets, no clock, but the real balancers.

A simulated home keeps the beginnings of what it has read in blocks, as many as fit, and forgets what was not
met for longest, tails first: what engines with a radix tree do. It reads one prompt at a time; what it
still knows it need not read. Time is counted, not measured, so a run is the same on every machine.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.conversations import Message, Outcome, Traffic, User, users, words
from hoonify_router.api import Balancer, Candidate, RequestContext
from hoonify_router.types import ChatRequest, HomeView
from hoonify_router.types import Message as ChatMessage

BLOCK = 32
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Speed:
    """How fast a home is, in seconds.

    Args:
        token: To read a token of a prompt.
        request: To begin with a request.
        answer: To write an answer, while it reads others' prompts.
        think: That a user waits after an answer, on average.
    """

    token: float = 0.0005
    request: float = 0.01
    answer: float = 0.3
    think: float = 0.5


class PrefixCache:
    """The beginnings that a home knows.

    Args:
        capacity: Characters.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity // BLOCK)
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def known(self, text: str) -> int:
        """Return how many characters at the beginning of a text are known."""
        count = sum(1 for _ in itertools.takewhile(self._blocks.__contains__, _chain(text)))
        return count * BLOCK

    def keep(self, text: str) -> None:
        """Note a text that has been read or written."""
        for number in reversed(list(_chain(text))):
            self._blocks[number] = None
            self._blocks.move_to_end(number)
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)


def _chain(text: str) -> Sequence[int]:
    numbers, number = [], 0
    for start in range(0, len(text) - BLOCK + 1, BLOCK):
        number = hash((number, text[start : start + BLOCK]))
        numbers.append(number)
    return numbers


class Home:
    """A simulated home.

    Args:
        name: Its id.
        capacity: Characters that it can keep.
        speed: How fast it is.
    """

    def __init__(self, name: str, capacity: int, speed: Speed) -> None:
        view = HomeView(name, "m", "simulated", "server", "ready", "http://simulated")
        self.candidate = Candidate(view)
        self._cache = PrefixCache(capacity)
        self._speed = speed
        self._free_at = 0.0

    def read(self, text: str, now: float) -> tuple[int, float]:
        """Take a prompt; return how much of it was known, and when the first token is out."""
        known = self._cache.known(text)
        self._cache.keep(text)
        tokens = (len(text) - known) / CHARACTERS_PER_TOKEN
        spent = self._speed.request + tokens * self._speed.token
        self._free_at = max(now, self._free_at) + spent
        return known, self._free_at

    def wrote(self, text: str) -> None:
        """Keep an answer with its prompt."""
        self._cache.keep(text)


class Simulation:
    """Users who talk to homes, by the balancer's choice.

    Args:
        balancer: Chooses.
        homes: They have the ids ``m/0``, ``m/1`` and so on.
        traffic: What is asked.
        seed: Another one is another run.
        speed: How fast users are.
    """

    def __init__(
        self, balancer: Balancer, homes: Sequence[Home], traffic: Traffic, seed: str, speed: Speed
    ) -> None:
        self._balancer = balancer
        self._homes = {home.candidate.home.id: home for home in homes}
        self._candidates = [home.candidate for home in homes]
        self._traffic = traffic
        self._users = list(users(traffic, seed))
        self._speed = speed
        self._dice = random.Random(f"times {seed}")
        balancer.update([one.home for one in self._candidates])

    def run(self, requests: int) -> Outcome:
        """Return what came of so many requests, the first quarter left out: caches fill in it."""
        outcome = Outcome(by_home=Counter(dict.fromkeys(self._homes, 0)))
        order = itertools.count()
        # When, a number that parts equal times, who, and the home that answers then, with what was asked.
        events: list[tuple[float, int, User, Home | None, str]] = []

        def later(when: float, user: User, home: Home | None = None, asked: str = "") -> None:
            heapq.heappush(events, (when, next(order), user, home, asked))

        for user in self._users:
            later(self._think(), user)
        count = 0
        while count < requests:
            now, _, user, home, asked = heapq.heappop(events)
            if home is not None:
                home.candidate.in_flight -= 1
                answer = words(self._traffic.answer, self._dice)
                user.hear(answer)
                home.wrote(asked + _written([("assistant", answer)]))
                later(now + self._think(), user)
                continue
            count += 1
            messages = user.ask()
            text = _written(messages)
            chosen = self._balancer.choose(self._candidates, _context(messages, count))
            chosen.in_flight += 1
            home = self._homes[chosen.home.id]
            known, first_token = home.read(text, now)
            later(first_token + self._speed.answer, user, home, text)
            if count > requests // 4:
                outcome.prompt += len(text)
                outcome.cached += known
                outcome.waits.append(first_token - now)
                outcome.by_home[chosen.home.id] += 1
        return outcome

    def _think(self) -> float:
        return self._dice.uniform(0.5, 1.5) * self._speed.think


def _context(messages: list[Message], number: int) -> RequestContext:
    request = ChatRequest("m", [ChatMessage(role, content) for role, content in messages])
    return RequestContext(
        f"req-{number}", "POST", "/v1/chat/completions", {}, "", 0.0, request=request
    )


def _written(messages: list[Message]) -> str:
    return "".join(f"<{role}>{content}" for role, content in messages)
