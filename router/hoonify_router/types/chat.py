"""A chat request as clients send it.

Shapes follow OpenAI's published schema (openai/openai-openapi, state of August 2026); what clients of
open models expect beyond it is marked as such. Objects that engines and templates read as they came stay
dictionaries here; ``validation_shapes`` says what they must hold.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from hoonify_router.types.messages import (
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    ImageURL,
    Message,
    RefusalPart,
    Role,
    TextPart,
)
from hoonify_router.types.parameters import (
    INT64,
    Choices,
    FrequencyPenalty,
    IgnoreEos,
    LogitBias,
    MinP,
    Model,
    PresencePenalty,
    RepetitionPenalty,
    Seed,
    Stop,
    Stream,
    StreamOptions,
    StreamOptionsField,
    Task,
    Temperature,
    TopK,
    TopP,
    User,
    says,
)

__all__ = [
    "CORE_PARAMETERS",
    "METADATA_PARAMETERS",
    "AudioPart",
    "ChatRequest",
    "ContentPart",
    "FilePart",
    "ImagePart",
    "ImageURL",
    "Message",
    "RefusalPart",
    "Role",
    "StreamOptions",
    "Task",
    "TextPart",
]


class CacheOptions(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """How the prompt may be kept for the next request: hints, which change no token."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class ChatRequest(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/chat/completions``. ``None`` means that the client left the field out."""

    model: Model
    messages: Annotated[
        Annotated[list[Message], Meta(min_length=1)], says("The conversation so far, oldest first.")
    ]
    stream: Stream = None
    stream_options: StreamOptionsField = None
    # what and how much is sampled
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=INT64)] | None,
        says("The older name of `max_completion_tokens`, which wins over it."),
    ] = None
    max_completion_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=INT64)] | None,
        says(
            "Tokens that each answer may have at most, thoughts included.",
            "what the context leaves",
        ),
    ] = None
    temperature: Temperature = None
    top_p: TopP = None
    n: Choices = None
    seed: Seed = None
    stop: Stop = None
    frequency_penalty: FrequencyPenalty = None
    presence_penalty: PresencePenalty = None
    logit_bias: LogitBias = None
    logprobs: Annotated[
        bool | None, says("Tell the log probability of each token of the answer.", "`false`")
    ] = None
    top_logprobs: Annotated[
        Annotated[int, Meta(ge=0, le=20)] | None,
        says("And of this many likeliest tokens at its place; needs `logprobs: true`.", "0"),
    ] = None
    # shape of the answer
    response_format: Annotated[
        dict[str, Any] | None,
        says("The form of the answer: text, any JSON object, or JSON of a schema.", "text"),
    ] = None
    tools: Annotated[
        Annotated[list[dict[str, Any]], Meta(max_length=128)] | None,
        says("What the model may call."),
    ] = None
    tool_choice: Annotated[
        Literal["none", "auto", "required"] | dict[str, Any] | None,
        says("Whether it calls, and what: an object names one tool.", "`auto` with tools"),
    ] = None
    parallel_tool_calls: Annotated[
        bool | None, says("Whether one answer may hold several calls.", "`true`")
    ] = None
    functions: Annotated[
        Annotated[list[dict[str, Any]], Meta(max_length=128)] | None,
        says("The older form of `tools`."),
    ] = None
    function_call: Annotated[
        Literal["none", "auto"] | dict[str, Any] | None, says("The older form of `tool_choice`.")
    ] = None
    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None,
        says("How much a reasoning model thinks.", "the home's"),
    ] = None
    verbosity: Annotated[
        Literal["low", "medium", "high"] | None, says("How long answers are.", "`medium`")
    ] = None
    modalities: Annotated[
        Annotated[list[Literal["text", "audio"]], Meta(min_length=1)] | None,
        says("What the answer is made of.", '`["text"]`'),
    ] = None
    audio: Annotated[dict[str, Any] | None, says("Voice and format of a spoken answer.")] = None
    prediction: Annotated[
        dict[str, Any] | None, says("Text that much of the answer will repeat.")
    ] = None
    web_search_options: Annotated[dict[str, Any] | None, says("Lets the model search the web.")] = (
        None
    )
    moderation: Annotated[
        dict[str, Any] | None, says("Judges prompt and answer with a moderation model.")
    ] = None
    # metadata that changes no token
    user: User = None
    safety_identifier: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        says("Who asks, for whoever looks after misuse."),
    ] = None
    prompt_cache_key: Annotated[
        str | None, says("Requests of one key share their prompt's beginning: kept on one home.")
    ] = None
    prompt_cache_options: Annotated[
        CacheOptions | None, says("Hints about keeping the prompt for the next request.")
    ] = None
    prompt_cache_retention: Annotated[
        Literal["in_memory", "in-memory", "24h"] | None, says("The older form of such a hint.")
    ] = None
    metadata: Annotated[
        Annotated[
            dict[
                Annotated[str, Meta(max_length=64)],
                Annotated[str, Meta(max_length=512)],
            ],
            Meta(max_length=16),
        ]
        | None,
        says("The client's own notes; the router hands them on where a home takes them."),
    ] = None
    store: Annotated[
        bool | None, says("Keep the answer; `true` is refused: the router keeps none.", "`false`")
    ] = None
    service_tier: Annotated[
        Literal["auto", "default", "flex", "scale", "priority", "fast"] | None,
        says("How urgent it is; homes of the router know one tier only.", "`auto`"),
    ] = None
    # extras that clients of open models expect
    top_k: TopK = None
    min_p: MinP = None
    repetition_penalty: RepetitionPenalty = None
    ignore_eos: IgnoreEos = None
    chat_template_kwargs: Annotated[
        dict[str, Any] | None,
        says("Values for the model's chat template, such as `enable_thinking`."),
    ] = None

    task: ClassVar[Task] = "chat"

    @property
    def streams(self) -> bool:
        """Whether the answer comes in pieces."""
        return bool(self.stream)

    @property
    def choices(self) -> int:
        """How many answers there will be."""
        return self.n or 1

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
        "prompt_cache_options",
        "prompt_cache_retention",
        "metadata",
        "store",
        "service_tier",
    }
)
"""Accepted on every model: they change no token of the answer."""

CORE_PARAMETERS = (
    frozenset(
        {"model", "messages", "prompt", "input", "encoding_format", "stream", "stream_options"}
    )
    | METADATA_PARAMETERS
)
"""What the router itself takes care of, so that no engine needs to."""
