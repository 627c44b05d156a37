"""From a chat request to what the scheduler needs: tokens, sampling, limits; or a refusal."""

from __future__ import annotations

from typing import Any

from hoonify_backends.generation.answer import Answer
from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.sampling import Chooser, Sampling
from hoonify_backends.generation.template import ChatTemplate
from hoonify_backends.onnxruntime.model_folder import Search
from hoonify_backends.onnxruntime.options import SamplingDefaults
from hoonify_backends.onnxruntime.scheduler import Job
from hoonify_router.errors import ContextLengthExceeded, InvalidValue
from hoonify_router.types import ChatRequest

HONOURED = frozenset(
    {
        "chat_template_kwargs",
        "ignore_eos",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "repetition_penalty",
        "seed",
        "stop",
        "temperature",
        "top_k",
        "top_p",
    }
)
"""Request fields that this engine honours, besides those that the router takes care of."""


def default_sampling(own: SamplingDefaults, search: Search) -> Sampling:
    """Return what counts where the client says nothing: the operator's wish, or else the model's own.

    A model whose ``search`` says ``do_sample: false`` answers greedily; the limits beside it mean nothing then.
    """
    neutral = Sampling()
    sampled = search if search.do_sample else Search(temperature=0.0)

    def first(name: str) -> Any:
        for value in (getattr(own, name), getattr(sampled, name)):
            if value is not None:
                return value
        return getattr(neutral, name)

    return Sampling(
        temperature=first("temperature"),
        top_p=first("top_p"),
        top_k=first("top_k"),
        min_p=first("min_p"),
        repetition_penalty=(
            own.repetition_penalty or search.repetition_penalty or neutral.repetition_penalty
        ),
    )


class PromptReader:
    """Reads requests for one model.

    Args:
        template: The model's chat template.
        tokenizer: Its ``tokenizers.Tokenizer``.
        defaults: Sampling where the client says nothing.
        eos: Tokens that end an answer.
        context_length: Tokens that prompt and answer may take together.
    """

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: Any,
        *,
        defaults: Sampling,
        eos: frozenset[int],
        context_length: int,
    ) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._defaults = defaults
        self._eos = eos
        self._context_length = context_length

    def read(self, request: ChatRequest) -> Job:
        """Return the request as a job for the scheduler.

        Raises:
            ContextLengthExceeded: The prompt leaves no room for an answer.
            InvalidRequest: Messages or parameters cannot be served.
        """
        text = self._template.render(request.messages, request.chat_template_kwargs)
        prompt = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not prompt:
            raise InvalidValue("The messages are empty.", param="messages")
        room = self._context_length - len(prompt)
        if room < 1:
            raise ContextLengthExceeded(
                f"This model's maximum context length is {self._context_length} tokens, but the"
                f" messages have {len(prompt)} tokens. Please shorten the messages.",
                param="messages",
            )
        answer = Answer(
            self._detokenizer.new(),
            limit=min(_token_limit(request) or room, room),
            eos=frozenset() if request.ignore_eos else self._eos,
            stops=_stops(request),
        )
        return Job(prompt, Chooser(self._sampling(request), prompt), answer)

    def _sampling(self, request: ChatRequest) -> Sampling:
        defaults = self._defaults

        def wish(name: str) -> Any:
            value = getattr(request, name)
            return getattr(defaults, name) if value is None else value

        if request.repetition_penalty is not None and request.repetition_penalty <= 0:
            raise InvalidValue(
                "repetition_penalty must be greater than 0.", param="repetition_penalty"
            )
        return Sampling(
            temperature=wish("temperature"),
            top_p=wish("top_p"),
            top_k=max(0, wish("top_k")),  # -1 is another way to say no limit
            min_p=wish("min_p"),
            repetition_penalty=wish("repetition_penalty"),
            seed=request.seed,
        )


def _token_limit(request: ChatRequest) -> int | None:
    limit = request.token_limit
    if limit is not None and limit < 1:
        newer = request.max_completion_tokens is not None
        name = "max_completion_tokens" if newer else "max_tokens"
        raise InvalidValue(f"{name} must be at least 1.", param=name)
    return limit


def _stops(request: ChatRequest) -> list[str]:
    stop = request.stop
    if stop is None:
        return []
    stops = [stop] if isinstance(stop, str) else stop
    if not all(stops):
        raise InvalidValue("A stop string must not be empty.", param="stop")
    return stops
