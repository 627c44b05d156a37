"""The configuration as typed structures; ``config/router.yaml`` is one of these, checked in full.

Each docstring and each field's comment here is what an operator's editor shows: the JSON Schema is made from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from hoonify_router.config.sizes import Size
from hoonify_router.config.times import Day, Duration
from hoonify_router.discretion import Discreet

MODEL_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]*(/[A-Za-z0-9][A-Za-z0-9._:-]*)*"
MAX_MODEL_ID = 128
ROUND_ROBIN = "round_robin"
"""The way to choose a home that needs no plugin."""

_STOP_PATIENCE = 30.0


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class ServerConfig(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The HTTP door."""

    host: Annotated[str, _says("Address to listen on.", min_length=1)] = "127.0.0.1"
    port: Annotated[int, _says("TCP port; 0 takes a free one.", ge=0, le=65535)] = 8000
    workers: Annotated[int, _says("Gateway processes that share the port.", ge=1, le=256)] = 1
    state_dir: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        _says("Where keys and other state live; default: var/ beside this file."),
    ] = None
    max_body_bytes: Annotated[int, _says("Largest request body.", ge=1024)] = 16 * 1024 * 1024
    allow_anonymous: Annotated[
        bool,
        _says(
            "Say that it is meant when nothing in `pipeline:` asks for a key; else a start warns."
        ),
    ] = False
    drain_timeout: Annotated[
        Duration | None,
        _says(
            "When the router stops, requests under way get this long to finish, then an error; default: 30s, or the"
            " longest `drain_timeout` under `backends:`."
        ),
    ] = None
    ping_interval: Annotated[
        Duration, _says("A waiting stream gets an SSE comment this often; 0 turns it off.")
    ] = Duration(15)
    gpu_budget: Annotated[
        Size | list[Size] | None,
        _says(
            "Memory of the GPUs that homes may take together: of each of them, or a list, one by one."
            " Default: what nvidia-smi says is there."
        ),
    ] = None
    gpu_turn: Annotated[
        Duration,
        _says(
            "A home that was started on demand serves at least this long before another one may take its memory."
        ),
    ] = Duration(10)
    gpu_patience: Annotated[
        Duration,
        _says("A home that makes room for another one gets this long to finish what runs there."),
    ] = Duration(600)
    watch: Annotated[
        bool,
        _says(
            "Reload by itself when this file changes; without it, `hoonify-router reload` or SIGHUP does."
        ),
    ] = True


class Pricing(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a million tokens cost."""

    input: Annotated[float, _says("Per million prompt tokens.", ge=0)]
    output: Annotated[float, _says("Per million completion tokens.", ge=0)]


class BackendDefaults(Discreet, Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Defaults for every home of one backend."""

    python: Annotated[
        str | None, _says("Interpreter that runs its engine workers; default: the router's own.")
    ] = None
    options: Annotated[
        dict[str, Any], _says("Options for every home of this backend; a home's own win.")
    ] = field(default_factory=dict)
    load_stall: Annotated[
        Duration, _says("A load that shows no progress for this long has failed.", gt=0)
    ] = Duration(300)
    load_timeout: Annotated[Duration, _says("A load may take this long at most.", gt=0)] = Duration(
        7200
    )
    drain_timeout: Annotated[
        Duration, _says("When a home stops, its running requests get this long to finish.")
    ] = Duration(30)


class HomeConfig(Discreet, Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One place where a model runs."""

    backend: Annotated[str, _says("Name of an installed backend: `hoonify-router plugins list`.")]
    options: Annotated[dict[str, Any], _says("The backend's own options.")] = field(
        default_factory=dict
    )
    url: Annotated[
        str | None, _says("Base URL of a server that already runs; nothing is started.")
    ] = None
    api_key: Annotated[
        str | None, _says("Key for `url`; write ${NAME} to take it from the environment.")
    ] = None
    python: Annotated[str | None, _says("Interpreter for this home's engine worker.")] = None
    gpu: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        _says(
            "GPUs that it runs on, by nvidia-smi's numbers; its engine sees no others. Default: all."
        ),
    ] = field(default_factory=list)
    gpu_memory: Annotated[
        Size | list[Size] | None,
        _says(
            "Memory that it takes on each of them (on the first, where `gpu` says nothing), or a list, one by one."
            " Default: the backend's estimate, if it has one."
        ),
    ] = None
    weight: Annotated[
        int, _says("Share of the model's requests, against its other homes.", ge=1, le=1000)
    ] = 1


class ShadowConfig(HomeConfig):
    """A candidate home, which gets copies of some requests to be compared; no client ever sees its answers."""

    share: Annotated[
        float, _says("Share of the model's requests that it gets a copy of.", gt=0, le=1)
    ] = 0.1
    concurrency: Annotated[
        int,
        _says(
            "Copies that each gateway process has under way at once; what comes meanwhile is not copied.",
            ge=1,
            le=256,
        ),
    ] = 8


class Timeouts(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How long a request for a model may take, each part on its own; 0 is no limit."""

    connect: Annotated[Duration, _says("Until a connection to the home stands.")] = Duration(5)
    first_token: Annotated[
        Duration,
        _says(
            "From asking a home until its answer begins: queue and prompt. Answers in one piece from a server"
            " home show no first token."
        ),
    ] = Duration(900)
    idle: Annotated[Duration, _says("Between two pieces of an answer that has begun.")] = Duration(
        300
    )
    total: Annotated[
        Duration, _says("From the request's arrival to the end of the answer, retries included.")
    ] = Duration(7200)


class Breaker(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """When a home that fails is left alone for a while. Only failures of the home count."""

    failures: Annotated[int, _says("Failures in a row after which it is left alone.", ge=1)] = 5
    cool_down: Annotated[
        Duration,
        _says("For this long; then one request probes it. Doubles while the probes fail.", gt=0),
    ] = Duration(5)


class ModelConfig(Discreet, Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One model of the catalog and where it lives. Give either `backend` (one home) or `homes`."""

    provider: Annotated[str, _says("Who made the model.", min_length=1)]
    context_length: Annotated[int, _says("Tokens of prompt and answer together.", ge=1)]
    description: Annotated[str, _says("One or two sentences for the catalog.")] = ""
    modalities: Annotated[list[Literal["text", "image"]], _says("What it takes besides text.")] = (
        field(default_factory=lambda: ["text"])
    )
    pricing: Pricing | None = None
    created: Annotated[
        Day, _says("Day of its release, such as 2025-07-21, as /v1/models shows it.")
    ] = 0
    backend: Annotated[str | None, _says("The model's home: edit this line to re-home it.")] = None
    options: Annotated[dict[str, Any], _says("The backend's own options.")] = field(
        default_factory=dict
    )
    url: Annotated[str | None, _says("Base URL of a server that already runs.")] = None
    api_key: Annotated[str | None, _says("Key for `url`.")] = None
    python: Annotated[str | None, _says("Interpreter for this model's engine worker.")] = None
    gpu: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        _says(
            "GPUs that it runs on, by nvidia-smi's numbers; its engine sees no others. Default: all."
        ),
    ] = field(default_factory=list)
    gpu_memory: Annotated[
        Size | list[Size] | None,
        _says(
            "Memory that it takes on each of them (on the first, where `gpu` says nothing), or a list, one by one."
            " Default: the backend's estimate, if it has one."
        ),
    ] = None
    homes: Annotated[list[HomeConfig], _says("Several homes for one model.")] = field(
        default_factory=list
    )
    shadow: Annotated[
        ShadowConfig | None,
        _says(
            "A candidate home that is tried with copies of requests: see `hoonify-router compare`."
        ),
    ] = None
    balance: Annotated[
        str,
        _says("How a home is chosen: round_robin, least_loaded, prefix, session, or a plugin's."),
    ] = ROUND_ROBIN
    balance_options: Annotated[dict[str, Any], _says("Settings of that way to choose.")] = field(
        default_factory=dict
    )
    fallback: Annotated[
        list[str],
        _says("Models that answer, in this order, when no home of this one can."),
    ] = field(default_factory=list)
    attempts: Annotated[
        int,
        _says("Homes that one request may be tried on, fallbacks included.", ge=1, le=10),
    ] = 3
    timeouts: Timeouts = field(default_factory=Timeouts)
    breaker: Breaker = field(default_factory=Breaker)
    start: Annotated[
        Literal["always", "on_demand"],
        _says("Start the home with the router, or at the first request."),
    ] = "always"
    idle_stop: Annotated[
        Duration,
        _says(
            "With `start: on_demand`, stop a home that has had no request for this long; 0 never does."
        ),
    ] = Duration(0)
    hold_timeout: Annotated[
        Duration,
        _says(
            "A request waits this long for a home that starts, then it is told when to come back."
        ),
    ] = Duration(60)

    def all_homes(self) -> list[HomeConfig]:
        """Return the homes, the short form included, in the order of the file."""
        if self.homes or self.backend is None:
            return self.homes
        return [
            HomeConfig(
                backend=self.backend,
                options=self.options,
                url=self.url,
                api_key=self.api_key,
                python=self.python,
                gpu=self.gpu,
                gpu_memory=self.gpu_memory,
            )
        ]

    def every_home(self) -> list[HomeConfig]:
        """Return all homes, and the shadow where there is one."""
        return self.all_homes() if self.shadow is None else [*self.all_homes(), self.shadow]


class Containment(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What middleware may do before it is contained. A plugin that fails or blocks is named in any case."""

    failures: Annotated[
        int,
        _says(
            "An observer that fails on so many requests in a row is turned off in this gateway; 0 never does.",
            ge=0,
        ),
    ] = 0
    stalls: Annotated[
        int,
        _says(
            "An observer that has held the event loop up so often is turned off; 0 never does.",
            ge=0,
        ),
    ] = 0
    stall: Annotated[
        Duration, _says("A call that holds the event loop for this long counts as a stall.", gt=0)
    ] = Duration(0.25)
    patience: Annotated[
        Duration,
        _says(
            "Middleware may keep a request waiting for this long: an observer fails then, any other refuses"
            " the request with 503; 0 is no limit."
        ),
    ] = Duration(0)


class Config(Discreet, Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file."""

    models: Annotated[dict[str, ModelConfig], _says("The catalog, by the ID that clients ask for.")]
    server: ServerConfig = field(default_factory=ServerConfig)
    pipeline: Annotated[
        list[str],
        _says("Middleware plugins that every request passes; their phase decides the order."),
    ] = field(default_factory=list)
    plugins: Annotated[dict[str, dict[str, Any]], _says("Each plugin's own settings.")] = field(
        default_factory=dict
    )
    backends: Annotated[dict[str, BackendDefaults], _says("Defaults per backend.")] = field(
        default_factory=dict
    )
    containment: Containment = field(default_factory=Containment)

    @property
    def stop_patience(self) -> float:
        """Return the seconds that requests under way get to finish when the router stops."""
        if (told := self.server.drain_timeout) is not None:
            return told
        return max([_STOP_PATIENCE, *(one.drain_timeout for one in self.backends.values())])


class LoadedConfig(Struct, frozen=True):
    """A checked configuration and where it came from.

    Args:
        path: The file, absolute; relative paths inside it count from its folder.
        config: Its content, environment variables filled in.
        state_dir: Absolute folder for keys and other state (not created yet).
        lines: Line of each setting, by its path such as ``models.qwen-3.options.model``.
        name: The file as the operator named it, for messages.
        text: What the file said.
    """

    path: Path
    config: Config
    state_dir: Path
    lines: dict[str, int] = field(default_factory=dict)
    name: str = ""
    text: str = ""

    @property
    def base_dir(self) -> Path:
        """Return the folder from which relative paths in the file count."""
        return self.path.parent

    def locate(self, problem: str) -> str:
        """Return a plugin's ``path: what is wrong`` with the file and the line before it."""
        path = problem.partition(": ")[0]
        name = self.name or str(self.path)
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{name}:{self.lines[path]}: {problem}" if path else f"{name}: {problem}"


def shadow_id(model_id: str) -> str:
    """Return the name of a model's shadow within its configuration."""
    return f"{model_id}/shadow"


def home_id(model_id: str, index: int, count: int) -> str:
    """Return the name of a model's home within its configuration.

    Args:
        model_id: The model's catalog ID.
        index: Which of its homes, from 0.
        count: How many it has; the only one is called like the model.
    """
    return model_id if count == 1 else f"{model_id}/{index}"
