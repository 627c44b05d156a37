"""How many tokens a request will take, before anybody has counted them."""

from __future__ import annotations

from hoonify_router.types import InferenceRequest

_FIRST_GUESS = 4.0  # bytes of JSON per token of the prompt
_LEAST, _MOST = 1.0, 40.0
_LEARNING = 0.1
_IMAGE = b";base64,"
_IMAGE_TOKENS = 1000
_PLAIN = 4096  # bytes of a request with images that are taken to be text


class Estimator:
    """Guesses prompts from the size of their JSON, and learns each model's ratio from what engines count.

    An estimate is off by some ten percent once a model has answered a few requests; it is replaced by the real
    count when the request ends.

    Args:
        models: Catalog IDs; a ratio is kept for each, and for nothing else.
        answer_tokens: What a request that sets no limit is taken to be answered with.
    """

    def __init__(self, models: frozenset[str], answer_tokens: int) -> None:
        self._ratios = dict.fromkeys(models, _FIRST_GUESS)
        self._answer_tokens = answer_tokens

    def prompt(self, request: InferenceRequest, body: bytes) -> int:
        """Return the estimated tokens of a request's prompt, at least 1."""
        if _IMAGE in body:
            return _PLAIN // 4 + body.count(_IMAGE) * _IMAGE_TOKENS
        return max(1, int(len(body) / self._ratios.get(request.model, _FIRST_GUESS)))

    def answer(self, request: InferenceRequest) -> int:
        """Return the tokens that the answers may take."""
        if request.task == "embedding":
            return 0
        limit: int | None = request.token_limit  # type: ignore[union-attr]
        return (self._answer_tokens if limit is None else limit) * request.choices

    def learn(self, request: InferenceRequest, body: bytes, prompt_tokens: int) -> None:
        """Take in what an engine counted."""
        ratio = self._ratios.get(request.model)
        if ratio is None or prompt_tokens < 1 or _IMAGE in body:
            return
        seen = min(_MOST, max(_LEAST, len(body) / prompt_tokens))
        self._ratios[request.model] = ratio + _LEARNING * (seen - ratio)
