"""One answer on its way through an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.logprobs import Score
from hoonify_router.types import Event


class Job:
    """One answer and all that it takes to make it.

    Answers of one prompt share the very same ``prompt`` object.

    Args:
        prompt: Tokens of the prompt.
        chooser: How its tokens are chosen.
        answer: Where they go.
        images: What the engine gets of the prompt's images.
    """

    __slots__ = (
        "answer",
        "cached",
        "chooser",
        "ended",
        "images",
        "prompt",
        "prompt_length",
        "tokens",
    )

    def __init__(
        self,
        prompt: Sequence[int],
        chooser: Chooser,
        answer: Answer,
        images: tuple[Any, ...] = (),
    ) -> None:
        self.prompt = prompt
        self.prompt_length = len(prompt)
        self.tokens = list(prompt)  # prompt and answer
        self.chooser = chooser
        self.answer = answer
        self.images = images
        self.cached = 0  # tokens of the prompt that did not have to be read
        self.ended = False

    def take(self, token: int, score: Score | None = None) -> list[Event]:
        """Take the token that was chosen and return what may go out."""
        self.tokens.append(token)
        chooser = self.chooser
        if chooser.constraint is None:
            return self.answer.push(token, score)
        if chooser.failure is not None:
            return []
        return self.answer.push(token, score, complete=chooser.constraint.complete)

    @property
    def over(self) -> bool:
        """Whether no more tokens are wanted of it."""
        return self.answer.finish is not None or self.chooser.failure is not None
