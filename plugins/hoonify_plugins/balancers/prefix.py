"""``balance: prefix``: equal beginnings of prompts meet a warm KV cache."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Container, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from hoonify_plugins.balancers.load import about_as_idle, requests_at, take_less_busy
from hoonify_plugins.balancers.prompts import prompt_text
from hoonify_router.api import Balancer, Candidate, RequestContext
from hoonify_router.types import HomeView

_LOOKS = 16  # homes that a choice looks at when there are more: luck with so many is as good as a look at all
_ABOUT = 2  # requests more than the least busy home that a home may have to be given a new prompt


class PrefixSettings(Struct, forbid_unknown_fields=True):
    """What is known of prompts, and how far it counts."""

    block: Annotated[
        int, Meta(description="Prompts are compared in blocks of this many characters.", ge=16)
    ] = 256
    depth: Annotated[
        int, Meta(description="Blocks of a prompt that are looked at.", ge=1, le=4096)
    ] = 128
    match: Annotated[
        float,
        Meta(
            description="Share of a prompt that a home must know to be preferred; less is not worth a detour.",
            ge=0,
            le=1,
        ),
    ] = 0.3
    remember: Annotated[
        int,
        Meta(
            description="Blocks that are remembered per model and gateway, at most 256 bytes each.",
            ge=1,
            le=10_000_000,
        ),
    ] = 32768
    lead: Annotated[
        int,
        Meta(
            description="The home that knows a prompt may have this many requests more than the least busy one ...",
            ge=0,
        ),
    ] = 16
    lead_ratio: Annotated[
        float,
        Meta(description="... or this many times as many; beyond both the latter is taken.", ge=1),
    ] = 1.5


class PrefixIndex:
    """Remembers which home was last sent which beginning of a prompt, within a bound.

    A beginning is known by one number: the hash of its last block and of the number of what stands before
    that. So each block is one entry, whichever prompts share it, and no text is kept. What was not
    met for longest is forgotten first, longer beginnings before the shorter ones that they go on from.

    Args:
        block: Characters per block; what does not fill one is left out.
        capacity: Entries.
    """

    def __init__(self, block: int, capacity: int) -> None:
        self._block = block
        self._capacity = capacity
        self._homes: OrderedDict[int, str] = OrderedDict()

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._homes)

    def chain(self, text: str) -> list[int]:
        """Return the numbers of a text's beginnings, the shortest first."""
        size = self._block
        numbers = []
        number = 0
        for start in range(0, len(text) - size + 1, size):
            number = hash((number, text[start : start + size]))
            numbers.append(number)
        return numbers

    def find(
        self, chain: Sequence[int], among: Container[str], at_least: float = 0.0
    ) -> str | None:
        """Return the home that was sent the longest beginning.

        Args:
            chain: A text's beginnings.
            among: The homes that may be asked.
            at_least: Share of the text that the beginning must be.
        """
        homes = self._homes
        shortest = max(1, math.ceil(at_least * len(chain)))
        for number in reversed(chain[shortest - 1 :]):
            home = homes.get(number)
            if home is not None and home in among:
                return home
        return None

    def learn(self, chain: Sequence[int], home: str) -> None:
        """Note that ``home`` is sent a text."""
        homes = self._homes
        for number in reversed(chain):
            homes[number] = home
            homes.move_to_end(number)
        while len(homes) > self._capacity:
            homes.popitem(last=False)


class Prefix(Balancer):
    """Sends a prompt where its beginning has been sent before, unless that home is much busier than another.

    A prompt that no home knows goes, of those that have little to do, to the one that was given the least to
    remember: caches fill evenly, and so do the homes with what comes back to them.

    Args:
        settings: How much is remembered, and how much busier.
        dice: Draws where homes are equal.
    """

    def __init__(self, settings: PrefixSettings, dice: random.Random | None = None) -> None:
        self._settings = settings
        self._dice = dice or random.Random()
        self._longest = settings.block * settings.depth
        self._given: dict[str, float] = {}  # blocks of new text, old ones counting less and less
        self._given_in_all = 0.0
        self._all: Sequence[Candidate] = ()
        self._by_id: dict[str, Candidate] = {}
        self._least: Candidate | None = None
        self._choices = 0  # until all are looked at again for the least busy one
        self.index = PrefixIndex(settings.block, settings.remember)

    def update(self, homes: Sequence[HomeView]) -> None:
        """Forget homes that are gone; a new one has been given as much as the others on average."""
        given = [self._given[home.id] for home in homes if home.id in self._given]
        average = sum(given) / len(given) if given else 0.0
        self._given = {home.id: self._given.get(home.id, average) for home in homes}
        self._given_in_all = sum(self._given.values())

    def choose(self, candidates: Sequence[Candidate], ctx: RequestContext) -> Candidate:
        """Return the home that knows the longest beginning, or one that is less busy."""
        chain = self.index.chain(prompt_text(ctx.request, self._longest))
        if not chain:
            return take_less_busy(candidates, self._dice)
        by_id = self._find_by_id(candidates)
        known = self.index.find(chain, by_id, self._settings.match)
        if known is None:
            chosen = self._least_filled(candidates)
        else:
            chosen = self._unless_too_busy(by_id[known], candidates)
        if chosen.home.id != known:
            self._give(chosen.home.id, len(chain))
        self.index.learn(chain, chosen.home.id)
        return chosen

    def _find_by_id(self, candidates: Sequence[Candidate]) -> dict[str, Candidate]:
        """Return the candidates by their ids; all of them are the same tuple until the next table."""
        if candidates is not self._all or not isinstance(candidates, tuple):
            self._by_id = {one.home.id: one for one in candidates}
            self._all = candidates
            self._choices = 0
        return self._by_id

    def _least_filled(self, candidates: Sequence[Candidate]) -> Candidate:
        given, draw = self._given, self._dice.random
        if len(candidates) > _LOOKS:
            candidates = self._dice.sample(candidates, _LOOKS)
        return min(
            about_as_idle(candidates, _ABOUT),
            key=lambda one: (given.get(one.home.id, 0.0) / one.home.weight, draw()),
        )

    def _give(self, home: str, blocks: int) -> None:
        given = self._given
        given[home] = given.get(home, 0.0) + blocks
        self._given_in_all += blocks
        if self._given_in_all > self._settings.remember:
            for name in given:
                given[name] /= 2
            self._given_in_all /= 2

    def _unless_too_busy(self, wanted: Candidate, candidates: Sequence[Candidate]) -> Candidate:
        has = requests_at(wanted)
        if has <= self._settings.lead:  # whatever the others have
            return wanted
        least = self._find_least_busy(candidates)
        fair = requests_at(least) * wanted.home.weight / least.home.weight
        if has - fair > self._settings.lead and has > fair * self._settings.lead_ratio:
            return least
        return wanted

    def _find_least_busy(self, candidates: Sequence[Candidate]) -> Candidate:
        """Return the least busy one; of many the one that was it some choices ago."""
        self._choices -= 1
        if self._least is None or self._choices < 0:
            self._least = min(candidates, key=lambda one: requests_at(one) / one.home.weight)
            self._choices = len(candidates) // _LOOKS
        return self._least
