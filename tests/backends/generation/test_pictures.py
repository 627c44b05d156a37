"""Images of a request, from URLs to pixels: what is read, and what is not even opened."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.backends.images import about, data_url, file_of, part, plain

from hoonify_backends.generation.pictures import decode, fitting_size, images_of, read_url
from hoonify_router.errors import InvalidValue, RouterError, Unsupported
from hoonify_router.types import ChatRequest, Message

PARAM = "messages[0].content[1]"
RED = Image.new("RGB", (60, 40), "red")


def pixels(data: bytes, most: int = 10**6, detail: Any = None, kind: str = "image/png") -> Any:
    """Return a file's pixels as a model gets them."""
    return decode(read_url(PARAM, part(data_url(data, kind), detail)), most)


def refusal(url: str, most: int = 10**6) -> RouterError:
    """Return the error for a URL, after a look at what it names."""
    with pytest.raises((InvalidValue, Unsupported)) as caught:
        decode(read_url(PARAM, part(url)), most)
    assert caught.value.param == f"{PARAM}.image_url.url"
    assert caught.value.param in caught.value.message
    return caught.value


def png(width: int, height: int) -> bytes:
    """Return a PNG file of a few bytes that claims a size."""
    chunks = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for name, body in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        chunks += struct.pack(">I", len(body)) + name + body
        chunks += struct.pack(">I", zlib.crc32(name + body))
    return chunks


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_four_forms_of_the_web(form: str) -> None:
    """Whatever the URL calls them, as clients often guess."""
    seen = pixels(file_of(RED, form), kind="image/png")
    assert (seen.mode, seen.size) == ("RGB", (60, 40))
    assert np.abs(np.asarray(seen).astype(int) - (255, 0, 0)).max() < 8


def test_images_are_found_in_their_order() -> None:
    """With their places in the request."""
    red, blue = plain("red"), plain("blue")
    request = ChatRequest(
        "m", [*about("one", red), Message("assistant", "Yes."), *about(blue, "two", red)]
    )
    assert list(images_of(request)) == [
        ("messages[0].content[1]", red),
        ("messages[2].content[0]", blue),
        ("messages[2].content[2]", red),
    ]


@pytest.mark.parametrize(
    "url",
    ["https://example.com/a.png", "http://127.0.0.1:8000/", "file:///etc/passwd", "a.png"],
)
def test_nothing_is_fetched(url: str) -> None:
    """A client could have the machine ask any other, and read the answer."""
    problem = refusal(url)
    assert isinstance(problem, Unsupported)
    assert "Send the image itself as a data: URL" in problem.message
    assert url not in problem.message


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data:text/plain;base64,AAAA", "begins with data:image/TYPE;base64,"),
        ("data:image/png,AAAA", "begins with data:image/TYPE;base64,"),
        ("data:image/png;base64,%%%%", "not valid base64"),
        ("data:image/png;base64,AAA", "not valid base64"),
        ("data:image/png;base64,é", "not valid base64"),
        ("data:image/png;base64,", "no PNG, JPEG, WebP or GIF"),
        (data_url(b"nothing at all"), "no PNG, JPEG, WebP or GIF"),
        (data_url(file_of(RED, "BMP"), "image/bmp"), "no PNG, JPEG, WebP or GIF"),
        (data_url(file_of(RED, "TIFF"), "image/tiff"), "no PNG, JPEG, WebP or GIF"),
    ],
)
def test_what_is_no_image(url: str, why: str) -> None:
    """It is told, and where."""
    assert why in refusal(url).message


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_damaged_files(form: str) -> None:
    """Cut anywhere, they are the client's mistake, and nothing breaks."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    whole = file_of(noise, form)
    for length in range(1, len(whole) - 40, max(1, len(whole) // 23)):
        message = refusal(data_url(whole[:length])).message
        assert "damaged" in message or "is no PNG" in message


@pytest.mark.parametrize(("width", "height"), [(8000, 7000), (10_000, 9_500), (60_000, 60_000)])
def test_bombs_are_not_opened(width: int, height: int) -> None:
    """A file of a hundred bytes that claims gigabytes."""
    file = png(width, height)
    assert len(file) < 100
    assert "more than 50000000" in refusal(data_url(file)).message


def test_stripes_are_not_read() -> None:
    """Models' makers refuse them too, in worse words."""
    assert "times as long" in refusal(data_url(file_of(Image.new("L", (3200, 20))))).message


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_moving_images_are_refused(form: str) -> None:
    """Only one of their frames would be seen."""
    frames = [Image.new("RGB", (40, 40), color) for color in ("red", "blue")]
    file = file_of(frames[0], form, save_all=True, append_images=frames[1:])
    assert "animated" in refusal(data_url(file)).message


@pytest.mark.parametrize(
    ("size", "most", "low", "expected"),
    [
        ((60, 40), 10**6, False, (60, 40)),
        ((2000, 1000), 500_000, False, (1000, 500)),
        ((4000, 3000), 10**8, False, (4000, 3000)),
        ((9000, 3000), 10**8, False, (8192, 2730)),
        ((2000, 1000), 10**8, True, (512, 256)),
        ((100, 50), 10**8, True, (100, 50)),
        ((1, 1), 10**6, False, (32, 32)),
        ((16, 64), 10**6, False, (32, 128)),
        ((3000, 30), 10**6, False, (3200, 32)),
    ],
)
def test_sizes(size: tuple[int, int], most: int, low: bool, expected: tuple[int, int]) -> None:
    """Large images get smaller and specks larger, in their proportions."""
    assert fitting_size(*size, most, low=low) == expected


def test_few_details_are_another_image() -> None:
    """What was seen of one is not what is to be seen of the other."""
    data = file_of(Image.new("RGB", (1200, 600), "red"))
    assert pixels(data, detail="low").size == (512, 256)
    assert pixels(data, detail="high").size == (1200, 600)
    digests = {read_url(PARAM, part(data_url(data), how)).digest for how in ("low", "high", None)}
    assert len(digests) == 2


def test_a_photograph_that_was_taken_sideways() -> None:
    """As cameras note it; its size is that of what is seen."""
    photo = Image.new("RGB", (80, 40), "red")
    photo.paste("blue", (0, 0, 40, 40))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it right
    seen = pixels(file_of(photo, "JPEG", exif=exif.tobytes(), quality=95))
    assert seen.size == (40, 80)
    assert seen.getpixel((20, 10))[2] > 200 > seen.getpixel((20, 70))[2]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_the_ground_is_white(mode: str) -> None:
    """Where an image lets it show through."""
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 20, 40))
    seen = pixels(file_of(image.convert(mode)))
    assert seen.getpixel((30, 20)) == (255, 255, 255)
    assert seen.getpixel((10, 20)) != (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "I;16"])
def test_other_colours(mode: str) -> None:
    """Grey and printers' ones, also in sixteen bits, come as three."""
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 40), 0x8000, np.uint16))
    else:
        image = Image.new("L", (40, 40), 128).convert(mode)
    seen = pixels(file_of(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert (seen.mode, seen.size) == ("RGB", (40, 40))
    if mode in ("L", "I;16"):
        assert seen.getpixel((20, 20)) == (128, 128, 128)


def test_a_large_photograph_takes_little_memory() -> None:
    """A JPEG is read at the scale that is wanted."""
    file = io.BytesIO()
    Image.new("RGB", (6000, 4000), "red").save(file, "JPEG")
    url = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    seen = decode(read_url(PARAM, part(url)), 300_000)
    assert 290_000 < seen.size[0] * seen.size[1] <= 300_000
