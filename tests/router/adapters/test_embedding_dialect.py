"""A server's embeddings come in the form that the client asked for, whichever the server gives."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.router.reading import Mail, published, read_vectors

from hoonify_router.adapters.embedding_dialect import EmbeddingDialect
from hoonify_router.embeddings import Embeddings
from hoonify_router.errors import EngineDead, Overloaded, RouterError, Unsupported
from hoonify_router.types import EmbeddingRequest


def pour(
    told: Any, inputs: int = 1, form: Any = "float", dimensions: int | None = None
) -> tuple[dict[str, Any], RouterError | None]:
    """Return what the client reads and how the answer ended."""
    mail = Mail()
    request = EmbeddingRequest("catalog-id", ["x"] * inputs, form, dimensions)
    answer = Embeddings(mail, request, lambda: None)
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    EmbeddingDialect().pour(data, answer)
    assert answer.ended
    if answer.error is not None:
        return {}, answer.error
    answer.close()
    read: dict[str, Any] = json.loads(mail.body)
    if form == "float":
        read_vectors(mail.body)
        published("CreateEmbeddingResponse", read)
    return read, None


def listed(*vectors: Any) -> dict[str, Any]:
    """Return a list of embeddings as a server writes it."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector, "x": 1}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 4, "total_tokens": 4, "completion_tokens": 0}
    return {"object": "list", "model": "theirs/Model", "data": data, "usage": usage, "id": "x"}


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_numbers_are_passed_on_as_they_are() -> None:
    """Not one digit is lost or made up."""
    wire = json.dumps(listed([0.1, -2e-07, 3])).encode()
    read, _ = pour(wire)
    assert read == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -2e-07, 3]}],
        "model": "catalog-id",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }


VECTOR = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8)


@given(VECTOR, st.sampled_from(["float", "base64"]), st.booleans())
def test_the_client_s_form_counts_not_the_server_s(
    vector: list[float], wanted: str, packs: bool
) -> None:
    """Either becomes the other, exactly."""
    told = listed(packed(*vector) if packs else vector)
    read, error = pour(told, form=wanted, dimensions=len(vector))
    assert error is None
    got = read["data"][0]["embedding"]
    assert got == (packed(*vector) if wanted == "base64" else vector)


def test_vectors_are_put_in_the_order_of_the_inputs() -> None:
    """By their index; without one, by their place."""
    told = listed([1.0], [2.0])
    told["data"].reverse()
    read, _ = pour(told, inputs=2)
    assert [one["embedding"] for one in read["data"]] == [[1.0], [2.0]]
    for one in told["data"]:
        del one["index"]
    read, _ = pour(told, inputs=2)
    assert [one["embedding"] for one in read["data"]] == [[2.0], [1.0]]


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize(
    "vector",
    [
        [],
        "",
        "AAA",
        "not base64!",
        "AAAA",
        None,
        5,
        {},
        [[1.0]],
        b"[" + b"9" * 50 + b"]",
        [None],
        ["1"],
        b"[ ]",
        b"[1e999999]",
        b'"\\u0041AAAAA=="',
        base64.b64encode(struct.pack("<f", float("nan"))).decode(),
    ],
)
def test_what_is_no_vector_is_an_error(vector: Any, form: str) -> None:
    """Neither form hides it."""
    told = listed("HERE")
    data = json.dumps(told).encode()
    inner = vector if isinstance(vector, bytes) else json.dumps(vector).encode()
    error = pour(data.replace(b'"HERE"', inner), form=form)[1]
    assert isinstance(error, EngineDead)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (b"", EngineDead),
        (listed(), EngineDead),
        (listed([1.0], [2.0]), EngineDead),
        ({"choices": []}, EngineDead),
        ({"error": {"message": "queue is full", "code": 503}}, Overloaded),
        ({"object": "error", "message": "The request queue is full.", "code": 503}, Overloaded),
    ],
)
def test_what_is_no_list_is_an_error(told: Any, kind: type[RouterError]) -> None:
    """A vector for each input, no more and no less."""
    assert isinstance(pour(told)[1], kind)


def test_dimensions_that_the_server_dropped_are_refused() -> None:
    """It would be silent about it."""
    error = pour(listed([1.0, 2.0]), dimensions=1)[1]
    assert isinstance(error, Unsupported)
    assert error.param == "dimensions"
