"""An OpenAPI description of the router's endpoints; requests come from the types that they are checked with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hoonify_plugins.pages.parameters import schemas
from hoonify_plugins.pages.refusals import refusals
from hoonify_router import __version__

_STRING = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_LIMITS = {
    "x-ratelimit-limit-requests": _COUNT,
    "x-ratelimit-remaining-requests": _COUNT,
    "x-ratelimit-reset-requests": {"type": "string", "format": "date-time"},
    "x-ratelimit-limit-tokens": _COUNT,
    "x-ratelimit-remaining-tokens": _COUNT,
    "x-ratelimit-reset-tokens": {"type": "string", "format": "date-time"},
}


def description(
    *, title: str, address: str, models: Sequence[str], asks_keys: bool, limited: bool
) -> dict[str, Any]:
    """Return the description, ready for JSON.

    Args:
        title: What the service is called.
        address: Where it is.
        models: IDs of the catalog.
        asks_keys: Whether requests need a key.
        limited: Whether answers tell rate limits.
    """
    components: dict[str, Any] = {"schemas": {**schemas(), **_answers(models)}}
    if limited:
        components["headers"] = {name: {"schema": one} for name, one in _LIMITS.items()}
    told: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": f"{title} API",
            "version": __version__,
            "description": "OpenAI's protocol; the OpenAI SDKs work as they are with this base URL.",
        },
        "servers": [{"url": address}],
        "paths": _paths(limited),
        "components": components,
    }
    if asks_keys:
        components["securitySchemes"] = {
            "key": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "hoo_ and 46 letters and digits",
            }
        }
        told["security"] = [{"key": []}]
    return told


def _paths(limited: bool) -> dict[str, Any]:
    chat = _post(
        "createChatCompletion",
        "Answer a conversation.",
        "ChatRequest",
        "ChatCompletion",
        limited=limited,
        streamed="ChatCompletionChunk",
    )
    text = _post(
        "createCompletion",
        "Go on with a text.",
        "CompletionRequest",
        "Completion",
        limited=limited,
        streamed="Completion",
    )
    vectors = _post(
        "createEmbedding",
        "Turn texts into vectors.",
        "EmbeddingRequest",
        "Embeddings",
        limited=limited,
    )
    every = _operation("listModels", "List the models that the key may use.", "ModelList", limited)
    single = _operation("retrieveModel", "Show one model.", "Model", limited)
    named = [{"name": "model", "in": "path", "required": True, "schema": _STRING}]
    return {
        "/v1/chat/completions": chat,
        "/v1/completions": text,
        "/v1/embeddings": vectors,
        "/v1/models": {"get": every},
        "/v1/models/{model}": {"get": single, "parameters": named},
    }


def _post(
    name: str,
    summary: str,
    asked: str,
    answered: str,
    *,
    limited: bool,
    streamed: str | None = None,
) -> dict[str, Any]:
    operation = _operation(name, summary, answered, limited, streamed)
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": _ref(asked)}},
    }
    return {"post": operation}


def _operation(
    name: str, summary: str, answered: str, limited: bool, streamed: str | None = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _ref(answered)}}
    if streamed is not None:
        content["text/event-stream"] = {
            "schema": {
                "type": "string",
                "description": f"Events whose data is a {streamed} each, and `[DONE]` at the end. After an error,"
                " the event before `[DONE]` holds an Error.",
            }
        }
    good: dict[str, Any] = {"description": "The answer.", "content": content}
    if limited:
        good["headers"] = {one: {"$ref": f"#/components/headers/{one}"} for one in _LIMITS}
    responses: dict[str, Any] = {"200": good}
    for status, advice, kinds in refusals():
        codes = ", ".join(f"`{one.code}`" for one in kinds)
        one: dict[str, Any] = {
            "description": f"{codes}. {advice}".strip(),
            "content": {"application/json": {"schema": _ref("Error")}},
        }
        if status in (429, 503):
            one["headers"] = {"retry-after": {"schema": _COUNT}}
        responses[str(status)] = one
    return {"operationId": name, "summary": summary, "responses": responses}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _list_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _answers(models: Sequence[str]) -> dict[str, Any]:
    """Return the schemas of answers; objects may hold more than these name."""
    finish = _or_null({"enum": ["stop", "length", "tool_calls", "content_filter", "function_call"]})
    call = _object(
        ["id", "type"],
        id=_STRING,
        type=_STRING,
        function=_object(["name", "arguments"], name=_STRING, arguments=_STRING),
    )
    answer = _object(
        ["role", "content", "refusal"],
        role={"const": "assistant"},
        content=_or_null(_STRING),
        refusal=_or_null(_STRING),
        reasoning_content=_or_null(_STRING),
        tool_calls=_list_of(call),
    )
    delta = _object(
        [],
        role=_STRING,
        content=_or_null(_STRING),
        reasoning_content=_or_null(_STRING),
        tool_calls=_list_of({"type": "object"}),
    )
    logprobs = _or_null({"type": "object"})
    head = {
        "id": _STRING,
        "created": {"type": "integer"},
        "model": {"type": "string", "examples": list(models[:3])},
    }
    said = _object(
        ["index", "message", "finish_reason"],
        index=_COUNT,
        message=answer,
        finish_reason=finish,
        logprobs=logprobs,
    )
    piece = _object(
        ["index", "delta", "finish_reason"],
        index=_COUNT,
        delta=delta,
        finish_reason=finish,
        logprobs=logprobs,
    )
    text = _object(
        ["index", "text", "finish_reason"],
        index=_COUNT,
        text=_STRING,
        finish_reason=finish,
        logprobs=logprobs,
    )
    error = _object(
        ["message", "type", "param", "code"],
        message=_STRING,
        type=_STRING,
        param=_or_null(_STRING),
        code=_or_null(_STRING),
    )
    vector = _object(
        ["object", "index", "embedding"],
        object={"const": "embedding"},
        index=_COUNT,
        embedding={"anyOf": [_list_of({"type": "number"}), _STRING]},
    )
    price = _object(["input", "output"], input={"type": "number"}, output={"type": "number"})
    model = _object(
        ["id", "object", "created", "owned_by"],
        id={"type": "string", "examples": list(models)},
        object={"const": "model"},
        created={"type": "integer"},
        owned_by=_STRING,
        context_length=_COUNT,
        modalities=_list_of(_STRING),
        state=_STRING,
        tasks=_list_of(_STRING),
        parameters=_list_of(_STRING),
        description=_STRING,
        pricing=price,
    )
    names = ["id", "object", "created", "model", "choices"]
    return {
        "ChatCompletion": _object(
            [*names, "usage"],
            **head,
            object={"const": "chat.completion"},
            choices=_list_of(said),
            usage=_ref("Usage"),
        ),
        "ChatCompletionChunk": _object(
            names,
            **head,
            object={"const": "chat.completion.chunk"},
            choices=_list_of(piece),
            usage=_or_null(_ref("Usage")),
        ),
        "Completion": _object(
            names,
            **head,
            object={"const": "text_completion"},
            choices=_list_of(text),
            usage=_or_null(_ref("Usage")),
        ),
        "Embeddings": _object(
            ["object", "data", "model", "usage"],
            object={"const": "list"},
            data=_list_of(vector),
            model=_STRING,
            usage=_object(
                ["prompt_tokens", "total_tokens"], prompt_tokens=_COUNT, total_tokens=_COUNT
            ),
        ),
        "Usage": _object(
            ["prompt_tokens", "completion_tokens", "total_tokens"],
            prompt_tokens=_COUNT,
            completion_tokens=_COUNT,
            total_tokens=_COUNT,
            prompt_tokens_details={"type": "object"},
            completion_tokens_details={"type": "object"},
        ),
        "Model": model,
        "ModelList": _object(
            ["object", "data"], object={"const": "list"}, data=_list_of(_ref("Model"))
        ),
        "Error": _object(["error"], error=error),
    }
