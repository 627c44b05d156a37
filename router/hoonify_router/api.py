"""The public API for plugin authors: everything a backend or a middleware needs, and nothing else.

A plugin is a module (or an object) with functions marked ``@hookimpl``, named in the entry-point group
``hoonify_router`` of its distribution. See ``hookspecs`` for the hooks.
"""

from __future__ import annotations

import argparse
import enum
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pluggy
from msgspec import Struct

from hoonify_router.config.model import HomeConfig, LoadedConfig
from hoonify_router.errors import RouterError
from hoonify_router.types import (
    Capabilities,
    ChatRequest,
    Event,
    Health,
    HomeView,
    Usage,
)

API_VERSION = (1, 0)
ENTRY_POINT_GROUP = "hoonify_router"

hookimpl = pluggy.HookimplMarker("hoonify")

OptionsT = TypeVar("OptionsT", bound=Struct)


# ---------------------------------------------------------------- engines: code inside a worker process

ProgressCallback = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``, from any thread; ``total`` 0 when it is not known."""


class Engine(ABC, Generic[OptionsT]):
    """A model in memory that answers requests; lives in a worker process of its own.

    The worker creates it, awaits ``load`` once, runs any number of ``generate`` calls at the same time,
    and awaits ``close`` at the end. All methods are called on the worker's event loop and must not block
    it; heavy work belongs in a thread of the engine's own. Import the engine's library inside ``load``.

    Example::

        class ParrotEngine(Engine[ParrotOptions]):
            options_type = ParrotOptions

            async def load(self, options, progress):
                progress("waking the parrot", 1, 1)

            @property
            def capabilities(self):
                return Capabilities(frozenset({"max_tokens"}), context_length=4096)

            async def generate(self, request):
                yield Text(str(request.messages[-1].content))
                yield Finish("stop")
                yield Counted(Usage(prompt_tokens=1, completion_tokens=1))
    """

    options_type: ClassVar[type[Struct]]
    """The backend's options Struct; the worker makes the argument of ``load`` of it."""

    @abstractmethod
    async def load(self, options: OptionsT, progress: ProgressCallback) -> None:
        """Load the model.

        Raises:
            RouterError: It cannot be loaded; the message tells an operator why.
        """

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """Return what the engine can do; asked for once, after ``load``."""

    @abstractmethod
    def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Answer one request: texts, a ``Finish`` for each answer, then one ``Counted``.

        The worker closes the iterator when the request is cancelled; the engine must then give the
        request's slot back at once, while others go on.

        Raises:
            RouterError: The request cannot be served; raise it before the first event where possible.
        """

    def health(self) -> Health:
        """Return how the engine does; asked for every second, must be quick."""
        return Health()

    async def close(self) -> None:
        """Give everything back; nothing is called afterwards."""


# ---------------------------------------------------------------- backends: records in router processes


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
    """

    name: str
    summary: str
    options: type[Struct]
    engine: str
    requires: tuple[str, ...] = ()
    extra: str = ""
    check: AvailabilityCheck = _always_available
    kind: ClassVar[str] = "worker"


@dataclass(frozen=True)
class ServerBackend:
    """A backend that is an OpenAI-compatible HTTP server, at the home's ``url``.

    Args:
        name: What ``backend:`` in the YAML says.
        summary: One line for ``plugins list``.
        options: A msgspec Struct; a field ``model`` names the model as the server knows it.
        parameters: Request fields that it honours; ``None`` lets it decide itself.
        requires: Modules needed to launch it here.
        extra: The extra that brings them, for the hint.
        check: Looks whether a home can be used.
    """

    name: str
    summary: str
    options: type[Struct]
    parameters: frozenset[str] | None = None
    requires: tuple[str, ...] = ()
    extra: str = ""
    check: AvailabilityCheck = _always_available
    kind: ClassVar[str] = "server"


Backend = WorkerBackend | ServerBackend


# ---------------------------------------------------------------- middleware: code on a request's way


class Phase(enum.IntEnum):
    """When in a request's way a middleware is called."""

    AUTHENTICATE = 1  # before the body is looked at
    ADMIT = 2  # the body is parsed, nothing is checked: limits
    TRANSFORM = 3  # the request is valid and its model known: may change it
    OBSERVE = 4  # sees what the others did: usage, logs


@dataclass(slots=True)
class Principal:
    """Who makes the request, as the authenticating middleware found out.

    Args:
        id: Public id of the key, fit for logs.
        name: What its owner calls it.
        plan: Name of its plan.
        models: Globs of the catalog IDs it may use; empty means all.
        scopes: What it may do.
    """

    id: str
    name: str = ""
    plan: str = ""
    models: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset({"inference"})


@dataclass(slots=True)
class RequestContext:
    """One request on its way through the router; middleware reads it and leaves its own in ``state``.

    Times are ``time.perf_counter()`` seconds. ``headers`` has lower-case names.
    """

    request_id: str
    method: str
    path: str
    headers: Mapping[str, str]
    remote: str
    started: float
    body: bytes = b""
    principal: Principal | None = None
    chat: ChatRequest | None = None
    home: HomeView | None = None
    status: int = 0
    error: RouterError | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    first_token_at: float | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


class Middleware:
    """Base class of what stands on a request's way; one instance per gateway process.

    ``phase`` decides when it is called. Methods run on the gateway's event loop and must not block it.
    ``name`` is what ``pipeline:`` calls it; the router fills it in, and tells it when something fails.
    """

    phase: ClassVar[Phase] = Phase.OBSERVE
    name: str = ""

    async def startup(self) -> None:
        """Open what it needs; called once in each gateway before the door opens."""

    async def shutdown(self) -> None:
        """Close it; called once after the last request."""

    def on_request(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Look at the request in this middleware's phase.

        Return ``None`` when done at once (the fast way), or an awaitable when it must wait.

        Raises:
            RouterError: The request is refused with it.
        """
        return None

    def on_finally(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Settle; called exactly once for every request that ``on_request`` saw, whatever happened,
        also after a disconnect. For answers it runs before the client sees the end of them."""
        return None


@dataclass(frozen=True)
class PluginContext:
    """What a plugin may know of the router it runs in.

    Args:
        loaded: The checked configuration.
        log: Where the plugin logs.
        announcements: Lines for the start-up banner by label; ``hoonify_startup`` may add some. The
            label ``api_key`` is special: the banner's examples use that key.
    """

    loaded: LoadedConfig
    log: logging.Logger
    announcements: dict[str, str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        """Return the folder for durable state; it exists."""
        return self.loaded.state_dir


@dataclass(frozen=True)
class MiddlewareSpec:
    """How a middleware named in ``pipeline:`` is made.

    Args:
        name: What ``pipeline:`` says.
        summary: One line for ``plugins list``.
        settings: Struct for ``plugins: NAME:``, with ``forbid_unknown_fields=True``.
        build: Called once in each gateway with the checked settings.
    """

    name: str
    summary: str
    settings: type[Struct]
    build: Callable[[Any, PluginContext], Middleware]


# ---------------------------------------------------------------- routes and commands


@dataclass(frozen=True)
class Route:
    """An extra HTTP route; ``handler`` is an ordinary Sanic handler."""

    path: str
    handler: Callable[..., Any]
    methods: tuple[str, ...] = ("GET",)


@dataclass(frozen=True)
class Command:
    """An extra sub-command of ``hoonify-router``.

    Args:
        name: Its word on the command line.
        summary: One line for ``--help``.
        add_arguments: Declares its arguments on an argparse parser.
        run: Does it and returns the exit status: 0, or 2 after a user's mistake.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, PluginContext], int]


@dataclass(frozen=True)
class BackendEvent:
    """Something happened to a home: its ``state`` is new."""

    home: HomeView
    generation: int


__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "AvailabilityCheck",
    "Backend",
    "BackendEvent",
    "Command",
    "Engine",
    "HomeConfig",
    "LoadedConfig",
    "Middleware",
    "MiddlewareSpec",
    "Phase",
    "PluginContext",
    "Principal",
    "ProgressCallback",
    "RequestContext",
    "Route",
    "ServerBackend",
    "Unavailable",
    "WorkerBackend",
    "hookimpl",
]
