"""A confusion matrix as a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from torch import Tensor

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

TEXT, SMALL = 20, 15
"""Heights of the two text sizes, in pixels."""
MARGIN = 14
INK, PAPER = (25, 25, 35), (255, 255, 255)
FULL = (24, 78, 140)
"""Colour of a cell that holds its whole row; an empty cell is paper."""


def draw_confusion(matrix: "Tensor", true: Sequence[str], predicted: Sequence[str]) -> Image.Image:
    """A heat map with the number in each cell and its share of the row, which is also its colour.

    Args:
        matrix: At least 0: how often row ``i``, the true class, was taken for column ``j``.
        true: Name of each row.
        predicted: Name of each column.

    Returns:
        RGB picture whose size depends on the names only.
    """
    rows = [[float(value) for value in row] for row in matrix.tolist()]
    if [len(row) for row in rows] != [len(predicted)] * len(true):
        raise ValueError(f"{len(true)} x {len(predicted)} names for a matrix of shape {tuple(matrix.shape)}")
    text, small = ImageFont.load_default(TEXT), ImageFont.load_default(SMALL)
    widest = max(round(text.getlength(name)) for name in true)
    cell = max(96, *(round(text.getlength(name)) + MARGIN for name in predicted))
    left, top = MARGIN + SMALL + MARGIN + widest + MARGIN, MARGIN + SMALL + MARGIN + TEXT + MARGIN
    width, height = cell * len(predicted), cell * len(true)

    image = Image.new("RGB", (left + width + MARGIN, top + height + MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((left + width / 2, MARGIN + SMALL / 2), "predicted", INK, small, anchor="mm")
    for index, name in enumerate(predicted):
        draw.text((left + (index + 0.5) * cell, top - MARGIN - TEXT / 2), name, INK, text, anchor="mm")
    for index, name in enumerate(true):
        draw.text((left - MARGIN, top + (index + 0.5) * cell), name, INK, text, anchor="rm")
    for i, row in enumerate(rows):
        total = sum(row)
        for j, value in enumerate(row):
            share = value / total if total else 0.0
            x, y = left + j * cell, top + i * cell
            draw.rectangle((x, y, x + cell - 2, y + cell - 2), _blend(share), outline=_blend(0.25))
            ink = PAPER if share > 0.5 else INK
            draw.text((x + cell / 2, y + cell / 2 - 4), _figure(value), ink, text, anchor="ms")
            draw.text((x + cell / 2, y + cell / 2 + 6), f"{share:.1%}" if total else "-", ink, small, anchor="mt")
    _write_upwards(image, "true", small, (MARGIN + SMALL // 2, top + height // 2))
    return image


def _figure(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and value < 1e6 else f"{value:.3g}"


def _blend(share: float) -> tuple[int, int, int]:
    red, green, blue = (round(paper + share * (full - paper)) for paper, full in zip(PAPER, FULL, strict=True))
    return red, green, blue


def _write_upwards(image: Image.Image, words: str, font: Font, middle: tuple[int, int]) -> None:
    """Draw ``words`` turned by a quarter, read from below."""
    strip = Image.new("RGB", (round(font.getlength(words)) + 2, SMALL + 6), PAPER)
    ImageDraw.Draw(strip).text((strip.width / 2, strip.height / 2), words, INK, font, anchor="mm")
    strip = strip.rotate(90, expand=True)
    image.paste(strip, (middle[0] - strip.width // 2, middle[1] - strip.height // 2))
