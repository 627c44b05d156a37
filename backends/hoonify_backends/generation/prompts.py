"""From a request to what an engine needs: tokens, sampling, limits, form; or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hoonify_backends.generation.detokenizer import Detokenizer
from hoonify_backends.generation.plan import Plan, Prompt
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.generation.sight import ImageMarks, Seen
from hoonify_backends.generation.structure import Structures
from hoonify_backends.generation.template import ChatTemplate
from hoonify_backends.generation.wishes import (
    read_bias,
    read_chat_watch,
    read_completion_watch,
    read_limit,
    read_penalty,
    read_stops,
    refuse_foreign,
)
from hoonify_router.errors import ContextLengthExceeded, InvalidValue
from hoonify_router.types import ChatRequest, CompletionRequest

_COMPLETION_TOKENS = 16  # OpenAI's default for completions; a chat's is the rest of the context
_INLINE_CHARACTERS = 16_384
_INLINE_ANSWERS = 16
_INLINE_BIASES = 256


class PromptReader:
    """Reads requests for one model.

    Args:
        template: The model's chat template.
        tokenizer: Its ``tokenizers.Tokenizer``.
        structures: Reads what form the answers shall have.
        defaults: Sampling where the client says nothing.
        eos: Tokens that end an answer.
        context_length: Tokens that prompt and answer may take together.
        vocabulary: How many scores the model gives for each token.
        marks: Finds the places of images, whose mark the template has too; ``None`` where the model sees none.
    """

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: Any,
        structures: Structures,
        *,
        defaults: Sampling,
        eos: frozenset[int],
        context_length: int,
        vocabulary: int,
        marks: ImageMarks | None = None,
    ) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._structures = structures
        self._detokenizer = Detokenizer(tokenizer)
        visible = structures.visible
        self._revealing = Detokenizer(tokenizer, visible) if visible else self._detokenizer
        self._defaults = defaults
        self._eos = eos
        self._context_length = context_length
        self._vocabulary = vocabulary
        self._marks = marks

    def read(self, request: ChatRequest | CompletionRequest, images: Sequence[Seen] = ()) -> Plan:
        """Return what the request asks for; see ``is_long`` for where to call it.

        Args:
            request: What came.
            images: Its images, as the model has seen them.

        Raises:
            ContextLengthExceeded: A prompt leaves no room for an answer.
            InvalidRequest: Messages or parameters cannot be served.
        """
        if isinstance(request, ChatRequest):
            return self._read_chat(request, images)
        return self._read_completion(request)

    def _read_chat(self, request: ChatRequest, images: Sequence[Seen]) -> Plan:
        limit = read_limit(request)
        watched = read_chat_watch(request)
        sampling, stops = self._sampling(request), read_stops(request)
        structure = None
        if has_structure(request):
            structure = self._structures.read(request)
        tools = None if structure is None else structure.tools
        text = self._template.render(request.messages, request.chat_template_kwargs, tools)
        words = None
        if self._marks is None or not images:
            tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
        else:
            tokens = self._marks.encode(text, images)
            words = [token for token in tokens if token < self._vocabulary]
        if not tokens:
            raise InvalidValue("The messages are empty.", param="messages")
        room = self._room(tokens, "messages", "messages")
        prompt = Prompt(
            tokens,
            room if limit is None else min(limit, room),
            images=tuple(image.handle for image in images),
            words=words,
        )
        return Plan(
            prompts=(prompt,),
            n=request.n or 1,
            sampling=sampling,
            detokenizer=self._detokenizer if structure is None else self._revealing,
            eos=frozenset() if request.ignore_eos else self._eos,
            stops=stops,
            watched=watched,
            structure=structure,
        )

    def _read_completion(self, request: CompletionRequest) -> Plan:
        refuse_foreign(request)
        limit = read_limit(request)
        watched = read_completion_watch(request)
        prompts = request.prompts
        several = len(prompts) > 1
        return Plan(
            prompts=tuple(
                self._prompt(
                    prompt,
                    f"prompt[{place}]" if several else "prompt",
                    _COMPLETION_TOKENS if limit is None else limit,
                    bool(request.echo),
                )
                for place, prompt in enumerate(prompts)
            ),
            n=request.n or 1,
            sampling=self._sampling(request),
            detokenizer=self._detokenizer,
            eos=frozenset() if request.ignore_eos else self._eos,
            stops=read_stops(request),
            watched=watched,
        )

    def _prompt(self, prompt: str | list[int], param: str, limit: int, echo: bool) -> Prompt:
        if isinstance(prompt, str):
            tokens, opening = self._tokenizer.encode(prompt).ids, prompt
        else:
            for place, token in enumerate(prompt):
                if not 0 <= token < self._vocabulary:
                    raise InvalidValue(
                        f"{token} is no token of this model: they go from 0 to {self._vocabulary - 1}.",
                        param=f"{param}[{place}]",
                    )
            tokens = prompt
            opening = self._tokenizer.decode(prompt, skip_special_tokens=False) if echo else ""
        if not tokens:
            raise InvalidValue("A prompt must not be empty.", param=param)
        return Prompt(
            tokens, min(limit, self._room(tokens, "prompt", param)), opening if echo else ""
        )

    def _room(self, tokens: list[int], what: str, param: str) -> int:
        room = self._context_length - len(tokens)
        if room < 1:
            raise ContextLengthExceeded(
                f"This model's maximum context length is {self._context_length} tokens, but the {what}"
                f" {'have' if what == 'messages' else 'has'} {len(tokens)} tokens. Please shorten the"
                f" {what}.",
                param=param,
            )
        return room

    def _sampling(self, request: ChatRequest | CompletionRequest) -> Sampling:
        defaults = self._defaults

        def wish(name: str) -> Any:
            value = getattr(request, name)
            return getattr(defaults, name) if value is None else value

        return Sampling(
            temperature=wish("temperature"),
            top_p=wish("top_p"),
            top_k=max(0, wish("top_k")),  # -1 is another way to say no limit
            min_p=wish("min_p"),
            repetition_penalty=read_penalty(request) or defaults.repetition_penalty,
            seed=request.seed,
            frequency_penalty=request.frequency_penalty or 0.0,
            presence_penalty=request.presence_penalty or 0.0,
            logit_bias=read_bias(request, self._vocabulary) if request.logit_bias else (),
        )


def has_structure(request: ChatRequest) -> bool:
    """Tell whether a request says anything of its answer's form."""
    return bool(
        request.response_format is not None
        or request.tools
        or request.tool_choice is not None
        or request.parallel_tool_calls is not None
    )


def is_long(request: ChatRequest | CompletionRequest) -> bool:
    """Tell whether reading a request may take so long that it belongs in a thread, off the event loop."""
    if request.choices > _INLINE_ANSWERS or len(request.logit_bias or ()) > _INLINE_BIASES:
        return True
    if isinstance(request, CompletionRequest):
        return sum(map(len, request.prompts)) > _INLINE_CHARACTERS
    if has_structure(request):
        return True
    total = 0
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            total += len(content)
        elif content is not None:
            total += sum(len(getattr(part, "text", "")) for part in content)
    return total > _INLINE_CHARACTERS
