"""Requests and answers on the pages of the endpoints are what clients send and get."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.docs.pages import ROOT, Block, blocks

from hoonify_router.loader import load_plugins
from hoonify_router.parsing import parse_chat, parse_completion, parse_embedding
from hoonify_router.types import ChatRequest, CompletionRequest, EmbeddingRequest
from hoonify_router.validation import check_values

ENDPOINTS = ROOT / "docs" / "endpoints"
PAGES = {
    "chat-completions.md": ChatRequest,
    "completions.md": CompletionRequest,
    "embeddings.md": EmbeddingRequest,
}
PARSERS = {"messages": parse_chat, "prompt": parse_completion, "input": parse_embedding}
ANSWERS: dict[str, Any] = {
    "chat.completion": ChatCompletion,
    "chat.completion.chunk": ChatCompletionChunk,
    "text_completion": Completion,
    "embedding": CreateEmbeddingResponse,
}


def here(language: str) -> list[Block]:
    return [block for block in blocks(language) if block.page.parent == ENDPOINTS]


def take(given: dict[str, Any]) -> None:
    """Make sure that a request is one."""
    [parse] = [parse for name, parse in PARSERS.items() if name in given]
    check_values(parse(json.dumps(given).encode()))


def judge(answer: dict[str, Any]) -> None:
    """Make sure that an answer is of the type that the SDK has for it."""
    if answer["object"] == "list":
        kind = answer["data"][0]["object"]
        if kind == "model":
            for one in answer["data"]:
                Model.model_validate(one, strict=True)
            return
        if isinstance(answer["data"][0]["embedding"], str):
            return  # base64, which the SDK turns into numbers itself
    else:
        kind = answer["object"]
    ANSWERS[kind].model_validate(answer)


@pytest.mark.parametrize("block", here("json"), ids=str)
def test_a_json_block_is_a_request_or_an_answer(block: Block) -> None:
    """As the real parser and the SDK's types have them."""
    value = json.loads(block.text)
    if "object" in value:
        judge(value)
    else:
        take(value)


@pytest.mark.parametrize("block", here("text"), ids=str)
def test_a_stream_is_one_of_chunks_and_an_end(block: Block) -> None:
    """Every event is a chunk; the last says that there are no more."""
    *events, last = [line for line in block.text.splitlines() if line]
    assert last == "data: [DONE]"
    for event in events:
        chunk = json.loads(event.removeprefix("data: "))
        if chunk["object"] == "text_completion":  # its type knows no streams
            for choice in chunk["choices"]:
                choice["finish_reason"] = choice["finish_reason"] or "stop"
        judge(chunk)
    assert len(events) > 1


def curls() -> Iterator[Any]:
    for block in here("sh"):
        yield pytest.param(shlex.split(block.text.replace("\\\n", " ")), id=str(block))


@pytest.mark.parametrize("words", list(curls()))
def test_a_curl_command_asks_for_something_that_is_there(words: list[str]) -> None:
    """The path is a route, the body a request for it."""
    path = re.sub(r"^http://127.0.0.1:8000", "", words[1])
    assert path in {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models"}
    if "-d" in words:
        take(json.loads(words[words.index("-d") + 1]))


@pytest.mark.parametrize(("page", "kind"), PAGES.items(), ids=list(PAGES))
def test_every_parameter_has_a_meaning_and_a_cell_per_backend(page: str, kind: Any) -> None:
    """Every field of the request, every backend that serves it and is built."""
    text = (ENDPOINTS / page).read_text()
    table = text.partition(f"<!-- generated: parameters {kind.task} -->")[2].partition("<!--")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.split(" | ")] for line in table.split("\n") if line
    ]
    assert [row[0].strip("|` ") for row in rows] == list(kind.__struct_fields__)
    assert all(len(row) == len(head) for row in rows)
    assert all(row[1] and row[3] for row in rows), "a value and a meaning"
    serving = {
        name
        for name, backend in load_plugins().backends.items()
        if kind.task in backend.tasks and backend.parameters != frozenset()
    }
    assert {name.strip("`| ") for name in head[4:]} == serving
    for column, name in enumerate(head[4:], 4):
        honoured = load_plugins().backends[name.strip("`| ")].parameters
        for row in rows:
            cell, field = row[column].strip("| "), row[0].strip("|` ")
            if honoured is None:
                assert cell in {"server", "router"}
            elif field in honoured:
                assert cell == "yes"
            else:
                assert cell in {"no", "router", "yes"}
                assert cell != "yes" or field in {"max_tokens", "max_completion_tokens"}
