"""A request of OpenAI's older kind: a text goes on, without roles and turns."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from hoonify_router.types.parameters import (
    INT64,
    Choices,
    FrequencyPenalty,
    IgnoreEos,
    LogitBias,
    MinP,
    Model,
    PresencePenalty,
    RepetitionPenalty,
    Seed,
    Stop,
    Stream,
    StreamOptionsField,
    Task,
    Temperature,
    Token,
    Tokens,
    TopK,
    TopP,
    User,
    says,
)

Prompt = str | Annotated[list[str | Token | Tokens], Meta(min_length=1)]
"""One text, several texts, one text as tokens, or several as tokens; a list holds one kind only."""


class CompletionRequest(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/completions``. ``None`` means that the client left the field out."""

    model: Model
    prompt: Annotated[
        Prompt,
        says(
            "The text that goes on, as text or as token ids.",
            value="string, list of at most 2048 strings, list of token ids, or list of at most 2048 such lists",
        ),
    ]
    stream: Stream = None
    stream_options: StreamOptionsField = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=0, le=INT64)] | None,
        says(
            "Tokens that each answer may have at most; 0 only together with `echo: true`.",
            "16",
        ),
    ] = None
    temperature: Temperature = None
    top_p: TopP = None
    n: Choices = None
    best_of: Annotated[
        Annotated[int, Meta(ge=1, le=20)] | None,
        says("Answers to make, of which the `n` likeliest are sent; at least `n`.", "`n`"),
    ] = None
    echo: Annotated[bool | None, says("Send the prompt before the answer.", "`false`")] = None
    suffix: Annotated[str | None, says("What comes after the text that is to be filled in.")] = None
    seed: Seed = None
    stop: Stop = None
    frequency_penalty: FrequencyPenalty = None
    presence_penalty: PresencePenalty = None
    logit_bias: LogitBias = None
    logprobs: Annotated[
        Annotated[int, Meta(ge=0, le=5)] | None,
        says("Tell the log probability of each token, and of this many likeliest at its place."),
    ] = None
    user: User = None
    # extras that clients of open models expect
    top_k: TopK = None
    min_p: MinP = None
    repetition_penalty: RepetitionPenalty = None
    ignore_eos: IgnoreEos = None

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
