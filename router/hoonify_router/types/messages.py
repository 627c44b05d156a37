"""Messages of a conversation, and the parts that they are made of, as OpenAI's schema has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from hoonify_router.types.parameters import says

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class CacheBreakpoint(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Where a prompt's reusable beginning ends: a hint, which changes no token."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class TextPart(
    Struct, tag_field="type", tag="text", omit_defaults=True, forbid_unknown_fields=True
):
    """A piece of text in a message's content."""

    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class ImageURL(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Where an image is: a URL or a ``data:`` URI."""

    url: Annotated[str, Meta(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(
    Struct, tag_field="type", tag="image_url", omit_defaults=True, forbid_unknown_fields=True
):
    """An image in a message's content; only vision models take it."""

    image_url: ImageURL
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(
    Struct, tag_field="type", tag="refusal", omit_defaults=True, forbid_unknown_fields=True
):
    """What the assistant refused, in an earlier turn."""

    refusal: str


class InputAudio(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Sound, in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(
    Struct, tag_field="type", tag="input_audio", omit_defaults=True, forbid_unknown_fields=True
):
    """Sound in a message's content; no home of ours takes it yet."""

    input_audio: InputAudio
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputFile(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A file, in base64 or by an id."""

    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class FilePart(
    Struct, tag_field="type", tag="file", omit_defaults=True, forbid_unknown_fields=True
):
    """A file in a message's content; no home of ours takes it yet."""

    file: InputFile
    prompt_cache_breakpoint: CacheBreakpoint | None = None


ContentPart = TextPart | ImagePart | RefusalPart | AudioPart | FilePart


class Citation(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Where a passage of an earlier answer came from."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What an earlier answer said about its text."""

    type: Literal["url_citation"]
    url_citation: Citation


class Message(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One turn of the conversation."""

    role: Annotated[Role, says("Who speaks. `developer` is the newer name of `system`.")]
    content: Annotated[
        str | Annotated[list[ContentPart], Meta(min_length=1)] | None,
        says(
            "What is said: text, or parts. Only an assistant that called tools, or refused, may have none."
        ),
    ] = None
    name: Annotated[
        str | None, says("Tells participants of one role apart; required for `function`.")
    ] = None
    tool_calls: Annotated[
        list[dict[str, Any]] | None, says("What the assistant called, in an earlier turn.")
    ] = None
    tool_call_id: Annotated[
        str | None, says("The call that a `tool` message answers; required there.")
    ] = None
    refusal: Annotated[str | None, says("What the assistant refused, in an earlier turn.")] = None
    function_call: Annotated[
        dict[str, Any] | None, says("The older form of one tool call, in an earlier turn.")
    ] = None
    audio: Annotated[dict[str, Any] | None, says("An earlier spoken answer, by its id.")] = None
    reasoning_content: Annotated[
        str | None, says("Extra: what an earlier answer thought, for models that want it back.")
    ] = None
    annotations: Annotated[
        list[Annotation] | None, says("Sources of an earlier answer; they change no token.")
    ] = None
