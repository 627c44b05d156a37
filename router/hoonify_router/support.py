"""What a home cannot honour is refused by name, never dropped."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NoReturn

from hoonify_router.errors import Unsupported, WrongEndpoint
from hoonify_router.types import (
    CORE_PARAMETERS,
    AudioPart,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    InferenceRequest,
    Task,
)

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([],),
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "top_k": (-1, 0),
    "min_p": (0,),
    "repetition_penalty": (1,),
    "ignore_eos": (False,),
    "chat_template_kwargs": ({},),
    "echo": (False,),
    "suffix": ("",),
}
"""Values that ask for nothing: a home without the parameter answers just the same."""

_NEVER_NEUTRAL: dict[Task, frozenset[str]] = {
    "completion": frozenset(
        {"logprobs"}
    ),  # there it is a count, and 0 asks for those that were sampled
}
"""Exceptions, because ``0 == False``."""

_NEUTRAL_AS = {"best_of": "n"}
"""Fields that ask for nothing while they are equal to another: the best n of n are all."""

_NEUTRAL_WITHOUT = {
    "tool_choice": "tools",
    "parallel_tool_calls": "tools",
    "function_call": "functions",
}
"""Fields that mean nothing while the field they speak of is empty."""


_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
"""One limit under two names."""

_KINDS: tuple[type[InferenceRequest], ...] = (ChatRequest, CompletionRequest, EmbeddingRequest)
_PATHS: dict[Task, str] = {
    "chat": "/v1/chat/completions",
    "completion": "/v1/completions",
    "embedding": "/v1/embeddings",
}


class _Fields:
    """Which fields of one kind of request a home does not honour.

    Args:
        kind: The kind of request.
        parameters: The fields that it honours; ``None`` lets it decide itself.
    """

    def __init__(self, kind: type[InferenceRequest], parameters: frozenset[str] | None) -> None:
        self._missing: tuple[str, ...] = ()
        self._never_neutral = _NEVER_NEUTRAL.get(kind.task, frozenset())
        self._values: Callable[[Any], tuple[Any, ...]] | None = None
        if parameters is not None:
            known = parameters | CORE_PARAMETERS
            self._missing = tuple(f for f in kind.__struct_fields__ if f not in known)
        if len(self._missing) > 1:  # with one name attrgetter returns no tuple
            self._values = attrgetter(*self._missing)

    def find_missing(self, request: InferenceRequest) -> str | None:
        """Return the first field that is set, asks for something, and is not honoured."""
        if self._values is not None:
            values = self._values(request)
            return None if values.count(None) == len(values) else self._find(request, values)
        if self._missing:
            return self._find(request, (getattr(request, self._missing[0]),))
        return None

    def _find(self, request: InferenceRequest, values: tuple[Any, ...]) -> str | None:
        for name, value in zip(self._missing, values, strict=True):
            if value is None:
                continue
            if value in _NEUTRAL.get(name, ()) and name not in self._never_neutral:
                continue
            equal = _NEUTRAL_AS.get(name)
            if equal is not None and value == (getattr(request, equal) or 1):
                continue
            about = _NEUTRAL_WITHOUT.get(name)
            if about is None or getattr(request, about):
                return name
        return None


class Support:
    """What one home can do for a request; made once per home and table.

    Args:
        model: Catalog ID, for the message.
        parameters: Request fields that the home honours; ``None`` lets it decide itself.
        images: Whether the model takes images.
        tasks: What the home may be asked for.

    Attributes:
        tasks: What the home may be asked for.
        parameters: Request fields that have an effect there; ``None`` if it decides itself.
        images: Whether images go there.
    """

    def __init__(
        self,
        model: str,
        parameters: frozenset[str] | None,
        images: bool,
        tasks: frozenset[Task] = frozenset({"chat"}),
    ) -> None:
        if parameters is not None and not parameters.isdisjoint(_LIMITS):
            parameters |= _LIMITS
        self.tasks = tasks
        self.parameters = parameters
        self._model = model
        self.images = images
        self._fields = {kind: _Fields(kind, parameters) for kind in _KINDS if kind.task in tasks}

    def check(self, request: InferenceRequest) -> None:
        """Refuse what the home cannot honour.

        Raises:
            WrongEndpoint: It does something else altogether.
            Unsupported: With the name of the parameter.
        """
        fields = self._fields.get(type(request))
        if fields is None:
            self._refuse_task(request)
        name = fields.find_missing(request)
        if name is not None:
            self._refuse(name, f"the model '{self._model}' cannot honour it here")
        if type(request) is ChatRequest:
            if request.store:
                self._refuse("store", "the router keeps no answers")
            for number, message in enumerate(request.messages):
                if type(message.content) is list:
                    self._check_parts(message.content, number)
                if message.audio is not None and self.parameters is not None:
                    param = f"messages[{number}].audio"
                    self._refuse(param, f"the model '{self._model}' has no spoken answers")

    def _refuse_task(self, request: InferenceRequest) -> NoReturn:
        served = [_PATHS[kind.task] for kind in self._fields]
        raise WrongEndpoint(
            f"The model '{self._model}' is not served by {_PATHS[request.task]}; it is by"
            f" {' and '.join(served)}.",
            param="model",
        )

    def _check_parts(self, parts: list[Any], number: int) -> None:
        for place, part in enumerate(parts):
            kind = type(part)
            if kind is ImagePart:
                if not self.images:
                    param = f"messages[{number}].content[{place}]"
                    self._refuse(param, f"the model '{self._model}' takes no images")
            elif kind is AudioPart or kind is FilePart:
                param = f"messages[{number}].content[{place}]"
                self._refuse(param, f"no sound and no files are taken by '{self._model}'")

    def _refuse(self, param: str, why: str) -> NoReturn:
        raise Unsupported(f"Unsupported parameter: '{param}': {why}.", param=param)
