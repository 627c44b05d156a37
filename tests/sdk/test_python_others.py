"""The unmodified Python client lists models, completes texts and asks for embeddings."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.sdk.conftest import Served

SCRIPTED = ("echo", "far-echo")


@pytest.fixture
def lenient(router: Served) -> Iterator[openai.OpenAI]:
    """The client as everybody has it: the package's models forbid open finishes here, and its own base64."""
    with router.client(_strict_response_validation=False) as client:
        yield client


# ---------------------------------------------------------------- models


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    """By the names that requests use."""
    listed = {model.id: model for model in client.models.list()}
    assert {"tiny-chat", "echo", "far-echo", "gone"} <= listed.keys()
    model = client.models.retrieve("tiny-chat")
    assert (model.id, model.object, model.owned_by) == ("tiny-chat", "model", "Hoonify")
    assert model.created == listed["tiny-chat"].created > 0
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


# ---------------------------------------------------------------- completions


def test_a_completion(lenient: openai.OpenAI, home: str) -> None:
    """One prompt goes on, whole and streamed alike."""
    client = lenient
    request: Any = {"model": home, "prompt": "1, 2, 3, 4,", "max_tokens": 4}
    if not home.endswith("echo"):
        request["temperature"] = 0
    whole = client.completions.create(**request)
    assert whole.id.startswith("cmpl-")
    assert (whole.object, whole.model) == ("text_completion", home)
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 4
    text = "".join(
        chunk.choices[0].text for chunk in client.completions.create(**request, stream=True)
    )
    assert text == whole.choices[0].text


@pytest.mark.parametrize("home", SCRIPTED)
def test_completions_of_several_prompts(lenient: openai.OpenAI, home: str) -> None:
    """The answers of the first prompt come first."""
    client = lenient
    answer = client.completions.create(model=home, prompt=["a b", "c"], n=2, logprobs=2)
    assert [choice.text for choice in answer.choices] == ["a b", "a b", "c", "c"]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    told = answer.choices[0].logprobs
    assert told is not None
    assert told.tokens == ["a", " b"]
    assert told.text_offset == [0, 1]
    assert [len(top) for top in told.top_logprobs or []] == [2, 2]
    texts = ["", "", "", ""]
    for chunk in client.completions.create(model=home, prompt=["a b", "c"], n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == ["a b", "a b", "c", "c"]


# ---------------------------------------------------------------- embeddings


@pytest.mark.parametrize("home", SCRIPTED)
def test_embeddings_in_every_encoding(lenient: openai.OpenAI, home: str) -> None:
    """As numbers, as base64, and as the package asks by itself; all are the same vector."""
    client = lenient
    usual = client.embeddings.create(model=home, input="one two")
    numbers = client.embeddings.create(model=home, input="one two", encoding_format="float")
    coded = client.embeddings.create(model=home, input="one two", encoding_format="base64")
    vector = numbers.data[0].embedding
    assert len(vector) == 64
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
    assert usual.data[0].embedding == pytest.approx(vector, abs=1e-7)
    raw = base64.b64decode(str(coded.data[0].embedding))
    assert struct.unpack("<64f", raw) == pytest.approx(vector, abs=1e-7)
    assert (usual.usage.prompt_tokens, usual.usage.total_tokens) == (2, 2)
    assert usual.model == home


@pytest.mark.parametrize("home", SCRIPTED)
def test_embeddings_of_several_inputs(lenient: openai.OpenAI, home: str) -> None:
    """In their order, shortened on demand; tokens are inputs, too."""
    client = lenient
    answer = client.embeddings.create(model=home, input=["one", "two", "one"], dimensions=5)
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert answer.data[0].embedding == answer.data[2].embedding != answer.data[1].embedding
    assert len(answer.data[0].embedding) == 5
    assert len(client.embeddings.create(model=home, input=[[1, 2], [3]]).data) == 2


async def test_the_async_client_does_the_same(router: Served) -> None:
    """Models, completions and embeddings."""
    async with router.async_client(_strict_response_validation=False) as client:
        assert "echo" in [model.id async for model in client.models.list()]
        answer = await client.completions.create(model="echo", prompt="a b")
        assert answer.choices[0].text == "a b"
        assert len((await client.embeddings.create(model="echo", input="x")).data) == 1


@pytest.mark.parametrize("home", ["tiny-chat", "far-tiny-chat"])
def test_a_model_that_makes_no_embeddings_says_so(client: openai.OpenAI, home: str) -> None:
    """With the endpoint that it is for, where that is known."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=home, input="x")
    assert (caught.value.code, caught.value.param) == ("wrong_endpoint", "model")
    if home == "tiny-chat":
        assert "/v1/chat/completions" in caught.value.message
