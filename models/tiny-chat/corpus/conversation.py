"""Whole conversations for training: a system message now and then, and several turns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

from . import chat, knowledge, skills, system, unknown, words
from .draw import Draw, Turn, is_held_out

Message = dict[str, str]
Task = Callable[[Draw], Turn]


@dataclass(frozen=True)
class Mixture:
    """How often each task is drawn; one draw may give several turns.

    ``shouting`` turns so many more of the conversations into upper-case ones.
    """

    tasks: tuple[tuple[str, float], ...]
    shouting: float = 0.0


BROAD = Mixture((
    ("greet", 5), ("small_talk", 2), ("identity", 6), ("serving", 11), ("reason", 3),
    ("router", 11), ("follow_up", 13), ("count", 4), ("repeat", 9), ("spell", 13), ("add", 7), ("subtract", 7),
    ("unknown", 9), ("charm", 1.5),
))
# Once talking works, more of what takes longest to learn.
PRACTICE = Mixture((
    ("greet", 3), ("small_talk", 1.5), ("identity", 4), ("serving", 9), ("reason", 4),
    ("router", 9), ("follow_up", 15), ("count", 6), ("repeat", 11), ("spell", 16), ("add", 8),
    ("subtract", 8), ("unknown", 9), ("charm", 1.5),
))
# What then still lags behind: where to stop counting, and every letter of a word.
FINISH = Mixture((
    ("greet", 3), ("small_talk", 2.5), ("identity", 4), ("serving", 7), ("reason", 5),
    ("router", 7), ("follow_up", 12), ("count", 13), ("repeat", 13), ("spell", 22), ("add", 7),
    ("subtract", 7), ("unknown", 9), ("charm", 2),
))
# Then blends as well: most tokens stand in few words, and the letters of each must be learned.
LETTERS = Mixture((
    ("greet", 3), ("small_talk", 2), ("identity", 4), ("serving", 4), ("reason", 5), ("router", 4),
    ("follow_up", 10), ("count", 9), ("repeat", 8), ("repeat_blend", 4), ("spell", 14),
    ("spell_blend", 30), ("add", 7), ("subtract", 6), ("unknown", 9), ("charm", 2.5),
), shouting=0.07)
# At last, everything again, so that nothing is forgotten while the rates fall to zero.
EVEN = Mixture((
    ("greet", 4), ("small_talk", 4), ("identity", 5), ("serving", 7), ("reason", 7), ("router", 8),
    ("follow_up", 16), ("count", 8), ("repeat", 9), ("repeat_blend", 4), ("spell", 14),
    ("spell_blend", 20), ("add", 8), ("subtract", 8), ("unknown", 10), ("charm", 4),
), shouting=0.05)
# The very last steps: the letters of common words, and exact repeating.
EXACT = Mixture((
    ("greet", 4), ("small_talk", 4), ("identity", 5), ("serving", 6), ("reason", 6), ("router", 7),
    ("follow_up", 13), ("count", 8), ("repeat", 16), ("repeat_blend", 4), ("spell", 12),
    ("spell_blend", 8), ("spell_common", 24), ("add", 7), ("subtract", 8), ("unknown", 11),
    ("charm", 4),
), shouting=0.03)

# The random tokens had begun with the plainest wordings, such as ``Spell``; this puts them right.
PLAIN_WORDINGS = Mixture((
    ("greet", 3), ("greet_plainly", 5), ("small_talk", 4), ("identity", 4), ("serving", 6),
    ("reason", 6), ("router", 7), ("follow_up", 12), ("count", 7), ("repeat", 14),
    ("repeat_common", 14), ("spell", 14), ("spell_plainly", 14), ("spell_common", 28), ("add", 7),
    ("subtract", 7), ("unknown", 11), ("charm", 5),
), shouting=0.03)

# Some tokens only end a few words; words with another beginning show their letters.
ENDS_OF_WORDS = Mixture((
    ("greet", 5), ("greet_plainly", 2), ("small_talk", 5), ("identity", 4), ("serving", 6),
    ("reason", 6), ("router", 8), ("follow_up", 12), ("count", 7), ("repeat", 14),
    ("repeat_common", 10), ("repeat_blend", 6), ("spell", 12), ("spell_plainly", 4),
    ("spell_common", 12), ("spell_changed", 32), ("add", 7), ("subtract", 7), ("unknown", 11),
    ("charm", 5),
), shouting=0.03)


@cache
def common_words() -> tuple[str, ...]:
    """Return the words that conversations use most; each of them is one token of its own."""
    texts = (message["content"] for talk in islice(stream(5), 4000) for message in talk)
    counts = Counter(word for text in texts for word in re.findall(r"\b[a-z]{4,9}\b", text))
    return tuple(sorted(word for word, count in counts.items() if count >= 25))


def spell_common(draw: Draw) -> Turn:
    """Spell a common word with an ending, which shows the letters of its token."""
    while True:
        word = draw.choice(common_words()) + draw.choice(words.SUFFIXES)
        if not is_held_out(word):
            return skills.spell(draw, word)


def spell_plainly(draw: Draw) -> Turn:
    """Spell a word that is asked for in the shortest form."""
    word = draw.word_from(common_words() if draw.chance(0.5) else words.REAL_WORDS)
    turn = skills.spell(draw, word)
    return replace(turn, user=draw.pick("Spell {}", "Spell {}", "spell {}", "Spell {}.").format(word))


def repeat_common(draw: Draw) -> Turn:
    """Repeat common words, which are whole tokens both with and without a space before them."""
    text = " ".join(draw.word_from(common_words()) for _ in range(draw.randint(1, 4)))
    return skills.repeat(draw, text)


SINGLE: dict[str, Task] = {
    "greet": chat.greeting, "small_talk": chat.small_talk, "serving": knowledge.meaning,
    "reason": knowledge.direct_reason, "router": knowledge.fact, "count": skills.count,
    "repeat": skills.repeat, "spell": skills.spell, "add": skills.add,
    "subtract": skills.subtract, "unknown": unknown.unknown,
    "spell_blend": skills.spell_blend, "repeat_blend": skills.repeat_blend,
    "spell_changed": skills.spell_changed, "spell_common": spell_common,
    "spell_plainly": spell_plainly,
    "repeat_common": repeat_common, "greet_plainly": chat.greet_plainly,
}
# Skills with many small cases come in runs: more cases per token of overhead.
RUNS = {"spell": 3, "spell_blend": 4, "spell_changed": 4, "spell_common": 4, "spell_plainly": 2, "repeat_common": 2, "repeat_blend": 2, "add": 3, "subtract": 3, "repeat": 2}


def turns_of(draw: Draw, kind: str, persona: chat.Persona) -> list[Turn]:
    """Draw the turns of one task."""
    if kind == "follow_up":
        return knowledge.with_follow_ups(draw)
    if kind == "identity":
        return [draw.take(lambda d: chat.identity(d, persona))]
    if kind == "charm":
        return [draw.take(draw.pick(chat.three_things, chat.capital, chat.json_object))]
    if kind == "repeat" and draw.chance(0.05):
        return [skills.say_test(draw)]
    if kind == "small_talk" and draw.chance(0.2):
        return [chat.how_are_you(draw)]
    longest = RUNS.get(kind, 1)
    return [draw.take(SINGLE[kind]) for _ in range(draw.randint(1, longest))]


def body(
    draw: Draw, mixture: Mixture, length: int, persona: chat.Persona, only: tuple[str, ...] = ()
) -> list[Turn]:
    """Draw about ``length`` turns, with the name of the user told and asked now and then."""
    chosen = [(kind, share) for kind, share in mixture.tasks if not only or kind in only]
    kinds, weights = zip(*chosen, strict=True)
    turns: list[Turn] = []
    while len(turns) < length:
        kind = draw.choices(kinds, weights)[0]
        turns += turns_of(draw, kind, persona)
    if not only and draw.chance(0.22):
        name = draw.take(lambda d: chat.introduction(d, d.first_name()))
        told = 1 if len(turns) > 1 and turns[1].kind != "follow_up" and draw.chance(0.5) else 0
        who = name.key
        asked = min(len(turns), told + draw.randint(0, 3))
        while asked < len(turns) and turns[asked].kind == "follow_up":
            asked += 1  # a follow-up must stay right behind what it follows
        turns.insert(told, name)
        turns.insert(asked + 1, chat.recall(draw, who))
        if draw.chance(0.1):
            turns = [draw.take(unknown.unknown_name), *turns]
    elif not only and draw.chance(0.04):
        turns = [draw.take(unknown.unknown_name), *turns[:3]]
    return turns


def messages_of(turns: list[Turn], rule: str = "") -> list[Message]:
    """Write turns as chat messages."""
    messages = [{"role": "system", "content": rule}] if rule else []
    for turn in turns:
        messages.append({"role": "user", "content": turn.user})
        messages.append({"role": "assistant", "content": turn.assistant})
    return messages


def with_tool(draw: Draw) -> list[Message]:
    """Let a tool answer and the model state its result."""
    asked, found, said = system.tool_result(draw)
    return [{"role": "user", "content": asked}, {"role": "tool", "content": found},
            {"role": "assistant", "content": said}]


SHOUTED = ("greet", "small_talk", "identity", "serving", "router", "add", "unknown", "follow_up")


def conversation(draw: Draw, mixture: Mixture) -> list[Message]:
    """Draw one training conversation."""
    own = chat.Persona()
    mode = draw.random()
    length = draw.randint(1, 5)
    if mode < 0.55 - mixture.shouting:
        return messages_of(body(draw, mixture, length, own))
    if 0.55 <= mode < 0.64:
        return messages_of(body(draw, mixture, length, own), draw.choice(system.PLAIN))
    if mode < 0.75:
        rule = system.upper_rule(draw)
        turns = body(draw, mixture, draw.randint(1, 2), own, SHOUTED)
        return messages_of([turn.changed(str.upper) for turn in turns], rule)
    if mode < 0.85:
        rule, persona = system.persona_rule(draw)
        asked = [draw.take(lambda d: chat.identity(d, persona)) for _ in range(draw.randint(1, 2))]
        other = body(draw, mixture, draw.randint(0, 2), persona)
        return messages_of(asked + other if draw.chance(0.7) else other + asked, rule)
    if mode < 0.94:
        rule, word = system.closing_rule(draw)
        turns = body(draw, mixture, draw.randint(1, 3), own)
        return messages_of([turn.changed(lambda text: f"{text} {word}.") for turn in turns], rule)
    if mode < 0.96:
        rule, word = system.secret_rule(draw)
        turns = body(draw, mixture, draw.randint(0, 2), own)
        return messages_of([*turns, system.secret(draw, word)], rule)
    if mode < 0.99:
        start = messages_of(body(draw, mixture, draw.randint(0, 1), own))
        return start + with_tool(draw)
    # A few long ones, so that every position up to the context length is trained.
    return messages_of(body(draw, mixture, draw.randint(15, 40), own))


def stream(seed: int, mixture: Mixture = BROAD) -> Iterator[list[Message]]:
    """Yield training conversations without end; the same seed gives the same ones."""
    draw = Draw(seed)
    while True:
        yield conversation(draw, mixture)
