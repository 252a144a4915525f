"""Images as HTML: each inside the page, without a file or a request of its own."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

from torch import Tensor

from vaegan.images import draw_image_grid, to_pil


def to_data_uri(image: Tensor) -> str:
    """Return an image, uint8, shape (C, H, W), as the URI of a PNG file."""
    contents = BytesIO()
    to_pil(image).save(contents, "png")
    return encode_uri(contents.getvalue())


def encode_uri(contents: bytes) -> str:
    """Return the contents of a PNG file as a URI."""
    return f"data:image/png;base64,{base64.b64encode(contents).decode()}"


def show_images(images: Sequence[Tensor], names: Sequence[str]) -> str:
    """Return the HTML of images side by side, each above its name.

    Args:
        images: uint8, each of shape (C, S, S).
        names: Name of each.
    """
    return _lay_out([to_data_uri(image) for image in images], names)


def show_grids(images: Sequence[Tensor], names: Sequence[str], columns: int) -> str:
    """Return the HTML of grids of images, each above its name.

    Args:
        images: uint8, each of shape (N, C, S, S).
        names: Name of each grid.
        columns: Images of each row.
    """
    uris = []
    for each in images:
        contents = BytesIO()
        draw_image_grid(each, columns).save(contents, "png")
        uris.append(encode_uri(contents.getvalue()))
    return _lay_out(uris, names, "wide")


def show_line(text: str, is_problem: bool = False) -> str:
    """Return the HTML of a line that is read out as soon as it appears."""
    kind = ' class="problem"' if is_problem else ""
    return f'<p role="status"{kind}>{escape(text)}</p>'


def _lay_out(uris: Sequence[str], names: Sequence[str], kind: str = "single") -> str:
    figures = (
        f'<figure><img src="{uri}" alt="{escape(name)}"><figcaption>{escape(name)}</figcaption></figure>'
        for uri, name in zip(uris, names, strict=True)
    )
    return f'<div class="pictures {kind}">{"".join(figures)}</div>'
