"""What the objects inside a request must hold that travel as they came: tools, answer formats, calls.

A request keeps them as dictionaries, because templates and servers read them so. Here stand their shapes;
checking one is a conversion whose result is thrown away.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from hoonify_router.types.messages import CacheBreakpoint
from hoonify_router.types.parameters import says

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}\Z"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]


class Function(Struct, forbid_unknown_fields=True):
    """A function that the model may call."""

    name: Annotated[Name, says("1 to 64 of the characters a-z, A-Z, 0-9, _ and -.")]
    description: Annotated[str | None, says("What it does, for the model.")] = None
    parameters: Annotated[dict[str, Any] | None, says("Its arguments, as a JSON Schema.")] = None
    strict: Annotated[bool | None, says("Hold the arguments to the schema exactly.")] = None


class FunctionTool(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A function, as a tool."""

    function: Function


class Grammar(Struct, forbid_unknown_fields=True):
    """Rules for the text that a custom tool takes."""

    definition: str
    syntax: Literal["lark", "regex"]


class TextInput(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """A custom tool takes any text."""


class GrammarInput(Struct, tag_field="type", tag="grammar", forbid_unknown_fields=True):
    """A custom tool takes text of a grammar."""

    grammar: Grammar


class Custom(Struct, forbid_unknown_fields=True):
    """A tool that takes text."""

    name: Name
    description: str | None = None
    format: TextInput | GrammarInput | None = None


class CustomTool(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    """A tool that takes text, as a tool."""

    custom: Custom


class Named(Struct, forbid_unknown_fields=True):
    """Something by its name."""

    name: Name


class FunctionChoice(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """The model must call this function."""

    function: Named


class CustomChoice(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    """The model must call this custom tool."""

    custom: Named


class AllowedTools(Struct, forbid_unknown_fields=True):
    """Some of the tools."""

    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class AllowedChoice(Struct, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True):
    """The model may or must call one of some tools."""

    allowed_tools: AllowedTools


class JSONSchema(Struct, forbid_unknown_fields=True):
    """A schema that the answer must satisfy."""

    name: Annotated[Name, says("1 to 64 of the characters a-z, A-Z, 0-9, _ and -.")]
    description: Annotated[str | None, says("What the answer is for.")] = None
    schema: Annotated[dict[str, Any] | None, says("The JSON Schema.")] = None
    strict: Annotated[bool | None, says("Hold the answer to the schema exactly.")] = None


class TextFormat(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """The answer is text."""


class ObjectFormat(Struct, tag_field="type", tag="json_object", forbid_unknown_fields=True):
    """The answer is some JSON object."""


class SchemaFormat(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """The answer is JSON of a schema."""

    json_schema: JSONSchema


class OwnVoice(Struct, forbid_unknown_fields=True):
    """A voice that the client has made."""

    id: str


class Audio(Struct, forbid_unknown_fields=True):
    """How a spoken answer sounds."""

    voice: str | OwnVoice
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class PredictedPart(Struct, forbid_unknown_fields=True):
    """A piece of predicted text."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class Prediction(Struct, forbid_unknown_fields=True):
    """Text that much of the answer will repeat."""

    type: Literal["content"]  # no tag: where there is one shape only, msgspec lets it be left out
    content: str | Annotated[list[PredictedPart], Meta(min_length=1)]


class Place(Struct, forbid_unknown_fields=True):
    """Roughly where the user is."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class UserLocation(Struct, forbid_unknown_fields=True):
    """Where the user is."""

    type: Literal["approximate"]
    approximate: Place


class WebSearch(Struct, forbid_unknown_fields=True):
    """How the web is searched."""

    user_location: UserLocation | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None


class ModerationMode(Struct, forbid_unknown_fields=True):
    """What a judgement leads to."""

    mode: Literal["score", "block"]


class ModerationPolicy(Struct, forbid_unknown_fields=True):
    """What is judged."""

    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(Struct, forbid_unknown_fields=True):
    """How prompt and answer are judged."""

    model: str
    policy: ModerationPolicy | None = None


class Called(Struct, forbid_unknown_fields=True):
    """What was called, and with which arguments."""

    name: str
    arguments: str


class FunctionCall(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A function that the assistant has called."""

    id: str
    function: Called
    index: int | None = None  # left over by clients that joined the pieces of a stream


class CustomCalled(Struct, forbid_unknown_fields=True):
    """What was called, and with which text."""

    name: str
    input: str


class CustomCall(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    """A custom tool that the assistant has called."""

    id: str
    custom: CustomCalled


class SpokenAnswer(Struct, forbid_unknown_fields=True):
    """An earlier spoken answer."""

    id: str


SHAPES: dict[str, Any] = {
    "response_format": TextFormat | ObjectFormat | SchemaFormat,
    "tools": list[FunctionTool | CustomTool],
    "tool_choice": str | FunctionChoice | CustomChoice | AllowedChoice,
    "functions": list[Function],
    "function_call": str | Named,
    "audio": Audio,
    "prediction": Prediction,
    "web_search_options": WebSearch,
    "moderation": Moderation,
}
"""Shapes of a chat request's objects, by field. Words that a field may hold instead are its own type's."""

MESSAGE_SHAPES: dict[str, Any] = {
    "tool_calls": list[FunctionCall | CustomCall],
    "function_call": Called,
    "audio": SpokenAnswer,
}
"""Shapes of a message's objects, by field."""
