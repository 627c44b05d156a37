"""The nouns that all parts share: a chat request as clients send it, and the events engines answer with.

Shapes follow OpenAI's published schema (openai/openai-openapi, state of August 2026); what clients of
open models expect beyond it is marked as such.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from hoonify_router.discretion import Discreet

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class TextPart(Struct, tag_field="type", tag="text", omit_defaults=True):
    """A piece of text in a message's content."""

    text: str


class ImageURL(Struct, omit_defaults=True):
    """Where an image is: a URL or a ``data:`` URI."""

    url: str
    detail: str | None = None


class ImagePart(Struct, tag_field="type", tag="image_url", omit_defaults=True):
    """An image in a message's content; only vision models take it."""

    image_url: ImageURL


class RefusalPart(Struct, tag_field="type", tag="refusal", omit_defaults=True):
    """What the assistant refused, in an earlier turn."""

    refusal: str


class AudioPart(Struct, tag_field="type", tag="input_audio", omit_defaults=True):
    """Sound in a message's content; no home of ours takes it yet."""

    input_audio: dict[str, Any]


class FilePart(Struct, tag_field="type", tag="file", omit_defaults=True):
    """A file in a message's content; no home of ours takes it yet."""

    file: dict[str, Any]


ContentPart = TextPart | ImagePart | RefusalPart | AudioPart | FilePart


class Message(Struct, omit_defaults=True):
    """One turn of the conversation."""

    role: Role
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    function_call: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    reasoning_content: str | None = None  # open models' extra: what an earlier answer thought


class StreamOptions(Struct, omit_defaults=True):
    """What a stream carries besides the text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/chat/completions``. ``None`` means that the client left the field out."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # what and how much is sampled
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    # shape of the answer
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    # metadata that changes no token
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    # extras that clients of open models expect
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for a usage chunk at the end of its stream."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def token_limit(self) -> int | None:
        """How many tokens the client allows at most; the newer of the two names wins."""
        newer = self.max_completion_tokens
        return self.max_tokens if newer is None else newer


METADATA_PARAMETERS = frozenset(
    {
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "metadata",
        "store",
        "service_tier",
    }
)
"""Accepted on every model: they change no token of the answer."""

CORE_PARAMETERS = frozenset({"model", "messages", "stream", "stream_options"}) | METADATA_PARAMETERS
"""What the router itself takes care of, so that no engine needs to."""


class Usage(Struct, omit_defaults=True):
    """Tokens of one request, as the engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


# Events an engine's ``generate`` yields. ``index`` tells which of the ``n`` answers it belongs to.


class Text(Struct, tag="text", array_like=True):
    """A piece of the answer; never half a character, never part of a stop string."""

    text: str
    index: int = 0


class Reasoning(Struct, tag="reasoning", array_like=True):
    """A piece of what the model thinks before it answers."""

    text: str
    index: int = 0


class Finish(Struct, tag="finish", array_like=True):
    """The answer with this index is complete."""

    reason: FinishReason
    index: int = 0


class Counted(Struct, tag="usage", array_like=True):
    """The request's token counts; the last event of every request, also of one that was cut short."""

    usage: Usage


class Failure(Struct, tag="error", array_like=True):
    """The request failed; nothing follows. ``kind`` is a class name out of ``errors``."""

    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None


Event = Text | Reasoning | Finish | Counted | Failure


class Capabilities(Struct, omit_defaults=True):
    """What a loaded engine can do, told once it is ready.

    Args:
        parameters: Names of the request fields that it honours; the router refuses any other that a
            client sets, except those that change no token.
        context_length: Tokens that prompt and answer may take together.
        slots: Requests that it can run at once; more wait in its queue.
        device: Where it really runs, such as ``cpu`` or ``cuda:0 (NVIDIA H200)``.
        details: Facts for an operator's eyes: execution provider, precision, parameter count.
    """

    parameters: frozenset[str]
    context_length: int
    slots: int = 1
    device: str = "unknown"
    memory_bytes: int = 0
    details: dict[str, str] = {}


class Health(Struct, omit_defaults=True):
    """How an engine is doing. ``step_age`` is seconds since its last step while work is pending, else 0."""

    running: int = 0
    queued: int = 0
    step_age: float = 0.0


HomeState = Literal["stopped", "starting", "loading", "ready", "draining", "failed", "unavailable"]


class HomeView(Discreet, Struct, omit_defaults=True, frozen=True):
    """One home as the supervisor publishes it to the gateways.

    Args:
        id: Stable name within a generation, ``MODEL`` or ``MODEL/INDEX``.
        model: Catalog ID that it serves.
        backend: Name of the backend.
        kind: How it is spoken to: frames over a unix socket, or an OpenAI-compatible HTTP server.
        state: Where it is in its life. ``unavailable`` cannot run here at all: an engine, a GPU or a file is missing.
        address: Socket path (``worker``) or base URL (``server``); empty unless it can be reached.
        served_name: The model name that the engine itself expects (``server`` only).
        api_key: The engine's own key (``server`` only); never shown.
        reason: Why it cannot serve now, one plain sentence that clients may read: no path, no address.
        detail: The same for operators' eyes only: last lines of stderr, paths, what to do.
        retry_after: Seconds until another try makes sense.
        progress: ``(stage, done, total)`` while loading.
        capabilities: Told by the engine once ready.
    """

    id: str
    model: str
    backend: str
    kind: Literal["worker", "server"]
    state: HomeState
    address: str = ""
    served_name: str = ""
    api_key: str = ""
    weight: int = 1
    always: bool = True
    reason: str = ""
    detail: str = ""
    retry_after: float | None = None
    progress: tuple[str, int, int] | None = None
    capabilities: Capabilities | None = None


class RoutingTable(Struct, omit_defaults=True, frozen=True):
    """All homes of one configuration generation, replaced as a whole, never changed."""

    generation: int
    homes: tuple[HomeView, ...]
