"""Word lists from which the generator builds sentences; written for this project."""

from __future__ import annotations

FIRST_NAMES = tuple("""
Ada Alan Alice Alma Amir Amy Ana Anders Andrea Anna Anton Aria Arthur Asha Astrid Ava Ayla Barbara
Basil Beatrice Ben Bianca Boris Brenda Bruno Carla Carlos Carmen Cecilia Celia Chen Chloe Clara
Colin Cora Dalia Daniel Daria David Dennis Diana Diego Dina Dora Edgar Edith Elena Eli Elias Elif
Ella Ellen Elsa Emil Emma Enzo Erik Esther Eva Ezra Farah Felix Fiona Flora Frank Freya Frida
Gabriel George Gina Grace Greta Gustav Hana Hannah Harold Helen Henry Hugo Ida Igor Ines Ingrid
Irene Iris Isaac Ivan Jack Jana Jasmin Joan Johan John Jonas Julia Kai Karim Karin Kate Kenji Kira
Lars Laura Layla Lea Leo Lena Liam Lila Linda Lisa Lou Louis Lucas Lucy Luis Luna Mara Marco Maria
Marie Mark Martha Max Maya Mei Mia Milan Mina Mira Mona Nadia Naomi Nico Nina Noah Nora Odin Olga
Oliver Omar Oscar Otto Pablo Paul Paula Pedro Peter Petra Pia Priya Quentin Rahul Ralph Ravi Rita
Robert Robin Rosa Ruth Sam Sami Sara Selma Simon Sofia Stella Sven Tamar Tara Theo Thomas Tim Tina
Tobias Tom Uma Ursula Vera Victor Viola Walter Wanda Willa Xenia Yara Yasmin Yuki Yusuf Zara Zelda
Zoe""".split())

PERSONA_NAMES = tuple("""
Nova Pixel Comet Orion Maple Willow Sparky Biscuit Captain Marvin Luna Atlas Ruby Cosmo Turbo Sage
Rusty Ziggy Olive Pepper Juno Vega Echo Bolt Clover Dot Ember Fable Gizmo Hazel Indigo Jasper Koda
Lotus Mango Nimbus Otter Piper Quartz River Saffron Tango Umber Velvet Widget Yonder Zephyr Robo
Professor Sherlock Watson Merlin Pilot Domino Pebble Rocket Sunny Tulip Waffle""".split())

PERSONA_ROLES = tuple("""
a friendly robot|a pirate|a cook|a teacher|a gardener|a helpful assistant|a wise owl|a sailor|a
guide|a librarian|a space captain|a cheerful helper|a shop assistant|a small dragon|a doctor|a
detective|a friendly cat|a train driver|a polite butler|a baker|a tour guide|a painter|a support
agent|a kind wizard""".replace("\n", " ").split("|"))

ADJECTIVES = tuple("""
small large red blue green quiet loud happy sad old young bright dark warm cold soft hard quick slow
brave calm clever funny gentle golden silver lazy lucky proud sleepy strong tiny wild wise round
tall short sweet fresh clean empty full heavy light deep early late open simple strange yellow
purple brown white black grey rich poor new nice fine good rare kind sharp smooth""".split())

ANIMALS = tuple("""
dog cat horse cow sheep goat pig rabbit mouse lion tiger bear wolf fox deer elephant monkey zebra
snake frog duck goose chicken eagle owl parrot penguin dolphin whale shark turtle bee ant spider
butterfly camel kangaroo panda otter beaver squirrel hedgehog falcon salmon crab""".split())

FRUITS = tuple("apple banana orange pear plum cherry grape lemon mango peach melon kiwi".split())
COLOURS = tuple("red blue green yellow orange purple pink brown black white grey".split())

THINGS = tuple("""
table chair window door house garden river mountain forest beach island bridge tower castle road
train ship boat plane rocket car bicycle wheel engine lamp candle mirror clock book letter paper
pencil bottle cup plate spoon kitchen bread butter cheese honey sugar salt water coffee tea milk
soup cake cookie potato tomato carrot onion pepper flower tree leaf grass stone sand snow rain
storm cloud wind sun moon star planet sky summer winter spring autumn morning evening night music
song guitar piano drum violin picture camera phone computer keyboard screen printer robot machine
button key lock box bag coat shirt shoe hat glove ring coin basket pillow blanket carpet ladder
hammer rope needle thread school teacher student doctor farmer baker painter sailor pilot friend
mother father sister brother family village city market street square station museum library
theater hospital hotel office factory field hill lake ocean desert valley cave path gate fence wall
roof floor stairs corner circle line number word story question answer idea dream game ball card
puzzle""".split())

VERBS = tuple("""
sings runs jumps sleeps waits works plays swims flies walks dances laughs reads writes cooks paints
travels shines turns falls grows stops moves""".split())

PLACES = tuple("""
outside|at home|in the garden|by the river|near the sea|in the city|all day|every morning|at
night|in the snow|under the tree|on the hill|in the kitchen|after lunch|before dinner|on the
roof""".replace("\n", " ").split("|"))

MORE_WORDS = tuple("""
about above again almost always another around because become before begin behind believe below
better between bring build busy call carry catch change cheap choose close color common copy could
count country cover cross daily danger decide different dinner double dress drive during earth easy
either enough enter equal even ever every exact example expect explain famous feather figure final
find finger finish first follow forget forward found frame free front future general give glass
grand great ground group guess half happen health heart heavy hello help history hold holiday
hundred hurry inside invite jacket join journey juice jungle kettle kingdom kitten knee knife know
language laptop large laugh learn leather leave left lesson level listen little local long look love
lunch magic major make many match matter meadow measure medicine member memory message metal middle
minute mistake moment money month motor mouth name narrow nature never north nothing notice object
office often orange order other outside oxygen package page parent party pattern people perfect
person plant please pocket point possible power practice present pretty problem promise pull purple
push quality quarter quickly rabbit race radio rainbow reach ready real reason record remember
repeat report result return right rocket rough rule safe science season second secret sentence
service seven shape share shoulder silence since sister sleep smile someone sound south special
speed spell stand start still stranger stream stretch sudden support surprise system teach
technology thank thing think thought thousand through together tomorrow tonight travel treasure
trouble true trust twelve twenty umbrella uncle under until usual vacation value very victory visit
voice volume wagon water weather week welcome west wheel whisper window wisdom within without wonder
world write yellow yesterday zero""".split())

TECH_WORDS = tuple("""
router token tokenizer model engine server client request response stream cache batch prompt memory
kernel thread process worker gateway backend plugin config prefill decode latency throughput queue
metric header replica balance drain reload home catalog key limit plan python onnx llama sampler
temperature context layer weight tensor expert adapter attention embedding inference quantization
transformer parameter schedule cluster container network socket protocol database index vector
matrix number integer string boolean array object schema json yaml http""".split())

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo",
    "Austria": "Vienna", "Norway": "Oslo", "Poland": "Warsaw", "Greece": "Athens", "Egypt": "Cairo",
    "England": "London", "Portugal": "Lisbon", "Ireland": "Dublin", "Sweden": "Stockholm",
    "Denmark": "Copenhagen", "Finland": "Helsinki", "China": "Beijing", "Canada": "Ottawa",
    "Peru": "Lima", "Cuba": "Havana",
}

NUMBER_WORDS = tuple("""
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty""".split())

CONSONANTS = "bcdfghjklmnprstvwz"
VOWELS = "aeiou"
SUFFIXES = ("s", "ed", "er", "ing", "y", "ly", "ness", "less", "ful", "est", "ish", "able", "man")
ENDINGS = ("", "", "n", "r", "s", "l", "t", "x", "ck", "nd", "st", "ng")

REAL_WORDS = tuple(sorted(
    set(ADJECTIVES) | set(ANIMALS) | set(FRUITS) | set(COLOURS) | set(THINGS) | set(VERBS)
    | set(MORE_WORDS) | set(TECH_WORDS) | {name.lower() for name in FIRST_NAMES}
))
