"""What all mutants have."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import ClassVar

from tests.router.testing.scripted import ScriptedEngine

from hoonify_router.types import Event

Events = AsyncIterator[Event]
Altered = AsyncGenerator[Event, None]


class Mutant(ScriptedEngine):
    """An engine with one fault: ``caught_by`` names the check that must find it, ``says`` its words."""

    caught_by: ClassVar[str]
    says: ClassVar[str]
    before: ClassVar[tuple[str, ...]] = ()
    patience: ClassVar[float] = 20.0
    process: ClassVar[bool] = False
