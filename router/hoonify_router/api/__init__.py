"""The public API for plugin authors: everything a backend or a middleware needs, and nothing else.

A plugin is a module (or an object) with functions marked ``@hookimpl``, named in the entry-point group
``hoonify_router`` of its distribution. See ``hookspecs`` for the hooks.
"""

from __future__ import annotations

import pluggy

from hoonify_router.api.backends import (
    AvailabilityCheck,
    Backend,
    ServerBackend,
    Unavailable,
    WorkerBackend,
)
from hoonify_router.api.balancers import Balancer, BalancerSpec, Candidate
from hoonify_router.api.engines import Engine, Metered, ProgressCallback
from hoonify_router.api.environments import Accelerator, AcceleratorChoice, EngineEnvironment
from hoonify_router.api.explanations import Explain, Explanation, Step, Subject
from hoonify_router.api.extras import (
    APIHandler,
    APIRoute,
    BackendEvent,
    Command,
    ErrorBody,
    Result,
    Route,
)
from hoonify_router.api.launches import (
    AbortSignal,
    Launch,
    LaunchPlanner,
    LaunchSite,
    LoadSignal,
    LoadStep,
)
from hoonify_router.api.middleware import (
    HomeCall,
    Middleware,
    MiddlewareSpec,
    Phase,
    PluginContext,
    Principal,
    RequestContext,
)
from hoonify_router.api.vitals import HomeVitals, Measurement, MiddlewareTime, Vitals
from hoonify_router.config.model import HomeConfig, LoadedConfig, ModelConfig

API_VERSION = (1, 0)
ENTRY_POINT_GROUP = "hoonify_router"

hookimpl = pluggy.HookimplMarker("hoonify")

__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "APIHandler",
    "APIRoute",
    "AbortSignal",
    "Accelerator",
    "AcceleratorChoice",
    "AvailabilityCheck",
    "Backend",
    "BackendEvent",
    "Balancer",
    "BalancerSpec",
    "Candidate",
    "Command",
    "Engine",
    "EngineEnvironment",
    "ErrorBody",
    "Explain",
    "Explanation",
    "HomeCall",
    "HomeConfig",
    "HomeVitals",
    "Launch",
    "LaunchPlanner",
    "LaunchSite",
    "LoadSignal",
    "LoadStep",
    "LoadedConfig",
    "Measurement",
    "Metered",
    "Middleware",
    "MiddlewareSpec",
    "MiddlewareTime",
    "ModelConfig",
    "Phase",
    "PluginContext",
    "Principal",
    "ProgressCallback",
    "RequestContext",
    "Result",
    "Route",
    "ServerBackend",
    "Step",
    "Subject",
    "Unavailable",
    "Vitals",
    "WorkerBackend",
    "hookimpl",
]
