"""A request of OpenAI's older kind: a text goes on, without roles and turns."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from hoonify_router.types.chat import StreamOptions, Task

Prompt = str | list[str | int | list[int]]
"""One text, several texts, one text as tokens, or several as tokens; a list holds one kind only."""


class CompletionRequest(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/completions``. ``None`` means that the client left the field out."""

    model: str
    prompt: Prompt
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    user: str | None = None
    # extras that clients of open models expect
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool | None = None

    task: ClassVar[Task] = "completion"

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, each as text or as tokens."""
        prompt = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        if prompt and isinstance(prompt[0], int):
            return [prompt]  # type: ignore[list-item]
        return prompt  # type: ignore[return-value]

    @property
    def streams(self) -> bool:
        """Whether the answer comes in pieces."""
        return bool(self.stream)

    @property
    def choices(self) -> int:
        """How many answers there will be: ``n`` for each prompt, those of the first prompt first."""
        return len(self.prompts) * (self.n or 1)

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for a usage chunk at the end of its stream."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def token_limit(self) -> int | None:
        """How many tokens the client allows for each answer at most."""
        return self.max_tokens
