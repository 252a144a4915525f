"""A contact sheet of images with heat maps of where they are anomalous."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vaegan.images import lay_on_white, to_pil
from vaegan.text import make_printable, to_one_line

from .heat_maps import draw_heat_maps

COLUMNS = 4
"""Pairs of image and heat map of each row."""
MIN_TILE_PIXELS = 96
"""Side below which images are enlarged by a whole factor."""
MARGIN_PIXELS, GAP_PIXELS = 12, 4
"""White space around each pair, and between image and heat map."""
FONT_PIXELS, LINE_PIXELS = 13, 17
"""Size of the letters, and height of a line of the caption."""
INK, FLAGGED_INK = (32, 32, 32), (196, 30, 30)
"""Colours of captions."""
LARGEST_QUANTILE = 0.995
"""Fraction of the values of all heat maps that lie below the lightest colour."""


class Caption(NamedTuple):
    """The two lines below an image."""

    name: str
    score: str
    flagged: bool
    """True if both are to be red."""


def get_sheet_size(count: int, side: int) -> tuple[int, int]:
    """Return width and height in pixels of the sheet of ``count`` images of S = ``side``."""
    tile, columns = _get_tile(side), min(COLUMNS, count)
    width = columns * (2 * tile + GAP_PIXELS + MARGIN_PIXELS) + MARGIN_PIXELS
    return width, -(-count // columns) * (tile + 2 * LINE_PIXELS + MARGIN_PIXELS) + MARGIN_PIXELS


def draw_anomaly_sheet(pixels: Tensor, maps: Tensor, captions: Sequence[Caption]) -> Image.Image:
    """Draw images, each beside its heat map and above its caption, in rows; all heat maps have one scale of colours.

    Args:
        pixels: uint8, shape (N, C, S, S), N at least 1.
        maps: Values at least 0, shape (N, S, S).
        captions: N captions.

    Raises:
        UserError: Matplotlib is not installed.
    """
    side, tile = pixels.shape[-1], _get_tile(pixels.shape[-1])
    heat = draw_heat_maps(maps, float(np.quantile(maps.cpu().numpy(), LARGEST_QUANTILE)) or None)
    sheet = Image.new("RGB", get_sheet_size(len(pixels), side), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PIXELS)
    for index, (image, colours, caption) in enumerate(zip(lay_on_white(pixels), heat, captions, strict=True)):
        row, column = divmod(index, COLUMNS)
        left = MARGIN_PIXELS + column * (2 * tile + GAP_PIXELS + MARGIN_PIXELS)
        top = MARGIN_PIXELS + row * (tile + 2 * LINE_PIXELS + MARGIN_PIXELS)
        for place, each in ((left, image), (left + tile + GAP_PIXELS, colours)):
            sheet.paste(to_pil(each).resize((tile, tile), Image.Resampling.NEAREST), (place, top))
        ink = FLAGGED_INK if caption.flagged else INK
        name = to_one_line(make_printable(caption.name))
        while name and draw.textlength(name, font) > 2 * tile + GAP_PIXELS:
            name = name[1:]  # the end of a path tells more than its beginning
        draw.text((left, top + tile + LINE_PIXELS - 3), name, ink, font, anchor="ls")
        draw.text((left, top + tile + 2 * LINE_PIXELS - 3), caption.score, ink, font, anchor="ls")
    return sheet


def _get_tile(side: int) -> int:
    return side * max(1, -(-MIN_TILE_PIXELS // side))
