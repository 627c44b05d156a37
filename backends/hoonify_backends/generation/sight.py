"""What a model that sees makes of a request's images, before its prompt is read."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from hoonify_backends.generation.pictures import decode, images_of, read_url
from hoonify_router.errors import InvalidRequest, InvalidValue
from hoonify_router.types import ChatRequest

_REMEMBERED = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """An image as a model takes it.

    Args:
        handle: What the engine gets along with the prompt.
        tokens: Returns the tokens that stand for it, by the place in the prompt at which they begin. Each is of this
            image alone, so that what an engine keeps of prompts fits the same image and no other.
        size: Bytes that it takes.
    """

    handle: Any
    tokens: Callable[[int], Sequence[int]]
    size: int


class Tower(Protocol):
    """The part of a model that sees; the engine's thread alone calls it."""

    around: str
    """Text that belongs before and after each image, beside the tokens of the image itself."""

    def look(self, image: Any) -> Seen:
        """Look at a ``PIL.Image`` in RGB."""


Call = Callable[[Callable[[], Seen]], Awaitable[Seen]]
"""Has something done in the engine's thread."""


class Sight:
    """Looks at images, and remembers them while there is room: conversations send theirs again with every turn.

    Args:
        tower: Looks.
        images: How many images a request may have.
        pixels: Pixels of an image; larger ones are made smaller.
        remembered: Bytes of what is remembered.
    """

    def __init__(
        self, tower: Tower, *, images: int, pixels: int, remembered: int = _REMEMBERED
    ) -> None:
        self._tower = tower
        self._images = images
        self._pixels = pixels
        self._room = remembered
        self._known: OrderedDict[bytes, Seen] = OrderedDict()
        self._decoding = asyncio.Semaphore(1)  # an image takes some hundred megabytes meanwhile

    async def look(self, request: ChatRequest, call: Call) -> list[Seen]:
        """Look at a request's images, and return them in their order.

        Raises:
            InvalidRequest: One of them cannot be read, or they are too many.
        """
        found: list[Seen] = []
        parts = list(images_of(request))
        if len(parts) > self._images:
            param = parts[self._images][0]
            raise InvalidValue(
                f"Invalid value for '{param}': a request to this model has at most {self._images} images,"
                f" and this one has {len(parts)}.",
                param=param,
            )
        for param, part in parts:
            image = await asyncio.to_thread(read_url, param, part)
            seen = self._known.get(image.digest)
            if seen is None:
                async with self._decoding:
                    pixels = await asyncio.to_thread(decode, image, self._pixels)
                seen = await call(partial(self._tower.look, pixels))
                if image.digest in self._known:  # another was quicker
                    seen = self._known[image.digest]
                else:
                    self._known[image.digest] = seen
                    self._room -= seen.size
            self._known.move_to_end(image.digest)
            found.append(seen)
        while self._room < 0 and self._known:
            self._room += self._known.popitem(last=False)[1].size
        return found


class ImageMarks:
    """Where images stand in a prompt's text, and what is put there.

    Args:
        tokenizer: A ``tokenizers.Tokenizer`` of its own, like the model's.
        around: Text that belongs before and after each image.

    Attributes:
        mark: Stands for an image in the text; nobody can guess it.
    """

    def __init__(self, tokenizer: Any, around: str = "") -> None:
        from tokenizers import AddedToken

        self.mark = f"<|image {secrets.token_hex(12)}|>"
        tokenizer.add_special_tokens([AddedToken(self.mark, special=True, normalized=False)])
        self._tokenizer = tokenizer
        self._token = tokenizer.token_to_id(self.mark)
        self._around = around

    def encode(self, text: str, images: Sequence[Seen]) -> list[int]:
        """Return a prompt's tokens, with the images' in their places.

        Raises:
            InvalidRequest: The chat template has left out an image, or has put one twice.
        """
        if text.count(self.mark) != len(images):
            raise InvalidRequest(
                "The model's chat template cannot place these images; it takes none in a message of that"
                " role.",
                param="messages",
            )
        if self._around:
            text = text.replace(self.mark, f"{self._around}{self.mark}{self._around}")
        tokens: list[int] = []
        coming = iter(images)
        for token in self._tokenizer.encode(text, add_special_tokens=False).ids:
            if token == self._token:
                tokens += next(coming).tokens(len(tokens))
            else:
                tokens.append(token)
        return tokens
