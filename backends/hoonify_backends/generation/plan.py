"""What a request asks of an engine, in the engine's own terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.chooser import Chooser
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.jobs import Job
from hoonify_backends.generation.sampling import Sampling

if TYPE_CHECKING:
    from hoonify_backends.generation.structure import Structure


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a request.

    Args:
        tokens: The prompt.
        limit: Tokens that each of its answers may have at most; 0 only where no answer is wanted.
        opening: Text that stands before each of its answers.
        images: What the engine gets of its images.
        words: Those of its tokens that the vocabulary has, where images have tokens of their own.
    """

    tokens: list[int]
    limit: int
    opening: str = ""
    images: tuple[Any, ...] = ()
    words: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A request, read and checked.

    An engine that chooses tokens with ``sampler`` takes ``jobs``; one that has a sampler of its own takes
    the fields.

    Args:
        prompts: What is to be continued.
        n: Answers to each.
        sampling: How tokens are chosen.
        detokenizer: What makes text of them.
        eos: Tokens that end an answer.
        stops: Strings that end an answer.
        watched: How many of the likeliest tokens are told with each; ``None`` where log probabilities are not.
        structure: What form the answers have; ``None`` is any.
    """

    prompts: tuple[Prompt, ...]
    n: int
    sampling: Sampling
    detokenizer: Detokenizer
    eos: frozenset[int] = frozenset()
    stops: tuple[str, ...] = ()
    watched: int | None = None
    structure: Structure | None = None

    def jobs(self) -> Iterator[Job]:
        """Yield what makes each answer, those of the first prompt first."""
        structure = self.structure
        for place, prompt in enumerate(self.prompts):
            for choice in range(self.n):
                chooser = Chooser(
                    self.sampling,
                    prompt.tokens if prompt.words is None else prompt.words,
                    choice=choice,
                    constraint=None if structure is None else structure.constraint(),
                    watched=self.watched,
                )
                answer = Answer(
                    self.detokenizer.new(),
                    limit=prompt.limit,
                    eos=self.eos,
                    stops=self.stops,
                    index=place * self.n + choice,
                    opening=prompt.opening,
                    output=None if structure is None else structure.output(),
                    told=self.watched is not None,
                )
                yield Job(prompt.tokens, chooser, answer, prompt.images)
