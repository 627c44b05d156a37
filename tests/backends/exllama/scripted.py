"""A generator by script: the next token follows from all tokens before it, and pages are counted as the engines do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hoonify_backends.exllama.options import PAGE
from hoonify_backends.exllama.stepper import Choose

Next = Callable[[Sequence[int]], int]


class Sequence_:
    """One sequence in the generator."""

    def __init__(self, tokens: Sequence[int], limit: int, choose: Choose) -> None:
        self.tokens = list(tokens)
        self.prompt_length = len(tokens)
        self.end = len(tokens) + limit
        self.choose = choose

    @property
    def pages(self) -> int:
        return -(-self.end // PAGE)


class ScriptedGenerator:
    """What the stepper needs of an engine.

    Args:
        after: Returns the token that follows.
        vocabulary: How many tokens there are.
        pages: Pages of the cache.
        slots: Sequences that run at once.
        paged: Whether they share the cache.
    """

    def __init__(
        self,
        after: Next,
        *,
        vocabulary: int = 97,
        pages: int = 64,
        slots: int = 8,
        paged: bool = True,
    ) -> None:
        self.after, self.vocabulary = after, vocabulary
        self.pages, self.slots, self.paged = pages, slots, paged
        self.waiting: list[Sequence_] = []
        self.running: list[Sequence_] = []
        self.started: list[tuple[int, int]] = []  # lengths of prompts, and their limits
        self.images: list[tuple[Any, ...]] = []  # of each that was started
        self.together: list[int] = []  # how many ran in each step
        self.resets = 0
        self.may_step = threading.Event()
        self.may_step.set()
        self.failures: list[Exception] = []
        self.refusals: list[Exception] = []
        self.failed: list[tuple[Sequence_, Exception]] = []

    @property
    def used(self) -> int:
        """Return how many pages are taken."""
        return sum(sequence.pages for sequence in self.running)

    @property
    def idle(self) -> bool:
        return not (self.waiting or self.running)

    def start(
        self,
        prompt: Sequence[int],
        limit: int,
        choose: Choose,
        *,
        first: bool,
        images: Sequence[Any] = (),
    ) -> Sequence_:
        if self.refusals:
            raise self.refusals.pop()
        sequence = Sequence_(prompt, limit, choose)
        assert sequence.pages <= self.pages, "the stepper asks for more than the cache has"
        self.started.append((len(prompt), limit))
        self.images.append(tuple(images))
        self.waiting.insert(0 if first else len(self.waiting), sequence)
        return sequence

    def step(self) -> Iterable[tuple[Sequence_, Exception]]:
        self.may_step.wait(60)
        if self.failures:
            raise self.failures.pop(0)
        while (
            self.waiting
            and len(self.running) < self.slots
            and self.used + self.waiting[0].pages <= self.pages
        ):
            self.running.append(self.waiting.pop(0))
        self.together.append(len(self.running))
        for sequence in list(self.running):
            row = np.zeros(self.vocabulary, np.float32)
            row[self.after(sequence.tokens)] = 10
            sequence.tokens.append(sequence.choose(row))
            if len(sequence.tokens) >= sequence.end:
                self.running.remove(sequence)
        failed, self.failed = self.failed, []
        return failed

    def stop(self, handle: Sequence_) -> None:
        for place in (self.waiting, self.running):
            if handle in place:
                place.remove(handle)

    def cached(self, handle: Sequence_) -> int:
        return handle.prompt_length // PAGE * PAGE

    def reset(self) -> None:
        self.resets += 1
        self.waiting.clear()
        self.running.clear()


def mixed(tokens: Sequence[int]) -> int:
    """Return a token that every token before it, and its place, has a part in."""
    return sum((place + 3) * (token + 1) for place, token in enumerate(tokens)) * 31 % 97
