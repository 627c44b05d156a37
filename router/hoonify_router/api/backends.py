"""Backends: records in the router's processes that say how a home is run or reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from hoonify_router.api.environments import AcceleratorChoice, EngineEnvironment, any_accelerator
from hoonify_router.api.explanations import Explain
from hoonify_router.api.launches import AbortSignal, LaunchPlanner, LoadSignal
from hoonify_router.config.model import HomeConfig
from hoonify_router.types import Task


@dataclass(frozen=True)
class Unavailable:
    """Why a home cannot run here.

    Args:
        reason: One plain sentence that clients may read: no path, no address.
        detail: What an operator should do about it.
    """

    reason: str
    detail: str = ""


AvailabilityCheck = Callable[[Struct, HomeConfig, Path], Unavailable | None]
"""``check(options, home, base_dir)``: a quick look, without importing an engine, whether a home can run."""


def _always_available(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    return None


MemoryEstimate = Callable[[Struct, HomeConfig, Path], "int | Mapping[int, int] | None"]
"""``estimate(options, home, base_dir)``: the bytes that a home takes on each of its GPUs, or by the GPU's number;
``None`` where that cannot be told without loading it. Called where the file says no ``gpu_memory``; must be quick,
and imports no engine."""


def _no_estimate(options: Struct, home: HomeConfig, base_dir: Path) -> None:
    return None


@dataclass(frozen=True)
class WorkerBackend:
    """A backend whose engine is a Python library, run by the router in a worker process.

    Args:
        name: What ``backend:`` in the YAML says.
        summary: One line for ``plugins list``.
        options: A msgspec Struct with ``forbid_unknown_fields=True``: what ``options:`` may say.
        engine: ``"module:Class"`` of the ``Engine``; imported in the worker only.
        requires: Modules that the worker's interpreter must have.
        extra: The extra of hoonify-router (or the distribution) that brings them, for the hint.
        check: Looks whether a home can run here.
        parameters: Request fields that its engine honours at best, for the documentation; what counts for a
            request is what the loaded engine's ``capabilities`` say.
        tasks: What its engine may be asked for at best: ``chat``, ``completion``, ``embedding``.
        environments: Virtual environments that ``hoonify-router env sync`` can build for it, at most one for
            each accelerator. Without one that is built, the router's own interpreter runs the engine.
        accelerator: Tells which of them a home needs.
        explain: Tells more about a home than its worker's command line.
        estimate: Tells what a home takes of the GPUs' memory, if the file does not.
    """

    name: str
    summary: str
    options: type[Struct]
    engine: str
    requires: tuple[str, ...] = ()
    extra: str = ""
    check: AvailabilityCheck = _always_available
    parameters: frozenset[str] = frozenset()
    tasks: frozenset[Task] = frozenset({"chat"})
    environments: tuple[EngineEnvironment, ...] = ()
    accelerator: AcceleratorChoice = any_accelerator
    explain: Explain | None = None
    estimate: MemoryEstimate = _no_estimate
    kind: ClassVar[str] = "worker"


@dataclass(frozen=True)
class ServerBackend:
    """A backend that is an OpenAI-compatible HTTP server: at the home's ``url``, or launched by the router.

    Args:
        name: What ``backend:`` in the YAML says.
        summary: One line for ``plugins list``.
        options: A msgspec Struct; a field ``model`` names the model as the server knows it.
        parameters: Request fields that it honours; ``None`` lets it decide itself.
        requires: Modules needed to launch it here.
        extra: The extra that brings them, for the hint.
        check: Looks whether a home can be used.
        tasks: What its servers may be asked for: ``chat``, ``completion``, ``embedding``.
        environments: Virtual environments that ``hoonify-router env sync`` can build to launch it in, at most
            one for each accelerator.
        accelerator: Tells which of them a home needs.
        explain: Tells the commands of its servers.
        launch: Says how a home's server is started where no ``url`` is given; ``None`` where it cannot be.
        lists_models: Its servers list, at ``/models``, all that they serve, and answer to any name: a home is
            of no use when its model is not on that list.
        load: Where its servers tell how busy they are.
        abort: How they are told to give up a request.
        floors: The least that they take of request fields which may be less; what is less is sent as this.
        estimate: Tells what a home that is launched here takes of the GPUs' memory, if the file does not.
        ready_path: From the server's root; ``GET`` of it is answered with 503 while a server that runs elsewhere
            should get no requests, such as one that drains. Empty where it does not tell.
    """

    name: str
    summary: str
    options: type[Struct]
    parameters: frozenset[str] | None = None
    requires: tuple[str, ...] = ()
    extra: str = ""
    check: AvailabilityCheck = _always_available
    tasks: frozenset[Task] = frozenset({"chat"})
    environments: tuple[EngineEnvironment, ...] = ()
    accelerator: AcceleratorChoice = any_accelerator
    explain: Explain | None = None
    launch: LaunchPlanner | None = None
    lists_models: bool = False
    load: LoadSignal | None = None
    abort: AbortSignal | None = None
    floors: Mapping[str, float] = field(default_factory=dict)
    estimate: MemoryEstimate = _no_estimate
    ready_path: str = ""
    kind: ClassVar[str] = "server"


Backend = WorkerBackend | ServerBackend
