"""Whole conversations for training: a system message now and then, and several turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import chat, knowledge, skills, system, unknown
from .draw import Draw, Turn

Message = dict[str, str]
Task = Callable[[Draw], Turn]

Shares = tuple[tuple[str, float], ...]

# Shares of the tasks within an ordinary conversation; one entry may give several turns.
BROAD: Shares = (
    ("greet", 5), ("small_talk", 2), ("identity", 6), ("serving", 11), ("reason", 3),
    ("router", 11), ("follow_up", 13), ("count", 4), ("repeat", 9), ("spell", 13), ("add", 7), ("subtract", 7),
    ("unknown", 9), ("charm", 1.5),
)
# Once talking works, more of what takes longest to learn.
PRACTICE: Shares = (
    ("greet", 3), ("small_talk", 1.5), ("identity", 4), ("serving", 9), ("reason", 4),
    ("router", 9), ("follow_up", 15), ("count", 6), ("repeat", 11), ("spell", 16), ("add", 8),
    ("subtract", 8), ("unknown", 9), ("charm", 1.5),
)
# At last, what still lags behind: where to stop counting, and every letter of a word.
FINISH: Shares = (
    ("greet", 3), ("small_talk", 2.5), ("identity", 4), ("serving", 7), ("reason", 5),
    ("router", 7), ("follow_up", 12), ("count", 13), ("repeat", 13), ("spell", 22), ("add", 7),
    ("subtract", 7), ("unknown", 9), ("charm", 2),
)
SINGLE: dict[str, Task] = {
    "greet": chat.greeting, "small_talk": chat.small_talk, "serving": knowledge.meaning,
    "reason": knowledge.direct_reason, "router": knowledge.fact, "count": skills.count,
    "repeat": skills.repeat, "spell": skills.spell, "add": skills.add,
    "subtract": skills.subtract, "unknown": unknown.unknown,
}
# Skills with many small cases come in runs: more cases per token of overhead.
RUNS = {"spell": 3, "add": 3, "subtract": 3, "repeat": 2}


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
    draw: Draw, shares: Shares, length: int, persona: chat.Persona, only: tuple[str, ...] = ()
) -> list[Turn]:
    """Draw about ``length`` turns, with the name of the user told and asked now and then."""
    chosen = [(kind, share) for kind, share in shares if not only or kind in only]
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


def conversation(draw: Draw, shares: Shares) -> list[Message]:
    """Draw one training conversation."""
    own = chat.Persona()
    mode = draw.random()
    length = draw.randint(1, 5)
    if mode < 0.55:
        return messages_of(body(draw, shares, length, own))
    if mode < 0.64:
        return messages_of(body(draw, shares, length, own), draw.choice(system.PLAIN))
    if mode < 0.75:
        rule = system.upper_rule(draw)
        turns = body(draw, shares, draw.randint(1, 2), own, SHOUTED)
        return messages_of([turn.changed(str.upper) for turn in turns], rule)
    if mode < 0.85:
        rule, persona = system.persona_rule(draw)
        asked = [draw.take(lambda d: chat.identity(d, persona)) for _ in range(draw.randint(1, 2))]
        other = body(draw, shares, draw.randint(0, 2), persona)
        return messages_of(asked + other if draw.chance(0.7) else other + asked, rule)
    if mode < 0.94:
        rule, word = system.closing_rule(draw)
        turns = body(draw, shares, draw.randint(1, 3), own)
        return messages_of([turn.changed(lambda text: f"{text} {word}.") for turn in turns], rule)
    if mode < 0.96:
        rule, word = system.secret_rule(draw)
        turns = body(draw, shares, draw.randint(0, 2), own)
        return messages_of([*turns, system.secret(draw, word)], rule)
    if mode < 0.99:
        start = messages_of(body(draw, shares, draw.randint(0, 1), own))
        return start + with_tool(draw)
    # A few long ones, so that every position up to the context length is trained.
    return messages_of(body(draw, shares, draw.randint(15, 40), own))


def stream(seed: int, shares: Shares = BROAD) -> Iterator[list[Message]]:
    """Yield training conversations without end; the same seed gives the same ones."""
    draw = Draw(seed)
    while True:
        yield conversation(draw, shares)
