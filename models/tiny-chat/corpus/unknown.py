"""Questions that the model cannot answer, and the honest sentences for them.

Without these, a model of this size answers every question with the nearest sentence it knows.
"""

from __future__ import annotations

from . import words
from .draw import Draw, Turn
from .ideas import IDEAS

ONLY = "I do not know that. I only know a little about LLM serving and this router."
FACTS = "I do not know. I am too small to know facts about the world."
OPINION = "I do not know. I am a small program and have no opinions."
NOW = "I do not know. I have no clock and no network."
ADVICE = "I do not know. Please ask an expert about that."
CODE = "I do not know how to write code. I am too small for that."
WRITING = "I do not know how to write that. I am a very small model."
LANGUAGE = "I do not know other languages. I only speak English."
SUMS = "I do not know that sum. I only add and subtract numbers up to twenty."
NO_NAME = "I do not know your name yet. What is your name?"

PEOPLE = tuple("""
Albert Einstein|Napoleon|Cleopatra|Mozart|Shakespeare|Marie Curie|Isaac Newton|Julius Caesar|Picasso
|Beethoven|Darwin|Galileo|Plato|Aristotle|Columbus|Gandhi|Elvis|Lincoln|Tesla|Leonardo da Vinci|Bach
|Kepler|Homer|Dante|Van Gogh|Alexander the Great|Queen Victoria|Joan of Arc|Marco Polo|Archimedes
|Pythagoras|Rembrandt|Goethe|Tolstoy|Mark Twain|Agatha Christie|Charlie Chaplin|Neil Armstrong
|the president|the king of Spain|the queen|the pope|the prime minister|the mayor of London
|the first man on the moon|the richest man|my neighbour|Robin Hood|Zeus|Santa Claus
""".replace("\n", "").split("|"))
TOPICS = tuple("""
the Roman Empire|the French Revolution|the moon landing|the second world war|the pyramids|the Vikings
|the Cold War|ancient Greece|the Middle Ages|the stone age|black holes|gravity|photosynthesis|atoms
|DNA|evolution|dinosaurs|volcanoes|earthquakes|the solar system|the ocean|quantum physics|electricity
|magnets|climate change|vaccines|the human heart|the brain|chemistry|biology|football|tennis|chess
|the Olympic Games|basketball|golf|swimming|cricket|hockey|cooking|baking bread|pasta|sushi|wine|beer
|gardening|roses|fishing|cars|trains|airplanes|bicycles|fashion|jazz|opera|rock music|the Beatles
|painting|films|poetry|philosophy|religion|politics|the stock market|taxes|insurance|bitcoin|history
|geography|Africa|Asia|the Amazon|Mount Everest|the Sahara|the Nile|Antarctica|Hawaii|New York|Mars
|Jupiter|the sun|the moon|comets|rainbows|tigers|whales|bees|cats|dogs|horses|penguins|mushrooms
|medicine|headaches|sleep|vitamins|diets|yoga|marriage|children|school|dancing|knitting|pottery
|architecture|castles|pirates|unicorns|dragons|ghosts|magic|love|happiness|money|time travel
|mathematics|geometry|algebra|prime numbers|calculus|oil|gold|diamonds|glass|plastic|paper|steel
|Christmas|Easter|birthdays|weddings|holidays|the weather|hurricanes|snow|deserts|jungles|rivers
""".replace("\n", "").split("|"))
EVENTS = tuple("""
the world cup|the Olympics|the election|the super bowl|the war|the tour de France|the chess match
|the final|the race|the gold medal|the Nobel prize|the tennis open|the song contest|the lottery
|the football match|the league|the hockey game|the battle of Waterloo|the championship|the last game
|the Oscar for best film|the cup final""".replace("\n", "").split("|"))
DEEDS = tuple("""
invented the telephone|wrote Hamlet|painted the Mona Lisa|discovered America|invented the wheel
|built the pyramids|wrote the Bible|discovered penicillin|invented the light bulb|composed the Magic
 Flute|climbed Mount Everest first|founded Rome|invented paper|wrote Don Quixote|discovered gravity
|invented the car|sang Yesterday|directed Titanic|designed the Eiffel Tower|won the last war
|invented the computer|discovered electricity|wrote Harry Potter|killed Caesar|invented chess
|landed on the moon|invented the radio|wrote Faust|painted the ceiling|invented the clock
|discovered Australia|founded Google|invented Python|created Linux|wrote the Odyssey|shot Lincoln
""".replace("\n", "").split("|"))
PLACES = tuple("""
the Eiffel Tower|Mount Fuji|Timbuktu|the Great Wall|Lake Victoria|the Grand Canyon|Machu Picchu
|Stonehenge|the North Pole|Madagascar|Iceland|the Black Sea|Samarkand|Bora Bora|the Taj Mahal|Loch Ness
|the Alps|the Mississippi|Patagonia|Tibet|Siberia|Sicily|the Vatican|Hollywood|Venice|the Bermuda
 triangle|my house|the nearest shop|my phone|the next station|my dog|the library|the airport
""".replace("\n", "").split("|"))
WHY_QUESTIONS = tuple("""
is the sky blue|is grass green|do birds sing|do we dream|is the sea salty|do cats purr|is ice cold
|do leaves fall|is blood red|do people lie|do stars shine|is fire hot|do we sleep|do dogs bark
|is the moon white|do fish swim|is snow white|do we laugh|do onions make us cry|do bees make honey
|is gold expensive|do planes fly|do magnets stick|is lemon sour|do we get old|is coffee bitter
|do teeth hurt|do wars happen|is the earth round|do volcanoes erupt|do people cry|do plants need light
|is the desert dry|does it rain|does time pass|does wood burn|do clocks tick|do cows eat grass
""".replace("\n", "").split("|"))
HOW_MANY = tuple("""
legs does a spider have|people live in China|days are in a year|planets are there|bones do we have
|countries are in Africa|stars are in the sky|teeth does a shark have|hours does a cat sleep
|islands has Greece|keys has a piano|languages are there|grams are in a pound|books did Dickens write
|hearts has an octopus|states are in the USA|eggs does a hen lay|miles is it to the moon
|players are in a football team|colors has a rainbow|seconds are in an hour|wings has a bee
""".replace("\n", "").split("|"))
PROGRAMS = tuple("""
sorts a list|adds two numbers|reads a file|prints hello world|finds prime numbers|reverses a string
|draws a circle|sends an email|parses JSON|counts words|solves a maze|plays chess|opens a window
|downloads a page|computes a square root|shuffles cards|checks a password|renames files|removes spaces
|makes a web server|converts dates|sorts words|searches a tree|multiplies matrices|logs errors
""".replace("\n", "").split("|"))
CODE_LANGUAGES = ("Python", "Java", "C", "Rust", "JavaScript", "Go", "SQL", "Bash", "PHP", "Ruby",
                  "C++", "HTML", "Perl", "Swift", "Kotlin", "Haskell", "assembler")
TEXTS = ("a poem", "a story", "an essay", "a song", "a letter", "a haiku", "a novel", "a speech",
         "an email", "a report", "a short story", "a fairy tale", "a long text", "a blog post",
         "a summary", "a review", "an article", "a rap", "a limerick", "a love letter", "a recipe")
LANGUAGES = ("French", "German", "Spanish", "Italian", "Japanese", "Chinese", "Latin", "Russian",
             "Portuguese", "Dutch", "Greek", "Arabic", "Hindi", "Turkish", "Polish", "Swedish",
             "Korean", "Finnish", "Danish", "Hebrew")
BODY = ("head", "knee", "back", "tooth", "stomach", "eye", "foot", "arm", "throat", "ear", "neck",
        "hand", "leg", "finger", "nose", "chest", "shoulder", "hip", "skin", "heart")
ILLS = ("a headache", "the flu", "a cold", "cancer", "a fever", "high blood pressure", "a burn",
        "an allergy", "diabetes", "a cough", "insomnia", "back pain", "asthma", "a broken arm",
        "the measles", "a snake bite", "migraine", "stress", "a rash", "a toothache")


def _world(draw: Draw) -> tuple[str, str]:
    pick = draw.choice
    thing = draw.word_from(words.THINGS + words.ANIMALS + words.FRUITS)
    user = draw.pick(
        f"Who {pick(DEEDS)}?", f"Who {pick(DEEDS)}?", f"Who was {pick(PEOPLE)}?",
        f"Who is {pick(PEOPLE)}?", f"When was {pick(PEOPLE)} born?",
        f"When did {pick(PEOPLE)} die?", f"How old is {pick(PEOPLE)}?",
        f"Where was {pick(PEOPLE)} born?", f"Tell me about {pick(PEOPLE)}.",
        f"Who won {pick(EVENTS)}?", f"Who won {pick(EVENTS)} in {draw.randint(1900, 2030)}?",
        f"Who won {pick(EVENTS)} in {draw.randint(1900, 2030)}?",
        f"When was {pick(EVENTS)}?", f"Where is {pick(PLACES)}?",
        f"How far is it to {pick(PLACES)}?", f"How high is {pick(PLACES)}?",
        f"What happened in {draw.randint(1000, 2030)}?", f"How many {pick(HOW_MANY)}?",
        f"How many {pick(HOW_MANY)}?", f"Why {pick(WHY_QUESTIONS)}?", f"Why {pick(WHY_QUESTIONS)}?",
        f"How does {pick(TOPICS)} work?", f"When was {pick(TOPICS)} discovered?",
        f"What causes {pick(TOPICS)}?", f"Tell me about {pick(TOPICS)}.",
        f"Explain {pick(TOPICS)}.", f"What is {pick(TOPICS)}?", f"What do you know about "
        f"{pick(TOPICS)}?", f"Tell me a fact about {pick(TOPICS)}.", f"Who invented {pick(TOPICS)}?",
        f"Where does a {thing} come from?", f"Why is the {thing} {pick(words.ADJECTIVES)}?",
        f"How do you make a {thing}?", f"How much does a {thing} cost?", f"Who invented the {thing}?",
        f"How big is a {thing}?", f"What does a {thing} eat?", f"Where can I buy a {thing}?",
        f"What is the population of {pick(tuple(words.CAPITALS))}?",
        f"Who is the president of {pick(tuple(words.CAPITALS))}?",
        f"What is the history of {pick(tuple(words.CAPITALS))}?",
        f"Tell me about {pick(tuple(words.CAPITALS))}.",
    )
    return user, FACTS


def _other(draw: Draw) -> tuple[str, str]:
    """Ask what lies near the known ideas or means nothing at all."""
    thing = draw.word_from(words.THINGS + words.ANIMALS + words.FRUITS)
    idea = draw.choice(IDEAS)
    word = draw.invented()
    user = draw.pick(
        f"What is a {word}?", f"What is {word}?", f"Explain {word}.", f"What does {word} mean?",
        f"What is a {thing}?", f"Explain the {thing}.", f"What does {thing} mean?", f"{word}?",
        f"Define {thing}.", f"Tell me about {word}.", f"Do you know what a {thing} is?",
        f"Who invented {idea.name}?", f"When was {idea.name} invented?", f"{word}",
        f"How much does {idea.name} cost?", f"What is the history of {idea.name}?",
        f"Which company sells {idea.name}?", f"Where can I buy {idea.name}?", f"{word} {thing}",
        f"What is a {draw.word_from(words.ADJECTIVES)} {thing}?", f"What is {draw.first_name()}?",
        f"Who is {draw.first_name()}?", f"Where does {draw.first_name()} live?",
    )
    return user, ONLY


def _opinion(draw: Draw) -> tuple[str, str]:
    topic = draw.choice(TOPICS)
    thing = draw.word_from(words.THINGS + words.ANIMALS + words.FRUITS)
    other = draw.word_from(words.THINGS + words.ANIMALS + words.FRUITS)
    return draw.pick(
        f"What do you think about {topic}?", f"Do you like {topic}?", f"Is {topic} good or bad?",
        f"What is your opinion on {topic}?", f"Do you believe in {topic}?", f"Do you like {thing}?",
        f"What is your favourite {thing}?", f"Which is better, {thing} or {other}?",
        f"Should I buy a {thing}?", f"What is the best {thing}?", f"Do you prefer {thing} or "
        f"{other}?", "What is the meaning of life?", "Who should I vote for?", f"Is {topic} true?",
        f"Do you love {draw.first_name()}?", f"What should I think about {topic}?",
    ), OPINION


def _now(draw: Draw) -> tuple[str, str]:
    city = draw.choice((*words.CAPITALS.values(), "New York", "Berlin", "Boston", "my city"))
    when = draw.pick("today", "tomorrow", "now", "this week", "right now", "tonight", "on Monday")
    return draw.pick(
        f"What is the weather in {city}?", f"What is the weather {when}?", f"Will it rain {when}?",
        f"Will it rain in {city} {when}?", f"Is it sunny in {city}?", f"How cold is it in {city}?",
        "What time is it?", f"What time is it in {city}?", "What day is it?", "What year is it?",
        f"What is the date {when}?", f"What is in the news {when}?", f"What happened {when}?",
        f"Any news from {city}?", f"What is on television {when}?", "What is the latest news?",
        f"Which films are on {when}?", f"When does the train to {city} leave?",
        f"How is the traffic in {city}?", f"What is the price of gold {when}?",
        f"What is the stock price of {draw.pick('Apple', 'Google', 'Tesla', 'Intel', 'IBM')}?",
        f"Is the shop in {city} open {when}?",
    ), NOW


def _advice(draw: Draw) -> tuple[str, str]:
    return draw.pick(
        f"My {draw.choice(BODY)} hurts. What should I do?", f"How do I cure {draw.choice(ILLS)}?",
        f"What helps against {draw.choice(ILLS)}?", f"Is {draw.choice(ILLS)} dangerous?",
        f"Which pills help against {draw.choice(ILLS)}?", f"Why does my {draw.choice(BODY)} hurt?",
        f"Should I sue my {draw.pick('landlord', 'boss', 'neighbour', 'bank', 'doctor')}?",
        f"How do I invest {draw.randint(2, 90) * 100} dollars?", f"Do I have {draw.choice(ILLS)}?",
        f"Should I invest in {draw.pick('gold', 'stocks', 'bitcoin', 'houses', 'art', 'oil')}?",
        f"Can I get a loan of {draw.randint(2, 90) * 1000} dollars?",
        f"How much {draw.pick('tax', 'rent', 'insurance')} must I pay?",
        f"What can I do about {draw.choice(ILLS)}?",
    ), ADVICE


def _code(draw: Draw) -> tuple[str, str]:
    language, deed = draw.choice(CODE_LANGUAGES), draw.choice(PROGRAMS)
    return draw.pick(
        f"Write a {language} function that {deed}.", f"Write a program that {deed}.",
        f"Can you write a {language} program that {deed}?", f"Write {language} code that {deed}.",
        f"Give me a {language} script that {deed}.", f"Fix my {language} code.",
        f"Show me {language} code that {deed}.", f"Can you write {language} code?",
        f"How do I write a {language} function that {deed}?", f"Debug this {language} program.",
        f"Please code a {language} class that {deed}.", f"Can you program in {language}?",
    ), CODE


def _writing(draw: Draw) -> tuple[str, str]:
    topic = draw.pick(draw.choice(TOPICS), "a " + draw.word_from(words.ANIMALS + words.THINGS),
                      draw.first_name(), draw.choice(PLACES))
    text = draw.choice(TEXTS)
    return draw.pick(f"Write {text} about {topic}.", f"Can you write {text} about {topic}?",
                     f"Please write {text} about {topic}.", f"I need {text} about {topic}.",
                     f"Compose {text} about {topic}.", f"Write me {text} on {topic}.",
                     f"Tell me {draw.pick('a story', 'a fairy tale')} about {topic}."), WRITING


def _language(draw: Draw) -> tuple[str, str]:
    language, word = draw.choice(LANGUAGES), draw.word()
    return draw.pick(
        f"Translate {word} to {language}.", f"Translate {word} into {language}.",
        f"What is {word} in {language}?", f"How do you say {word} in {language}?",
        f"What does {word} mean in {language}?", f"Can you speak {language}?",
        f"Do you speak {language}?", f"Say {word} in {language}.", f"Translate this to {language}.",
        f"Answer in {language}, please.", f"Do you understand {language}?",
    ), LANGUAGE


def _sums(draw: Draw) -> tuple[str, str]:
    left, right = draw.randint(21, 999), draw.randint(21, 999)
    if draw.chance(0.4):
        left, right = draw.randint(2, 30), draw.randint(2, 30)
        e = draw.pick(f"{left} * {right}", f"{left} times {right}", f"{left} / {right}",
                      f"{left} x {right}", f"{left} divided by {right}")
        if "s" not in e and "x" not in e and draw.chance(0.5):
            e = e.replace(" ", "")
    else:
        sign = draw.pick(" + ", "+", " - ", "-", " plus ", " minus ")
        e = f"{left}{sign}{right}"
    return draw.pick(f"What is {e}?", f"What is {e}?", f"{e}", f"Calculate {e}.",
                     f"How much is {e}?", f"What is the square root of {left}?"), SUMS


FORMS = (_world, _world, _world, _world, _other, _other, _opinion, _now, _advice, _code, _writing,
         _language, _sums)


def unknown(draw: Draw) -> Turn:
    """Say honestly that the answer is not known."""
    form = draw.choice(FORMS)
    user, answer = form(draw)
    key = user
    if form is _sums:
        key += " big"
    elif not draw.chance(0.6):
        user = key = draw.question(user)
    return Turn("unknown", draw.loosely(user), answer, key, (answer,))


def unknown_name(draw: Draw) -> Turn:
    """Admit that the user has not told a name; only right before any introduction."""
    user = draw.question(draw.pick("What is my name?", "Do you know my name?", "Who am I?",
                                   "Tell me my name.", "What's my name?", "What am I called?"))
    return Turn("unknown", draw.loosely(user), NO_NAME, user + " untold", (NO_NAME,))
