"""Middleware: what stands on a request's way through the router."""

from __future__ import annotations

import enum
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct

from hoonify_router.api.vitals import Vitals
from hoonify_router.config.model import LoadedConfig
from hoonify_router.errors import ModelUnavailable, RouterError
from hoonify_router.types import HomeView, InferenceRequest, Usage


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
        owner: Whose key it is, if that is known.
    """

    id: str
    name: str = ""
    plan: str = ""
    models: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset({"inference"})
    owner: str = ""


class HomeCall(Struct):
    """One home that was asked for a request; times are ``time.perf_counter()`` seconds.

    Args:
        home: Which.
        started: When.
        first_at: When its first real event came, if one did.
        ended: When it was over.
        error: Why it failed, if it did.
    """

    home: HomeView
    started: float
    first_at: float | None = None
    ended: float = 0.0
    error: RouterError | None = None


class RequestContext(Struct):
    """One request on its way through the router; middleware reads it and leaves its own in ``state``.

    Times are ``time.perf_counter()`` seconds. ``headers`` has lower-case names. ``request`` is the parsed
    body, ``None`` before that and where there is none; ``prompt_estimate`` is about how many tokens its prompt has,
    by its size. ``attempts`` counts the homes that were asked; ``home`` is the last of them. ``usage`` is as the engine
    counted; where an answer was cut short and its engine does not tell, it is what was seen of it.
    ``calls`` are all homes that were asked; ``outgoing_headers`` go to those that are HTTP servers.
    """

    request_id: str
    method: str
    path: str
    headers: Mapping[str, str]
    remote: str
    started: float
    body: bytes = b""
    principal: Principal | None = None
    request: InferenceRequest | None = None
    prompt_estimate: int = 0
    home: HomeView | None = None
    attempts: int = 0
    status: int = 0
    error: RouterError | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    first_token_at: float | None = None
    response_headers: dict[str, str] = {}  # of this request alone: a Struct copies its defaults
    state: dict[str, Any] = {}
    calls: list[HomeCall] = []
    outgoing_headers: dict[str, str] = {}


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

    def reload(self, settings: Any, context: PluginContext) -> None:
        """Take over a new generation of the configuration, from one request to the next.

        Called in each gateway, on its event loop, between two requests: must not block and must not raise. The
        catalog may be new, and of the settings those that its spec calls ``live``; an example::

            def reload(self, settings, context):
                self._plans = settings.plans
                self._models = frozenset(context.current.config.models)
        """

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

    def on_released(self, ctx: RequestContext, seconds: float) -> None:
        """Hear how long after its client's disconnect a request's slot at an engine was free again.

        Called for worker engines only, after ``on_finally``; must not block.
        """


async def _nobody_to_ask(command: str, arguments: Mapping[str, Any], who: str) -> Any:
    raise ModelUnavailable("There is no supervisor to ask.")


@dataclass(frozen=True)
class PluginContext:
    """What a plugin may know of the router it runs in.

    Args:
        loaded: The checked configuration.
        log: Where the plugin logs.
        announcements: Lines for the start-up banner by label; ``hoonify_startup`` may add some. The
            label ``api_key`` is special: the banner's examples use that key.
        runtime_dir: Folder, ours alone, that all processes of one ``serve`` share and that goes with it; ``None``
            outside of ``serve``.
        vitals: Tells how this gateway does, from its start on; nothing in any other process. Cheap enough for
            every second, not for every request.
        middleware: Tells what stands in this gateway's pipeline, by the names there; nothing in any other process.
        latest: Tells the configuration that is in force now, where it can change under a process.
        ask: ``await ask(command, arguments, who)`` asks the supervisor what admins may ask it, such as ``status``, and
            returns its answer as plain data; raises the ``RouterError`` that it answers with. In gateways only.
    """

    loaded: LoadedConfig
    log: logging.Logger
    announcements: dict[str, str] = field(default_factory=dict)
    runtime_dir: Path | None = None
    vitals: Callable[[], Vitals] = Vitals
    middleware: Callable[[], Mapping[str, Middleware]] = dict
    ask: Callable[[str, Mapping[str, Any], str], Awaitable[Any]] = _nobody_to_ask
    latest: Callable[[], LoadedConfig] | None = None

    @property
    def current(self) -> LoadedConfig:
        """Return the configuration of the newest generation; ``loaded`` is what the process began with."""
        return self.loaded if self.latest is None else self.latest()

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
        live: Settings that may change while the router runs, as ``Middleware.reload`` takes them over; a change of
            any other needs a restart.
    """

    name: str
    summary: str
    settings: type[Struct]
    build: Callable[[Any, PluginContext], Middleware]
    live: frozenset[str] = frozenset()
