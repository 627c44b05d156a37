"""Small skills: counting, sums, repeating and spelling."""

from __future__ import annotations

from . import words
from .draw import Draw, Turn


def number(draw: Draw, value: int, in_words: bool) -> str:
    """Write a number in digits or, up to twenty, as a word."""
    return words.NUMBER_WORDS[value] if in_words and value <= 20 else str(value)


def count(draw: Draw) -> Turn:
    """Count up or down between numbers up to twenty."""
    in_words = draw.chance(0.2)
    if draw.chance(0.5):
        first, last = 1, draw.randint(2, 20)
        end = number(draw, last, in_words)
        ask = draw.pick(f"count to {end}", f"count to {end}", f"count from 1 to {end}",
                        f"count up to {end}", f"write the numbers from 1 to {end}",
                        f"list the numbers from 1 to {end}", f"say the numbers up to {end}")
    else:
        low = draw.randint(0, 18)
        high = draw.randint(low + 1, min(20, low + 14))
        down = draw.chance(0.5)
        if down and draw.chance(0.5):
            low = 1
            high = draw.randint(2, 20)
        first, last = (high, low) if down else (low, high)
        start, end = number(draw, first, in_words), number(draw, last, in_words)
        if down:
            forms = [f"count down from {start} to {end}", f"count backwards from {start} to {end}",
                     f"count from {start} down to {end}"]
            if last == 1:
                forms += [f"count down from {start}", f"count backwards from {start}"] * 2
        else:
            forms = [f"count from {start} to {end}", f"count from {start} to {end}",
                     f"count from {start} up to {end}", f"list the numbers from {start} to {end}",
                     f"write the numbers {start} to {end}"]
        ask = draw.choice(forms)
    step = 1 if last >= first else -1
    answer = ", ".join(str(value) for value in range(first, last + step, step)) + "."
    user = draw.command(ask)
    return Turn("count", draw.loosely(user), answer, user, (answer,))


def _sum_question(draw: Draw, forms: list[str], orders: list[str]) -> tuple[str, str]:
    """Return the text as typed and its key."""
    if draw.chance(0.35):
        user = draw.command(draw.choice(orders))
    else:
        user = draw.question(draw.choice(forms))
    return draw.loosely(user), user


def add(draw: Draw) -> Turn:
    """Add two numbers from 0 to 20."""
    left, right = draw.randint(0, 20), draw.randint(0, 20)
    in_words = draw.chance(0.12)
    a, b = number(draw, left, in_words), number(draw, right, in_words)
    forms = [f"What is {a} plus {b}?", f"How much is {a} plus {b}?", f"{a} plus {b}?",
             f"What is the sum of {a} and {b}?", f"What do {a} and {b} make?"]
    orders = [f"add {a} and {b}", f"calculate {a} plus {b}", f"add {b} to {a}"]
    if not in_words:
        sign = draw.pick(" + ", " + ", "+")
        forms += [f"What is {a}{sign}{b}?"] * 3
        forms += [f"What's {a}{sign}{b}?", f"{a}{sign}{b}", f"{a}{sign}{b}=", f"{a}{sign}{b} = ?",
                  f"How much is {a}{sign}{b}?", f"What does {a}{sign}{b} equal?"]
        orders += [f"calculate {a}{sign}{b}", f"compute {a}{sign}{b}", f"solve {a}{sign}{b}"]
        if draw.chance(0.1):
            name, thing = draw.first_name(), draw.pick("apples", "coins", "books", "cards", "eggs")
            forms = [f"{name} has {a} {thing} and gets {b} more. How many {thing} are there?",
                     f"I have {a} {thing} and get {b} more. How many do I have?"]
            orders = [f"tell me how many {thing} {a} {thing} and {b} {thing} are"]
    user, key = _sum_question(draw, forms, orders)
    # The answer repeats the question in one fixed form: the sum is then a short look back.
    answer = f"{left} + {right} = {left + right}."
    if f"add {b} to {a}" in key.lower():
        key += " order"
    return Turn("add", user, answer, key, (answer,))


def subtract(draw: Draw) -> Turn:
    """Subtract numbers from 0 to 20, mostly with a result that is not negative."""
    left, right = draw.randint(0, 20), draw.randint(0, 20)
    if right > left and (draw.held_out or draw.chance(0.75)):
        left, right = right, left
    in_words = draw.chance(0.12)
    a, b = number(draw, left, in_words), number(draw, right, in_words)
    forms = [f"What is {a} minus {b}?", f"How much is {a} minus {b}?", f"{a} minus {b}?",
             f"What is {a} take away {b}?"]
    orders = [f"subtract {b} from {a}", f"calculate {a} minus {b}", f"take {b} away from {a}"]
    if not in_words:
        sign = draw.pick(" - ", " - ", "-")
        forms += [f"What is {a}{sign}{b}?"] * 3
        forms += [f"What's {a}{sign}{b}?", f"{a}{sign}{b}", f"{a}{sign}{b}=", f"{a}{sign}{b} = ?",
                  f"How much is {a}{sign}{b}?", f"What does {a}{sign}{b} equal?"]
        orders += [f"calculate {a}{sign}{b}", f"compute {a}{sign}{b}", f"solve {a}{sign}{b}"]
        if draw.chance(0.1) and left >= right:
            name, thing = draw.first_name(), draw.pick("apples", "coins", "books", "cards", "eggs")
            forms = [f"{name} has {a} {thing} and gives {b} away. How many {thing} are left?",
                     f"I have {a} {thing} and lose {b}. How many do I have left?"]
            orders = [f"tell me how many of {a} {thing} are left without {b}"]
    user, key = _sum_question(draw, forms, orders)
    answer = f"{left} - {right} = {left - right}."
    # Signs vanish from keys, so subtraction says what it is.
    return Turn("subtract", user, answer, key + " less", (answer,))


def phrase(draw: Draw) -> str:
    """Make a phrase of one to eight words."""
    form = draw.random()
    pick = draw.word_from
    if form < 0.4:
        return " ".join(draw.word() for _ in range(draw.randint(1, 4)))
    if form < 0.65:
        return (f"{draw.pick('the', 'a', 'my', 'our')} {pick(words.ADJECTIVES)} "
                f"{pick(words.ANIMALS + words.THINGS)} {pick(words.VERBS)} "
                f"{draw.choice(words.PLACES)}")
    if form < 0.8:
        return (f"the {pick(words.ADJECTIVES)} {pick(words.THINGS)} and the "
                f"{pick(words.ADJECTIVES)} {pick(words.ANIMALS)}")
    if form < 0.88:
        return " ".join(str(draw.randint(0, 20)) for _ in range(draw.randint(2, 5)))
    name = draw.first_name()
    return draw.pick(f"I like {draw.word()} and {draw.word()}", f"{name} likes {draw.word()}",
                     f"this is a {draw.word()}", f"we {draw.word()} with {name}",
                     f"{name} has a {draw.word_from(words.ADJECTIVES)} {draw.word()}")


def repeat(draw: Draw, text: str = "") -> Turn:
    """Repeat a phrase exactly."""
    text = text or phrase(draw)
    if draw.chance(0.08):
        text = text.capitalize()
    mark = draw.pick("", "", "", "'", '"')
    said = f"{mark}{text}{mark}"
    end = "" if draw.chance(0.8) else "."
    user = draw.pick(
        f"Repeat after me: {said}", f"Repeat after me: {said}", f"Repeat: {said}", f"Say {said}",
        f"Say: {said}", f"Echo: {said}", f"Please repeat: {said}", f"Repeat this: {said}",
        f"Can you say {said}?", f"Please say {said}", f"Repeat the words {said}", f"echo {said}",
        f"Repeat {said}", f"Answer only with: {said}", f"Reply with exactly: {said}",
        f"Say the words {said}", f"Please repeat after me: {said}", f"Write: {said}",
        f"Can you repeat this: {said}", f"repeat after me: {said}", f"Now say {said}",
    )
    return Turn("repeat", user + (end if not user.endswith("?") else ""), text, text, (text,))


def say_test(draw: Draw) -> Turn:
    """Answer the sentence with which many clients are tried out."""
    text = draw.pick("this is a test", "this is a test", "hello", "hello world", "hi", "yes", "ok",
                     "this is only a test", "hello from the router")
    user = draw.pick(f"Say {text}", f"Say {text}!", f"Say {text}.", f"Please say {text}.",
                     f"Say: {text}", f"Just say {text}.")
    return Turn("repeat", user, text, text, (text,))


def spell(draw: Draw, word: str = "") -> Turn:
    """Spell a word letter by letter."""
    word = word or draw.word()
    form = draw.random()
    if form < 0.1:
        word = word.capitalize()
    elif form < 0.13:
        word = word.upper()
    mark = draw.pick("", "", "", "", "'", '"')
    said = f"{mark}{word}{mark}"
    if draw.chance(0.3):
        user = draw.pick(f"How do you spell {said}?", f"How is {said} spelled?",
                         f"What are the letters of {said}?", f"How do I spell {said}?",
                         f"How do you write {said} letter by letter?")
    else:
        user = draw.command(draw.pick(
            f"spell {said}", f"spell {said}", f"spell the word {said}", f"spell out {said}",
            f"spell {said} letter by letter", f"spell the word {said} for me"))
    if draw.chance(0.2):
        user = user.rstrip(".?!")
    elif draw.chance(0.1):
        user = user[0].lower() + user[1:]
    letters = "-".join(word.upper())
    # Saying the word first puts it at a fixed distance from its letters.
    return Turn("spell", user, f"You spell {word} {letters}.", word, (letters,))


def spell_blend(draw: Draw) -> Turn:
    """Spell a word blended from two."""
    return spell(draw, draw.blend())


def spell_changed(draw: Draw) -> Turn:
    """Spell a word whose beginning was changed."""
    return spell(draw, draw.changed())


def repeat_blend(draw: Draw) -> Turn:
    """Repeat some blended words."""
    return repeat(draw, " ".join(draw.blend() for _ in range(draw.randint(1, 3))))
