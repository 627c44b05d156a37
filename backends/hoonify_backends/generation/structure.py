"""What a request asks of its answer's structure: JSON of a schema, calls of functions, or plain text."""

from __future__ import annotations

from typing import Any, Protocol

from hoonify_backends.generation.sampling import LogitsProcessor
from hoonify_router.types import ChatRequest, FinishReason, ToolCall

Piece = str | ToolCall


class Output(Protocol):
    """Tells calls of functions from text while one answer grows."""

    def push(self, text: str) -> list[Piece]:
        """Take the next text and return what is certain now: text, and pieces of calls with index 0."""

    def finish(self, reason: FinishReason) -> tuple[list[Piece], FinishReason]:
        """Return what was held back, and why the answer ended: ``tool_calls`` where it made calls."""


class Structure:
    """One request's wishes, read and checked.

    Args:
        tools: What the chat template is told of, in OpenAI's form; ``None`` is no tools.
    """

    def __init__(self, tools: list[dict[str, Any]] | None = None) -> None:
        self.tools = tools

    def constraint(self) -> LogitsProcessor | None:
        """Return what lets only fitting tokens through, fresh for each answer; ``None`` lets all through.

        It comes after every other processor. ``apply`` raises a ``RouterError`` when the constraint got too
        complex to follow: the request fails then.
        """
        return None

    def output(self) -> Output | None:
        """Return what parses one answer's text, fresh for each; ``None`` where all of it is text."""
        return None


class Structures:
    """Reads requests for one model.

    Args:
        tokenizer: The model's ``tokenizers.Tokenizer``.
        vocabulary: How many scores the model gives for each token; may be more than the tokenizer knows.
        eos: Tokens that end an answer.
        tool_parser: Name of the format in which the model writes calls; ``None`` if it has none.
    """

    def __init__(
        self,
        tokenizer: Any,
        vocabulary: int,
        eos: frozenset[int],
        tool_parser: str | None = None,
    ) -> None:
        self.visible: frozenset[int] = frozenset()
        """Special tokens that the text of an answer must show: ``Structure.output`` looks for them."""

    def read(self, request: ChatRequest) -> Structure:
        """Return the structure that a request asks for.

        Raises:
            InvalidRequest: Or one of its kinds, with ``param``: the schema or the tools cannot be used.
        """
        return Structure()
