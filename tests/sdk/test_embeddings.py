"""The unmodified Python client asks a real embedding model, here and behind another server."""

from __future__ import annotations

import base64
import shutil
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.backends.onnxruntime.embedding.minilm import MISSING, find_package, write_folder
from tests.sdk.conftest import Served, serving
from tests.sdk.referees import check_embeddings
from tests.sdk.wire import Wire

MODELS = """
  minilm:
    provider: Hoonify
    context_length: 256
    backend: onnxruntime_embeddings
    options: {{model: FOLDER, provider: cpu, threads: 1}}
  far-minilm:
    {far}
    options: {{model: minilm}}
"""
KITTENS = ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates fell on Monday."]

pytestmark = pytest.mark.slow  # loads a model of 90 MB


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A router with all-MiniLM-L6-v2, twice."""
    package = find_package()
    if package is None:
        pytest.skip(MISSING)
    folder = write_folder(package, tmp_path_factory.mktemp("minilm"))
    try:
        state = tmp_path_factory.mktemp("embedder")
        with serving(state, MODELS.replace("FOLDER", str(folder))) as served:
            yield served
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["minilm", "far-minilm"])
def model(request: pytest.FixtureRequest) -> str:
    """The model, and itself behind a server."""
    return str(request.param)


@pytest.fixture
def client(embedder: Served) -> Iterator[openai.OpenAI]:
    """As everybody has it: the package's strict models forbid the base64 that it asks for itself."""
    with embedder.client(_strict_response_validation=False) as client:
        yield client


def test_what_means_the_same_is_near(client: openai.OpenAI, model: str) -> None:
    """As the package asks by itself, in base64."""
    answer = client.embeddings.create(model=model, input=KITTENS)
    cat, kitten, rates = (item.embedding for item in answer.data)
    assert len(cat) == 384
    assert dot(cat, cat) == pytest.approx(1, abs=1e-5)
    assert dot(cat, kitten) > dot(cat, rates) + 0.3
    assert answer.model == model
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 20


def test_encodings_and_companies_agree(embedder: Served, client: openai.OpenAI, model: str) -> None:
    """Numbers, base64 and the schema; alone and among others; here and far."""
    wire = Wire(embedder.port, embedder.key_for_all)
    request: dict[str, Any] = {"model": model, "input": KITTENS, "encoding_format": "float"}
    data = wire.post("/v1/embeddings", request).json
    check_embeddings(data)
    coded = wire.post("/v1/embeddings", {**request, "encoding_format": "base64"}).json
    wire.close()
    alone = client.embeddings.create(model="minilm", input=KITTENS[1]).data[0].embedding
    for index, item in enumerate(data["data"]):
        raw = base64.b64decode(coded["data"][index]["embedding"])
        assert struct.unpack("<384f", raw) == pytest.approx(item["embedding"], abs=1e-5)
    assert data["data"][1]["embedding"] == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": "x", "dimensions": 100}, "unsupported_parameter", "dimensions"),
        ({"input": ["x", "word " * 300]}, "context_length_exceeded", "input"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(
    client: openai.OpenAI, model: str, fields: Any, code: str, param: str
) -> None:
    """Nothing is cut and nothing is dropped."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=model, **fields)
    assert caught.value.code == code
    assert (caught.value.param or "").startswith(param)


def test_it_does_not_chat(client: openai.OpenAI, model: str) -> None:
    """It says what it is for."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "wrong_endpoint"


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
