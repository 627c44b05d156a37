"""The hooks: who calls them, when, and whether they may block.

pluggy serves registration and notification only; nothing here is called on a request's way, except
``hoonify_shape_error`` for a request that has failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from hoonify_router.api import (
        APIRoute,
        Backend,
        BackendEvent,
        BalancerSpec,
        Command,
        ErrorBody,
        Measurement,
        Middleware,
        MiddlewareSpec,
        PluginContext,
        RequestContext,
        Route,
    )
    from hoonify_router.config.model import LoadedConfig
    from hoonify_router.errors import RouterError

hookspec = pluggy.HookspecMarker("hoonify")


@hookspec
def hoonify_register_backends() -> list[Backend]:  # type: ignore[empty-body]
    """Return the backends this plugin brings.

    Called once in every router process, while plugins are loaded. May not block or import an engine.

    Example::

        @hookimpl
        def hoonify_register_backends():
            return [WorkerBackend("parrot", "Says it again.", ParrotOptions, "parrot.engine:ParrotEngine")]
    """


@hookspec
def hoonify_register_middleware() -> list[MiddlewareSpec]:  # type: ignore[empty-body]
    """Return the middleware this plugin brings; each is built only where ``pipeline:`` names it.

    Called once in every router process, while plugins are loaded. May not block.

    Example::

        @hookimpl
        def hoonify_register_middleware():
            return [MiddlewareSpec("office_hours", "Opens at nine.", Settings, OfficeHours)]
    """


@hookspec
def hoonify_register_balancers() -> list[BalancerSpec]:  # type: ignore[empty-body]
    """Return the ways to choose among a model's homes that this plugin brings.

    Called once in every router process, while plugins are loaded. May not block. Each is built for the models
    whose ``balance:`` names it.

    Example::

        @hookimpl
        def hoonify_register_balancers():
            return [BalancerSpec("night_shift", "Old machines by night.", Settings, NightShift)]
    """


@hookspec
def hoonify_register_routes(context: PluginContext) -> list[Route | APIRoute]:  # type: ignore[empty-body]
    """Return extra HTTP routes: those that pass the pipeline, and plain ones that pass nothing.

    Called once in each gateway before the door opens. May not block.

    Example::

        @hookimpl
        def hoonify_register_routes(context):
            return [APIRoute("/v1/motd", motd), Route("/motd.html", page)]
    """


@hookspec
def hoonify_register_commands() -> list[Command]:  # type: ignore[empty-body]
    """Return extra sub-commands of ``hoonify-router``.

    Called once by the command line, before arguments are parsed. May not block.

    Example::

        @hookimpl
        def hoonify_register_commands():
            return [Command("motd", "Print the message of the day.", add_arguments, run)]
    """


@hookspec
def hoonify_validate_config(loaded: LoadedConfig) -> list[str]:  # type: ignore[empty-body]
    """Return problems that only this plugin can see, each ``path: what is wrong and what to do``.

    Called by ``check`` and ``serve``, and at each reload, after the file passed the router's own checks. May read files, must be quick.

    Example::

        @hookimpl
        def hoonify_validate_config(loaded):
            if loaded.config.server.port == 666:
                return ["server.port: taken by the devil, choose another"]
    """


@hookspec
def hoonify_review_change(  # type: ignore[empty-body]
    context: PluginContext, old: LoadedConfig, new: LoadedConfig
) -> list[str]:
    """Return what a change of the configuration would mean to those who use the router, one line each.

    Called for ``plan`` and ``apply``, in a thread of the supervisor: may block for a moment, must not change anything.

    Example::

        @hookimpl
        def hoonify_review_change(context, old, new):
            gone = old.config.models.keys() - new.config.models.keys()
            return [f"the newsletter still praises {name}" for name in sorted(gone)]
    """


@hookspec
def hoonify_startup(context: PluginContext) -> None:
    """Do what must be done once before the router serves.

    Called once per ``serve``, in the supervisor, before any home is started. May block for a short time.

    Example::

        @hookimpl
        def hoonify_startup(context):
            context.log.info("hello from %s", __name__)
    """


@hookspec
def hoonify_shutdown(context: PluginContext) -> None:
    """Undo it.

    Called once per ``serve``, in the supervisor, after all homes have stopped. May block for a short time.

    Example::

        @hookimpl
        def hoonify_shutdown(context):
            context.log.info("goodbye from %s", __name__)
    """


@hookspec
def hoonify_backend_event(event: BackendEvent) -> None:
    """Hear that a home has a new state.

    Called in the supervisor, on its event loop: must not block.

    Example::

        @hookimpl
        def hoonify_backend_event(event):
            if event.home.state == "failed":
                page_someone(event.home.id, event.home.reason)
    """


@hookspec
def hoonify_collect_metrics(  # type: ignore[empty-body]
    context: PluginContext, pipeline: Mapping[str, Middleware]
) -> list[Measurement]:
    """Return what this plugin measures in this gateway process; ``pipeline`` has its middleware by name.

    Called in each gateway about once a second where ``metrics`` is in the ``pipeline:``, on the event loop: must not
    block. Counters of several gateways add up, and gauges too.

    Example::

        @hookimpl
        def hoonify_collect_metrics(context, pipeline):
            if "office_hours" not in pipeline:
                return []
            refused = pipeline["office_hours"].refused
            return [Measurement("office_hours_refusals_total", "Sent home.", refused, "counter")]
    """


@hookspec(firstresult=True)
def hoonify_shape_error(
    error: RouterError, context: RequestContext
) -> dict[str, Any] | ErrorBody | None:
    """Return the JSON body for an error, or ``None`` to leave it to the next plugin.

    Called in the gateway for each failed request, on the event loop: must not block. Status and headers
    stay the router's, but for the body's type, which an ``ErrorBody`` names. Within a stream, where clients look
    for an ``error``, a body without one is replaced by OpenAI's.

    Example::

        @hookimpl
        def hoonify_shape_error(error, context):
            return {"problem": error.message, "see": context.request_id}
    """
