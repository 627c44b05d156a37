"""Images for requests."""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

from PIL import Image

from hoonify_router.types import ImagePart, ImageURL, Message, TextPart

Detail = Literal["auto", "low", "high", "original"]


def file_of(image: Any, form: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Return a file as a URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def part(url: str, detail: Detail | None = None) -> ImagePart:
    """Return a message's part for a URL."""
    return ImagePart(ImageURL(url, detail))


def plain(color: str, size: tuple[int, int] = (60, 40)) -> ImagePart:
    """Return an image of one colour."""
    return part(data_url(file_of(Image.new("RGB", size, color))))


def about(*content: str | ImagePart) -> list[Message]:
    """Return a conversation of one message, of texts and images."""
    return [Message("user", [TextPart(one) if isinstance(one, str) else one for one in content])]
