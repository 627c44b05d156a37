"""Questions about LLM serving and about the router, and the follow-ups that need the history."""

from __future__ import annotations

from .draw import Draw, Turn
from .ideas import IDEAS, Idea
from .router import FACTS, Fact

WHY = ("Why is it useful?", "Why is that useful?", "Why does it matter?", "Why?", "And why?",
       "Why is that important?", "Why is it important?", "What is it good for?", "Why so?",
       "What is the benefit?", "Why do we need it?", "Why should I care?", "Tell me more.",
       "Tell me more about it.", "Go on.", "What does it help with?", "Why is this useful?",
       "Why do people use it?", "How does it help?", "Why does that matter?", "What for?",
       "What is the use of it?", "Why would I want that?", "Explain why.", "But why?")
EXAMPLE = ("Give an example.", "Give me an example.", "Can you give an example?", "For example?",
           "An example?", "Show me an example.", "Do you have an example?", "An example, please.",
           "Can you give me an example?", "What is an example?", "Please give an example.",
           "Can you show an example?", "Could you give an example?", "Such as?",
           "Give an example of it.", "Name an example.", "I need an example.")
AGAIN = ("Please repeat that.", "Say that again.", "Can you repeat that?", "Repeat that, please.",
         "What did you say?", "Once more, please.", "Say it again.", "Come again?",
         "Can you say that again?", "Repeat your answer.")
TOPIC = ("What are we talking about?", "What was the topic?", "What were we talking about?",
         "What is our topic?", "Which topic was that?", "What did I ask about?")
ASIDE = ("", "", "", "", "Thanks. ", "Ok. ", "I see. ", "Good. ", "Thank you! ", "Great. ", "Hmm. ",
         "Interesting. ")


def meaning_question(draw: Draw, idea: Idea) -> str:
    """Ask what an idea means."""
    alias = draw.choice(idea.aliases) if draw.chance(0.4) else idea.name
    if alias.startswith("are:"):
        many = alias[4:]
        return draw.pick(f"What are {many}?", f"Explain {many}.", f"Tell me about {many}.",
                         f"Can you explain {many}?", f"Do you know what {many} are?")
    bare = idea.bare if alias == idea.name else alias
    return draw.pick(
        f"What is {alias}?", f"What is {alias}?", f"What is {alias}?", f"What's {alias}?",
        f"Explain {alias}.", f"Explain {alias} to me.", f"Tell me about {alias}.",
        f"What does {bare} mean?", f"Can you explain {alias}?", f"Define {bare}.",
        f"What do you know about {alias}?", f"Please explain {alias}.", f"Describe {alias}.",
        f"Do you know what {alias} is?", f"Explain {alias} in one sentence.", f"{bare}?",
        f"Can you tell me what {alias} is?", f"What is {alias} in simple words?",
        f"What is meant by {bare}?", f"I do not know what {alias} is.", f"How does {alias} work?",
    )


def meaning(draw: Draw, idea: Idea | None = None) -> Turn:
    """Say what an idea of LLM serving is."""
    idea = idea or draw.choice(IDEAS)
    user = draw.question(meaning_question(draw, idea))
    return Turn("serving", draw.loosely(user), idea.meaning, user, (idea.meaning,))


def direct_reason(draw: Draw) -> Turn:
    """Say why an idea matters, or give an example of it, when asked by name."""
    idea = draw.choice(IDEAS)
    if draw.chance(0.6):
        answer = idea.why
        ask = draw.pick(f"Why is {idea.name} useful?", f"Why is {idea.name} important?",
                        f"Why do we need {idea.name}?", f"What is {idea.name} good for?",
                        f"What is the benefit of {idea.name}?", f"Why does {idea.name} matter?")
    else:
        answer = idea.example
        ask = draw.pick(f"Give an example of {idea.name}.", f"Give me an example of {idea.name}.",
                        f"Can you give an example of {idea.name}?", f"An example of {idea.name}?")
    user = draw.question(ask)
    return Turn("serving", draw.loosely(user), answer, user, (answer,))


def fact(draw: Draw, known: Fact | None = None) -> Turn:
    """Answer a question about the router."""
    known = known or draw.choice(FACTS)
    user = draw.question(draw.choice(known.questions))
    return Turn("router", draw.loosely(user), known.answer, user, (known.answer,))


def _follow(draw: Draw, about: str, ask: str, answer: str) -> Turn:
    user = draw.choice(ASIDE) + ask
    return Turn("follow_up", draw.loosely(user), answer, f"{about} {user}", (answer,))


def follow_up(draw: Draw, subject: Idea | Fact, last: str) -> Turn:
    """Ask on about a subject; ``last`` is the answer that was just given."""
    form = draw.random()
    if isinstance(subject, Fact):
        if form < 0.8:
            return _follow(draw, subject.answer, draw.choice(WHY), subject.why)
        return _follow(draw, subject.answer, draw.choice(AGAIN), last)
    if form < 0.45:
        return _follow(draw, subject.name, draw.choice(WHY), subject.why)
    if form < 0.82:
        return _follow(draw, subject.name, draw.choice(EXAMPLE), subject.example)
    if form < 0.92:
        return _follow(draw, subject.name, draw.choice(AGAIN), last)
    return _follow(draw, subject.name, draw.choice(TOPIC), f"We talk about {subject.name}.")


def with_follow_ups(draw: Draw) -> list[Turn]:
    """Ask about a subject and then one or two things more, all drawn from our side of the split."""
    subject: Idea | Fact = draw.choice(IDEAS) if draw.chance(0.7) else draw.choice(FACTS)
    # The opening may be a trained wording even when the follow-up is held out.
    opening = meaning(draw, subject) if isinstance(subject, Idea) else fact(draw, subject)
    if not draw.held_out:
        opening = draw.take(lambda d: meaning(d, subject) if isinstance(subject, Idea)
                            else fact(d, subject))
    turns = [opening]
    for _ in range(1 if draw.chance(0.6) else 2):
        turns.append(draw.take(lambda d: follow_up(d, subject, turns[-1].assistant)))
    return turns
