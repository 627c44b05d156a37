"""Two referees of shapes: the models of the `openai` package, read strictly, and OpenAI's published schema."""

from __future__ import annotations

import copy
import json
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import openai.types as sdk
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion import Completion
from pydantic import BaseModel

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "openai" / "openai_schemas.json"
"""OpenAI's components for chat, models, errors, embeddings and completions; not in the repository."""

CATALOG_EXTRAS = frozenset(
    f"Model.{field}"
    for field in (
        "context_length",
        "description",
        "modalities",
        "parameters",
        "pricing",
        "reason",
        "state",
        "tasks",
    )
)
"""What the catalog tells beyond OpenAI's schema; clients skip it."""

REQUIRED: dict[str, set[str]] = {
    "chat_completion.Choice": {"logprobs"},
    "chat_completion.ChoiceLogprobs": {"content", "refusal"},
    "chat_completion_chunk.Choice": {"finish_reason"},
    "chat_completion_chunk.ChoiceLogprobs": {"content", "refusal"},
    "chat_completion_message.ChatCompletionMessage": {"content", "refusal"},
    "chat_completion_token_logprob.ChatCompletionTokenLogprob": {"bytes"},
    "chat_completion_token_logprob.TopLogprob": {"bytes"},
    "completion_choice.CompletionChoice": {"logprobs"},
}
"""What OpenAI's schema requires where the package's models are lenient: null is said, not left out."""

NEVER_NULL = frozenset(
    {
        "annotations",
        "completion_tokens_details",
        "function_call",
        "metadata",
        "prompt_tokens_details",
        "role",
        "system_fingerprint",
        "tool_calls",
    }
)
"""What OpenAI's schema lets be left out, and does not let be null."""

WORDS = frozenset({"finish_reason", "object", "role", "service_tier", "type"})
"""Fields whose values a schema lists; of all others it tells the type only."""


class OutOfShape(AssertionError):
    """An answer that OpenAI would not give; the message names the place."""


# ------------------------------------------------------------------ the package's models


def check_model(model: type[BaseModel], data: Any) -> None:
    """Hold ``data`` against a model of the package: nothing missing, nothing more, no type bent.

    Raises:
        OutOfShape: It is something else.
    """
    problems = list(_problems(model, data, model.__name__))
    if problems:
        raise OutOfShape("; ".join(problems))


def _problems(kind: Any, data: Any, path: str) -> typing.Iterator[str]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        yield from _problems(arguments[0], data, path)
    elif origin in (typing.Union, types.UnionType):
        every = [list(_problems(argument, data, path)) for argument in arguments]
        if all(every):
            yield min(every, key=len)[0] if data is not None else f"{path}: must not be null"
    elif origin is typing.Literal:
        if data not in arguments or type(data) is not type(arguments[0]):
            yield f"{path}: {data!r} is none of {arguments}"
    elif origin is list:
        if not isinstance(data, list):
            yield f"{path}: {data!r} is no list"
        else:
            for number, item in enumerate(data):
                yield from _problems(arguments[0], item, f"{path}[{number}]")
    elif origin is dict:
        if not isinstance(data, dict):
            yield f"{path}: {data!r} is no object"
        else:
            for key, value in data.items():
                yield from _problems(arguments[1], value, f"{path}.{key}")
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _problems_of_model(kind, data, path)
    elif kind is float:
        if type(data) not in (int, float):
            yield f"{path}: {data!r} is no number"
    elif kind is not Any and kind is not object and type(data) is not kind:
        yield f"{path}: {data!r} is no {getattr(kind, '__name__', kind)}"


def _problems_of_model(model: type[BaseModel], data: Any, path: str) -> typing.Iterator[str]:
    if not isinstance(data, dict):
        yield f"{path}: {data!r} is no object"
        return
    name = f"{model.__module__.rpartition('.')[2]}.{model.__name__}"
    fields = model.model_fields
    required = {field for field, told in fields.items() if told.is_required()}
    for field in sorted((required | REQUIRED.get(name, set())) - data.keys()):
        yield f"{path}.{field}: missing"
    for field, value in data.items():
        if value is None and field in NEVER_NULL:
            yield f"{path}.{field}: must be left out where there is nothing"
        elif field in fields:
            yield from _problems(fields[field].annotation, value, f"{path}.{field}")
        elif f"{model.__name__}.{field}" not in CATALOG_EXTRAS:
            yield f"{path}.{field}: unknown to OpenAI"


# ------------------------------------------------------------------ the published schema


@cache
def published(name: str) -> jsonschema.Draft202012Validator | None:
    """Return the validator for one of the published components; ``None`` where they are not at hand.

    In what we answer, nothing beyond the schema is let through.
    """
    if not PUBLISHED.is_file():
        return None
    document = json.loads(PUBLISHED.read_text())
    if "Request" not in name:
        _close(document)
    return jsonschema.Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def _close(schema: Any) -> None:
    """Forbid additional properties wherever properties are listed."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for inner in schema.values():
            _close(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _close(inner)


def check_published(name: str, data: Any) -> None:
    """Hold ``data`` against a published component, where those are at hand.

    Raises:
        OutOfShape: It is something else.
    """
    complaint = (_complaint if "Request" in name else _complaint_of_shape)(name, _Shaped(data))
    if complaint:
        raise OutOfShape(f"{name}: {complaint}")


def _complaint(name: str, shaped: _Shaped) -> str | None:
    validator = published(name)
    errors = () if validator is None else validator.iter_errors(shaped.data)
    error = jsonschema.exceptions.best_match(errors)
    return error and f"{error.json_path}: {error.message}"


_complaint_of_shape = cache(_complaint)
"""The chunks of a stream look alike: each shape is judged once."""


class _Shaped:
    """Data that equals other data of the same shape: all that the schemas of answers speak of.

    Args:
        data: What JSON can hold.
    """

    def __init__(self, data: Any) -> None:
        self.data = data
        self._shape = _shape(data)

    def __hash__(self) -> int:
        return hash(self._shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shaped) and self._shape == other._shape


def _shape(data: Any, word: bool = False) -> Any:
    if isinstance(data, dict):
        return frozenset((key, _shape(value, key in WORDS)) for key, value in data.items())
    if isinstance(data, list):
        return (list, frozenset(_shape(item) for item in data))
    return data if word else type(data)


# ------------------------------------------------------------------ both


def check_chat(data: Any) -> None:
    """Hold a chat completion against both referees."""
    check_model(ChatCompletion, data)
    check_published("CreateChatCompletionResponse", data)


def check_chat_chunk(data: Any) -> None:
    """Hold a chunk of a chat's stream against both referees."""
    check_model(ChatCompletionChunk, data)
    check_published("CreateChatCompletionStreamResponse", data)


def check_completion(data: Any) -> None:
    """Hold a legacy completion against both referees."""
    check_model(Completion, data)
    check_published("CreateCompletionResponse", data)


def check_completion_chunk(data: Any) -> None:
    """Hold a chunk of a legacy completion; its shape is the whole's, with an open finish."""
    whole = copy.deepcopy(data)
    for choice in whole.get("choices", []):
        if choice.get("finish_reason", "") is None:
            choice["finish_reason"] = "stop"
    if "usage" in whole and whole["usage"] is None:
        del whole["usage"]
    check_completion(whole)


def check_embeddings(data: Any) -> None:
    """Hold embeddings as numbers against both referees."""
    check_model(sdk.CreateEmbeddingResponse, data)
    check_published("CreateEmbeddingResponse", data)


def check_models(data: Any) -> None:
    """Hold the list of models against the package's models; the published schema knows no extras."""
    assert data.keys() == {"object", "data"}
    assert data["object"] == "list"
    for model in data["data"]:
        check_model(sdk.Model, model)
    bare = [{key: m[key] for key in ("id", "object", "created", "owned_by")} for m in data["data"]]
    check_published("ListModelsResponse", {**data, "data": bare})


def check_error(data: Any) -> None:
    """Hold an error's body against OpenAI's envelope."""
    assert data.keys() == {"error"}
    assert data["error"].keys() == {"message", "type", "param", "code"}
    check_published("ErrorResponse", data)
