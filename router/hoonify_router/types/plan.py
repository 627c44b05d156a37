"""What a changed configuration would do, as ``hoonify-router plan --json`` tells it.

This shape is stable: fields are added, none is taken away or changes its meaning. Times are seconds, sizes bytes; a
number that is not known is ``null``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class HomeStep(Struct, kw_only=True, frozen=True):
    """A home that would be started or stopped.

    Args:
        home: Its name: ``MODEL`` or ``MODEL/NUMBER``.
        model: The model that it serves.
        backend: Its backend.
        in_flight: Requests that are there now; they would be answered to their end.
        load_seconds: How long it is likely to load, by earlier loads.
        memory: What it takes, by GPU.
        state: What it is in now, for one that would be stopped.
    """

    home: str
    model: str
    backend: str
    in_flight: int = 0
    load_seconds: float | None = None
    memory: dict[str, int] = {}
    state: str = ""


class GpuStep(Struct, kw_only=True, frozen=True):
    """The memory that homes take of one GPU.

    Args:
        gpu: Which.
        before: Now.
        meanwhile: At most, while old and new homes run at the same time.
        after: In the end.
        budget: What they may take together.
    """

    gpu: int
    before: int
    meanwhile: int
    after: int
    budget: int | None = None


class Move(Struct, kw_only=True, frozen=True):
    """A model that would get other homes.

    Args:
        model: Its catalog ID.
        stop: Homes that would be stopped.
        start: Homes that would be started.
        swap: Whether the old ones must go before the new ones can be loaded, so that requests wait meanwhile.
    """

    model: str
    stop: list[HomeStep] = []
    start: list[HomeStep] = []
    swap: bool = False


class Plan(Struct, kw_only=True, frozen=True):
    """What would happen.

    Args:
        result: ``changes``, ``nothing``, or ``refused`` where it could not take effect at all.
        generation: Which one is in force.
        digest: Of the text that was planned with, so that it is this one that is applied.
        changes: All that would be different, one line each.
        moves: Models whose homes would change.
        gpus: GPUs whose memory would be used differently.
        consequences: What it would mean to those who use the router, such as models that keys lose.
        load_seconds: How long the new homes are likely to load, all at the same time.
        problems: Why it could not take effect.
    """

    result: Literal["changes", "nothing", "refused"]
    generation: int
    digest: str = ""
    changes: list[str] = []
    moves: list[Move] = []
    gpus: list[GpuStep] = []
    consequences: list[str] = []
    load_seconds: float | None = None
    problems: list[str] = []
