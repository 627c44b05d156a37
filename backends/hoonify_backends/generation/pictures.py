"""Images of a request: from ``data:`` URLs to pixels, within bounds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from hoonify_router.errors import InvalidValue, Unsupported
from hoonify_router.types import ChatRequest, ImagePart

_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_LARGEST = 50_000_000  # pixels; a file of a few bytes may claim any number of them
_LONGEST_EDGE = 8192
_SHORTEST_EDGE = 32  # what models' makers cut images into is hardly larger
_SLIMMEST = 100  # times as long as wide
_LOW_EDGE = 512  # of an image with ``detail: low``
_SIXTEEN_BITS = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image as it came.

    Args:
        data: The file.
        param: Where in the request it stands.
        low: Whether few details are enough.
        digest: The same for the same image only.
    """

    data: bytes
    param: str
    low: bool
    digest: bytes


def images_of(request: ChatRequest) -> Iterator[tuple[str, ImagePart]]:
    """Yield a request's images in their order, each with its place in the request."""
    for number, message in enumerate(request.messages):
        if isinstance(message.content, list):
            for place, part in enumerate(message.content):
                if isinstance(part, ImagePart):
                    yield f"messages[{number}].content[{place}]", part


def read_url(param: str, part: ImagePart) -> Encoded:
    """Return what an image's URL holds.

    Raises:
        InvalidValue: It is no ``data:`` URL of an image.
        Unsupported: It would have to be fetched: a client could have this machine ask any other, and read the answer.
    """
    url, param = part.image_url.url, f"{param}.image_url.url"
    head = _DATA.match(url)
    if head is None:
        if not url[:5].lower() == "data:":
            raise Unsupported(
                f"Unsupported parameter: '{param}': images are not fetched from other addresses here. Send"
                " the image itself as a data: URL, such as data:image/png;base64,... .",
                param=param,
            )
        _refuse(param, "a data: URL of an image begins with data:image/TYPE;base64,")
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        _refuse(param, "what follows base64, is not valid base64")
    low = part.image_url.detail == "low"
    digest = hashlib.blake2b(data, digest_size=20, key=b"low" if low else b"").digest()
    return Encoded(data, param, low, digest)


def decode(image: Encoded, most: int) -> Any:
    """Return an image's pixels as a ``PIL.Image`` in RGB, upright, and of a size that models take.

    It takes a few milliseconds, or some hundred for a large one.

    Args:
        image: What came.
        most: Pixels that it may have; a larger one is made smaller.

    Raises:
        InvalidValue: It is no image, or one that is not to be opened.
    """
    import io

    from PIL import Image, ImageOps

    param = image.param
    try:
        opened = Image.open(io.BytesIO(image.data), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _refuse(param, f"the image has more than {_LARGEST} pixels")
    except Exception:  # whatever its decoders stumble over
        _refuse(param, "it is no PNG, JPEG, WebP or GIF image")
    with opened:
        width, height = opened.size
        if width * height > _LARGEST:
            _refuse(param, f"the image has {width} x {height} pixels, more than {_LARGEST}")
        if max(width, height) > _SLIMMEST * min(width, height):
            _refuse(
                param,
                f"the image has {width} x {height} pixels: it is more than {_SLIMMEST} times as long as"
                " it is wide",
            )
        size = fitting_size(width, height, most, low=image.low)
        try:
            if getattr(opened, "is_animated", False):
                _refuse(param, "the image is animated; only still ones are read")
            opened.draft("RGB", size)  # a JPEG is read at a smaller scale at once
            flat = _flat(opened)
            if flat.size != size:
                flat = flat.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
            upright: Any = ImageOps.exif_transpose(flat)
        except InvalidValue:
            raise
        except Exception:
            _refuse(param, "the image is damaged")
    return upright


def fitting_size(width: int, height: int, most: int, *, low: bool) -> tuple[int, int]:
    """Return the size that an image gets, which is nearly always its own.

    Args:
        width: Its width.
        height: Its height.
        most: Pixels that it may have.
        low: Whether few details are enough.
    """
    edge = _LOW_EDGE if low else _LONGEST_EDGE
    scale = min(1.0, (most / (width * height)) ** 0.5, edge / max(width, height))
    scale = max(scale, _SHORTEST_EDGE / min(width, height))
    if scale == 1.0:
        return width, height
    return (
        max(_SHORTEST_EDGE, int(width * scale)),
        max(_SHORTEST_EDGE, int(height * scale)),
    )


def _flat(image: Any) -> Any:
    """Return an image in RGB, upon white where it lets the ground show through; its orientation is kept."""
    from PIL import Image

    exif = image.getexif()
    if image.mode in _SIXTEEN_BITS:
        import numpy as np

        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert(
            "RGB"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image)
    else:
        flat = image.convert("RGB")
    flat.info["exif"] = exif.tobytes()
    return flat


def _refuse(param: str, why: str) -> NoReturn:
    raise InvalidValue(f"Invalid value for '{param}': {why}.", param=param)
