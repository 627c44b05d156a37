"""Our requests have every parameter that OpenAI's have, with the same words, types and ranges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.completion_create_params import (
    CompletionCreateParamsStreaming as OlderCreateParams,
)
from openai.types.embedding_create_params import EmbeddingCreateParams
from pydantic import TypeAdapter
from tests.router.openai_differences import alternatives, differences

from hoonify_router.types import (
    METADATA_PARAMETERS,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
)

PUBLISHED = Path(__file__).parents[3] / "shared" / "openai" / "openai_schemas.json"

DELIBERATE = {
    # an empty list asks for nothing; frameworks send it
    "functions: minItems None instead of 1",
    "stop: minItems None instead of 1",
    # impossible values, though the schema does not say so
    "max_completion_tokens: minimum 1 instead of None",
    "max_tokens: minimum 1 instead of None",
    "messages[].content[].image_url.url: minLength 1 instead of None",
    "modalities: minItems 1 instead of None",
    "model: minLength 1 instead of None",
    "stop: minLength 1 instead of None",
    "stop[]: minLength 1 instead of None",
    # the schema leaves the number of tools to its prose
    "tools: maxItems 128 instead of None",
}

EXTRAS = {"top_k", "min_p", "repetition_penalty", "ignore_eos", "chat_template_kwargs"}
"""What clients of open models expect; no client of OpenAI's sends it."""


@pytest.fixture(scope="module")
def published() -> Any:
    """OpenAI's schemas as published; the repository does not carry them."""
    if not PUBLISHED.exists():
        pytest.skip("OpenAI's published schema is not beside this repository")
    return json.loads(PUBLISHED.read_text())


def test_the_published_schema_is_covered(published: Any) -> None:
    """Every field of every object, every word, every bound; where we differ, we mean to."""
    request = {"$ref": "#/components/schemas/CreateChatCompletionRequest"}
    assert differences(request, ChatRequest, published) == DELIBERATE
    [theirs] = alternatives(request, published)
    assert set(ChatRequest.__struct_fields__) - set(theirs["properties"]) == EXTRAS


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (CompletionCreateParamsStreaming, ChatRequest),
        (OlderCreateParams, CompletionRequest),
        (EmbeddingCreateParams, EmbeddingRequest),
    ],
    ids=["chat", "completion", "embedding"],
)
def test_what_the_python_sdk_sends_is_covered(theirs: Any, ours: type) -> None:
    """Its types know no ranges, but they are newer than any schema that was fetched once."""
    schema = TypeAdapter(theirs).json_schema()
    found = differences(schema, ours, schema)
    assert {one for one in found if not one.endswith("instead of None")} == set()
    assert len(schema["properties"]) >= 5


def test_a_field_that_is_new_to_us_is_found(published: Any) -> None:
    """Or the test above could not fail."""
    schemas = published["components"]["schemas"]
    user = schemas["ChatCompletionRequestUserMessage"]
    changed = {**user, "properties": {**user["properties"], "mood": {"type": "string"}}}
    schemas = {**schemas, "ChatCompletionRequestUserMessage": changed}
    root = {"components": {"schemas": schemas}}
    request = {"$ref": "#/components/schemas/CreateChatCompletionRequest"}
    assert "messages[].mood: unknown" in differences(request, ChatRequest, root)


def test_every_kind_of_difference_is_told() -> None:
    """A lost word, another range, another type, an object where we take none."""
    theirs = {
        "properties": {
            "model": {"type": "object", "properties": {"id": {"type": "string"}}},
            "temperature": {"type": "number", "minimum": 0, "maximum": 1},
            "service_tier": {"enum": ["auto", "gold"], "type": "string"},
            "n": {"type": "string"},
        },
        "required": ["model", "messages"],
    }
    assert differences(theirs, ChatRequest, {}) == {
        "model: an object of id",
        "temperature: maximum 2 instead of 1",
        "service_tier: not gold",
        "n: no string",
    }


def test_metadata_is_a_part_of_the_request() -> None:
    """A name that no request has would never be looked at."""
    assert set(ChatRequest.__struct_fields__) >= METADATA_PARAMETERS
