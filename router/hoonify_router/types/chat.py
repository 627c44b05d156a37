"""A chat request as clients send it.

Shapes follow OpenAI's published schema (openai/openai-openapi, state of August 2026); what clients of
open models expect beyond it is marked as such.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from msgspec import Struct

Task = Literal["chat", "completion", "embedding"]
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
