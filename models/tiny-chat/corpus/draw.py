"""Random draws that keep training prompts and held-out prompts apart."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from . import words
from .ideas import IDEAS
from .router import FACTS

T = TypeVar("T")
HELD_OUT_SHARE = 12  # one key of twelve never occurs in training

# What nearly everybody types first must not fall into the held-out part by bad luck.
ALWAYS_TRAINED = frozenset("""
hello|hi|hey|good morning|who are you|what is your name|who made you|what are you|what can you do
|how are you|what is an inference router|what is a kv cache|what is a token|what is hoonify router
|what is 7 5|what is 2 2|count to ten|count to 10|count to 5|spell router|router|hello world|test
|ada|why is it useful|give an example|why|thank you|thanks|bye""".replace("\n", "").split("|"))


def _words_in_facts() -> set[str]:
    texts = [idea.meaning + idea.why + idea.example for idea in IDEAS]
    texts += [fact.answer + fact.why for fact in FACTS]
    return set(re.findall(r"[a-z]{3,9}", " ".join(texts)))


FREQUENT = tuple(sorted(_words_in_facts()))
BLENDED = tuple(sorted(set(words.REAL_WORDS) | set(FREQUENT)))


@dataclass(frozen=True)
class Turn:
    """One question of the user and the answer to learn.

    ``key`` decides between training and held-out; ``goals`` are the answers that count as right.
    """

    kind: str
    user: str
    assistant: str
    key: str
    goals: tuple[str, ...] = ()

    def changed(self, change: Callable[[str], str]) -> Turn:
        """Return the turn with ``change`` applied to its answer and its goals."""
        return replace(self, assistant=change(self.assistant),
                       goals=tuple(change(goal) for goal in self.goals))


def plain(text: str) -> str:
    """Reduce a text to lower-case letters and digits, so that near copies share one key."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def is_held_out(key: str) -> bool:
    """Tell whether training never uses this key."""
    text = plain(key)
    if text in ALWAYS_TRAINED:
        return False
    return zlib.crc32(text.encode()) % HELD_OUT_SHARE == 0


class Draw(random.Random):
    """A random generator that also knows on which side of the split it draws."""

    def __init__(self, seed: int, held_out: bool = False) -> None:
        super().__init__(seed)
        self.held_out = held_out

    def chance(self, share: float) -> bool:
        """Return true in this share of the cases."""
        return self.random() < share

    def pick(self, *choices: T) -> T:
        """Return one of the arguments."""
        return self.choice(choices)

    def take(self, task: Callable[[Draw], Turn]) -> Turn:
        """Draw from a task until the turn lies on our side of the split."""
        while True:
            turn = task(self)
            if is_held_out(turn.key) == self.held_out:
                return turn

    def word_from(self, choices: Sequence[str]) -> str:
        """Draw a word; training never draws a held-out one."""
        while True:
            word = self.choice(choices)
            if self.held_out or not is_held_out(word):
                return word

    def invented(self) -> str:
        """Make up a word, so that copying and spelling do not depend on known ones."""
        while True:
            syllables = self.randint(1, 3)
            word = "".join(self.choice(words.CONSONANTS) + self.choice(words.VOWELS)
                           for _ in range(syllables)) + self.choice(words.ENDINGS)
            if self.chance(0.3):
                word = self.choice(words.VOWELS) + word
            if len(word) > 2 and (self.held_out or not is_held_out(word)):
                return word

    def blend(self) -> str:
        """Join the beginning of one word with the end of another, as in ``learn`` and ``window``."""
        while True:
            first, second = self.choice(BLENDED), self.choice(BLENDED)
            if self.chance(0.5):
                first = self.choice(FREQUENT)  # these are whole tokens, so they must stay whole
            elif not self.chance(0.3):
                first = first[: self.randint(2, len(first))]
            end = second[-self.randint(1, min(5, len(second))) :]
            word = first + (self.choice(words.SUFFIXES) if self.chance(0.3) else end)
            if len(word) <= 15 and word not in BLENDED and not is_held_out(word):
                return word

    def changed(self) -> str:
        """Give a word another beginning, as in ``mindow``."""
        while True:
            word = self.choice(BLENDED)
            start = self.choice(words.CONSONANTS + words.VOWELS)
            if self.chance(0.4):
                start += self.choice(words.VOWELS)
            word = start + (word if self.chance(0.2) else word[1:])
            if len(word) <= 13 and word not in BLENDED and not is_held_out(word):
                return word

    def word(self) -> str:
        """Draw a real word three times of four, else an invented one."""
        return self.invented() if self.chance(0.25) else self.word_from(words.REAL_WORDS)

    def first_name(self) -> str:
        """Draw the name of a person."""
        if self.chance(0.3):
            return self.invented().capitalize()
        return self.word_from(words.FIRST_NAMES)

    def loosely(self, text: str) -> str:
        """Write a text as people type: sometimes in lower case or without the last mark."""
        if self.chance(0.12):
            text = text.lower()
        if self.chance(0.22):
            text = text.rstrip(".?!")
        elif self.chance(0.04):
            text += self.pick("!", "?", "..", " ")
        return text

    def command(self, text: str) -> str:
        """Dress an order such as ``count to 5`` up as people do."""
        dressed = self.pick(
            "{}.", "{}.", "{}", "{}!", "Please {}.", "Please {}.", "{}, please.", "Can you {}?",
            "Could you {}?", "Can you please {}?", "Could you please {}?", "Now {}.", "Hi, {}.",
            "I want you to {}.", "Would you {}?", "{} for me.", "Hey, {}.", "Ok, {}.",
        ).format(text)
        return dressed[0].upper() + dressed[1:]

    def question(self, text: str) -> str:
        """Dress a full question up as people do."""
        start = self.pick("", "", "", "", "", "", "Hi, ", "Please tell me: ", "Hello! ",
                          "Tell me, ", "One question: ", "So, ", "Hey, ", "And ", "Ok, ", "I have a question. ")
        goes_on = start.endswith(", ") or start == "And "
        if goes_on and not text.startswith(("I ", "SGLang ", "Hoonify ", "Ada ")):
            text = text[0].lower() + text[1:]
        end = self.pick("", "", "", "", "", " Please.", " Thanks.", " Thank you!")
        return start + text + end
