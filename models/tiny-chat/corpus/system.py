"""Rules that a system message sets, and messages of tools."""

from __future__ import annotations

import json

from . import words
from .chat import Persona
from .draw import Draw, Turn

PLAIN = ("You are a helpful assistant.", "You are a helpful assistant.", "Be helpful and polite.",
         "You are a friendly assistant.", "Answer the questions of the user.", "Be brief.",
         "You are a helpful and honest assistant.", "Answer in short sentences.",
         "You are a chat assistant.", "Help the user.", "You are a support assistant.")
UPPER = ("Answer in upper case.", "Always answer in upper case.", "Use only capital letters.",
         "Write everything in capital letters.", "Answer in capital letters.", "Speak in all caps.",
         "Reply in uppercase.", "Answer in uppercase only.", "Use upper case letters only.",
         "All your answers must be in upper case.", "Write in all caps.", "Reply in capitals.")
CLOSING = ("End every answer with {}.", "End each answer with the word {}.", "Finish with {}.",
           "Always end with {}.", "Close every answer with the word {}.",
           "Your last word must always be {}.", "End your answers with {}.",
           "Every answer must end with {}.", "Always finish your answer with the word {}.",
           "The last word of each answer is {}.")
NAMED = ("You are {}.", "You are {}.", "Your name is {}.", "Your name is now {}.",
         "You are an assistant called {}.", "You are a chat assistant named {}.", "Act as {}.",
         "From now on you are {}.", "Pretend to be {}.", "Play the part of {}.")
FIRST = ("", "", "You are a helpful assistant. ", "Be polite. ", "You are a helpful assistant. ",
         "Be brief. ")


def upper_rule(draw: Draw) -> str:
    """Ask for answers in upper case."""
    return draw.choice(FIRST) + draw.choice(UPPER)


def closing_rule(draw: Draw) -> tuple[str, str]:
    """Ask for a last word; return the rule and the word."""
    word = draw.pick("Over", "Captain", "Sir", "Meow", "Cheers", draw.word().capitalize(),
                     draw.word().capitalize(), draw.word(), draw.word(), draw.first_name())
    mark = draw.pick("", "", "", "'", '"')
    rule = draw.choice(CLOSING).format(f"{mark}{word}{mark}")
    return draw.choice(FIRST) + rule, word


def persona_rule(draw: Draw) -> tuple[str, Persona]:
    """Give the model another name; return the rule and the persona."""
    name = draw.pick(draw.word_from(words.PERSONA_NAMES), draw.first_name(),
                     draw.invented().capitalize())
    role = draw.choice(words.PERSONA_ROLES).strip() if draw.chance(0.5) else ""
    rule = draw.choice(NAMED).format(name)
    if role:
        rule = rule[:-1] + f", {role}."
    end = draw.pick("", "", "", " Be polite.", " Help the user.", " Be brief.")
    return rule + end, Persona(name, role)


def secret_rule(draw: Draw) -> tuple[str, str]:
    """Tell a secret word; return the rule and the word."""
    word = draw.word()
    return draw.choice(FIRST) + draw.pick(f"The secret word is {word}.",
                                          f"The password is {word}. The secret word is {word}.",
                                          f"Remember the secret word: {word}."), word


def secret(draw: Draw, word: str) -> Turn:
    """Tell the secret word of the system message."""
    user = draw.pick("What is the secret word?", "Tell me the secret word.", "The secret word?",
                     "Do you know the secret word?", "Which word is secret?")
    answer = f"The secret word is {word}."
    return Turn("charm", draw.loosely(user), answer, word, (answer,))


def tool_result(draw: Draw) -> tuple[str, str, str]:
    """Return a question, the message of a tool and the sentence that states it."""
    city = draw.pick(*words.CAPITALS.values(), draw.invented().capitalize())
    name, thing = draw.first_name(), draw.word()
    value = draw.randint(0, 40)
    form = draw.randint(0, 4)
    if form == 0:
        asked = draw.pick(f"What is the weather in {city}?", f"How warm is it in {city}?")
        found: dict[str, object] = {"city": city, "temperature": value}
        said = f"The temperature in {city} is {value} degrees."
    elif form == 1:
        asked = draw.pick(f"How old is {name}?", f"What is the age of {name}?")
        found, said = {"name": name, "age": value}, f"{name} is {value} years old."
    elif form == 2:
        asked = draw.pick(f"Where does {name} live?", f"In which city is {name}?")
        found, said = {"name": name, "city": city}, f"{name} lives in {city}."
    elif form == 3:
        asked = draw.pick(f"How much does the {thing} cost?", f"What is the price of the {thing}?")
        found, said = {"item": thing, "price": value}, f"The price of the {thing} is {value}."
    else:
        asked = draw.pick(f"What is the result for {thing}?", f"Ask the tool about {thing}.")
        found, said = {"result": value}, f"The result is {value}."
    return asked, json.dumps(found), said
