"""Values that have the right shape and make no sense together; ranges stand at the fields themselves."""

from __future__ import annotations

from operator import attrgetter

from hoonify_router.errors import Unsupported
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    InferenceRequest,
    Prompt,
    StreamOptions,
)
from hoonify_router.types.parameters import MAX_PROMPTS
from hoonify_router.validation_complaints import impossible, wrong_type
from hoonify_router.validation_messages import check_messages
from hoonify_router.validation_tools import SHAPED, check_shapes

_RARE = ("stream_options", "top_logprobs", "logit_bias", *SHAPED)
_rare = attrgetter(*_RARE)
_NONE_OF_THEM = (None,) * len(_RARE)


def check_values(request: InferenceRequest) -> None:
    """Refuse a request whose values no model could honour.

    Raises:
        InvalidRequest: One of its kinds, most often ``InvalidValue``, with ``param``.
    """
    if isinstance(request, ChatRequest):
        _check_chat(request)
    elif isinstance(request, CompletionRequest):
        _check_completion(request)
    else:
        _check_prompts("input", request.input)


def _check_chat(chat: ChatRequest) -> None:
    if _rare(chat) != _NONE_OF_THEM:
        _check_stream(chat.stream, chat.stream_options)
        if chat.top_logprobs and not chat.logprobs:
            raise impossible("top_logprobs", "it is only allowed when 'logprobs' is true")
        if chat.logit_bias:
            _check_tokens(chat.logit_bias)
        check_shapes(chat)
    check_messages(chat.messages)


def _check_completion(request: CompletionRequest) -> None:
    _check_stream(request.stream, request.stream_options)
    if request.logit_bias:
        _check_tokens(request.logit_bias)
    if request.max_tokens == 0 and not request.echo:
        raise impossible("max_tokens", "it may be 0 only when 'echo' is true")
    if request.best_of is not None:
        answers = request.n or 1
        if request.best_of < answers:
            raise impossible("best_of", f"it must be at least 'n', which is {answers}")
        if request.stream and request.best_of > answers:
            raise impossible("best_of", "the best answers cannot be known while they are streamed")
    _check_prompts("prompt", request.prompt)
    if request.choices > MAX_PROMPTS:
        raise impossible(
            "n",
            f"at most {MAX_PROMPTS} answers are allowed, not 'n' times the prompts, which is"
            f" {request.choices}",
        )


def _check_stream(stream: bool | None, options: StreamOptions | None) -> None:
    if options is None:
        return
    if not stream:
        raise impossible("stream_options", "it is only allowed when 'stream' is true")
    if options.include_obfuscation:
        param = "stream_options.include_obfuscation"
        raise Unsupported(f"The parameter '{param}' is not supported here.", param=param)


def _check_tokens(bias: dict[str, float]) -> None:
    for token in bias:
        if not (token.isascii() and token.isdigit()):
            raise impossible(f"logit_bias.{token}", "its keys must be token ids")


def _check_prompts(name: str, given: Prompt) -> None:
    """Refuse a list of several kinds, of too many, and inputs in which nothing is."""
    if isinstance(given, str):
        if not given and name == "input":
            raise impossible(name, "it must not be empty")
        return
    kinds = set(map(type, given))
    if len(kinds) > 1:
        place = next(at for at, one in enumerate(given) if type(one) is not type(given[0]))
        raise wrong_type(f"{name}[{place}]", "the same type as the items before it")
    if int not in kinds:
        if len(given) > MAX_PROMPTS:
            raise impossible(name, f"at most {MAX_PROMPTS} are allowed, not {len(given)}")
        if name == "input" and "" in given:
            raise impossible(f"{name}[{given.index('')}]", "it must not be empty")
