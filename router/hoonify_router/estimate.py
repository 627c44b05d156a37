"""How many tokens a prompt has, before anybody has counted them."""

from __future__ import annotations

from hoonify_router.types import ChatRequest, InferenceRequest

_FIRST_GUESS = 4.0  # bytes of JSON per token
_LEAST, _MOST = 1.0, 40.0
_LEARNING = 0.1
_IMAGE = b";base64,"
_IMAGE_TOKENS = 1000
_PLAIN_TOKENS = 1024  # of a request with images


def may_show(request: InferenceRequest) -> bool:
    """Tell whether a request may hold images: only a message in parts does."""
    if isinstance(request, ChatRequest):
        for message in request.messages:
            if type(message.content) is list:
                return True
    return False


class Estimator:
    """Guesses prompts from the size of their JSON, and learns each model's ratio from what engines count.

    An estimate is off by some ten percent once a model has answered a few requests.
    """

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def prompt(self, model: str, body: bytes, *, images: bool = True) -> int:
        """Return the estimated tokens of a request's prompt, at least 1.

        Args:
            model: What the request asks for; it need not exist.
            body: The whole request.
            images: Whether it may hold some. To look for them in a long text costs as much as all else of a request.
        """
        if images and _IMAGE in body:
            return _PLAIN_TOKENS + body.count(_IMAGE) * _IMAGE_TOKENS
        return int(len(body) / self._ratios.get(model, _FIRST_GUESS)) or 1

    def learn(self, model: str, body: bytes, prompt_tokens: int, *, images: bool = True) -> None:
        """Take in what an engine counted.

        Args:
            model: A model of the catalog; a ratio is kept for each.
            body: The whole request.
            prompt_tokens: The engine's count.
            images: Whether it may hold some.
        """
        if prompt_tokens < 1 or (images and _IMAGE in body):
            return
        ratio = self._ratios.get(model, _FIRST_GUESS)
        seen = min(_MOST, max(_LEAST, len(body) / prompt_tokens))
        self._ratios[model] = ratio + _LEARNING * (seen - ratio)
