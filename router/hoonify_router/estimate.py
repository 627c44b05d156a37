"""How many tokens a prompt has, before anybody has counted them."""

from __future__ import annotations

_FIRST_GUESS = 4.0  # bytes of JSON per token
_LEAST, _MOST = 1.0, 40.0
_LEARNING = 0.1
_IMAGE = b";base64,"
_IMAGE_TOKENS = 1000
_PLAIN_TOKENS = 1024  # of a request with images


class Estimator:
    """Guesses prompts from the size of their JSON, and learns each model's ratio from what engines count.

    An estimate is off by some ten percent once a model has answered a few requests.
    """

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def prompt(self, model: str, body: bytes) -> int:
        """Return the estimated tokens of a request's prompt, at least 1.

        Args:
            model: What the request asks for; it need not exist.
            body: The whole request.
        """
        if _IMAGE in body:
            return _PLAIN_TOKENS + body.count(_IMAGE) * _IMAGE_TOKENS
        return int(len(body) / self._ratios.get(model, _FIRST_GUESS)) or 1

    def learn(self, model: str, body: bytes, prompt_tokens: int) -> None:
        """Take in what an engine counted.

        Args:
            model: A model of the catalog; a ratio is kept for each.
            body: The whole request.
            prompt_tokens: The engine's count.
        """
        if prompt_tokens < 1 or _IMAGE in body:
            return
        ratio = self._ratios.get(model, _FIRST_GUESS)
        seen = min(_MOST, max(_LEAST, len(body) / prompt_tokens))
        self._ratios[model] = ratio + _LEARNING * (seen - ratio)
