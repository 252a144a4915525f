"""The contact sheet of an image set: images as a network sees them, a row for each class."""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vaegan.images import lay_on_white, to_pil
from vaegan.text import make_printable

from .dataset import Images

COLUMNS, MAX_ROWS = 10, 12
"""Images of each row, and most rows."""
MIN_TILE_PIXELS, MAX_TILE_PIXELS = 64, 128
"""Side below which images are enlarged by a whole factor, and above which they are made smaller."""
MARGIN_PIXELS, GAP_PIXELS = 16, 4
"""White space around the sheet, and between images."""
FONT_PIXELS, CAPTION_PIXELS = 15, 34
"""Size of the letters, and height of a caption with the space around it."""
INK, PALE_INK = (32, 32, 32), (128, 128, 128)
"""Colours of names and of numbers."""


class Row(NamedTuple):
    """A row of the sheet."""

    name: str
    """Name of its class; empty if the set has none."""
    note: str
    """Number of images; empty where the row before has it."""
    images: Tensor
    """uint8, shape (N, C, S, S)."""


def draw_contact_sheet(splits: Sequence[Images]) -> Image.Image:
    """Draw evenly chosen images of all splits, under the name and the number of images of each class.

    The largest classes come first, as many as fit on the sheet; a set without classes fills all rows.
    """
    rows = _choose_rows(splits)
    side = rows[0].images.shape[-1]
    tile = side * max(1, MIN_TILE_PIXELS // side) if side <= MAX_TILE_PIXELS else MAX_TILE_PIXELS
    heights = [tile + GAP_PIXELS + CAPTION_PIXELS * bool(row.note) for row in rows]
    width = COLUMNS * (tile + GAP_PIXELS) - GAP_PIXELS + 2 * MARGIN_PIXELS
    sheet = Image.new("RGB", (width, sum(heights) + 2 * MARGIN_PIXELS), "white")
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PIXELS), MARGIN_PIXELS
    for row, height in zip(rows, heights, strict=True):
        if row.note:
            room = width - 2 * MARGIN_PIXELS - draw.textlength(row.note, font)
            name = row.name and _shorten_to_width(row.name, lambda text: draw.textlength(text, font), room)
            baseline = top + CAPTION_PIXELS - FONT_PIXELS // 2
            draw.text((MARGIN_PIXELS, baseline), name, INK, font, anchor="ls")
            draw.text((MARGIN_PIXELS + draw.textlength(name, font), baseline), row.note, PALE_INK, font, anchor="ls")
        for column, image in enumerate(lay_on_white(row.images)):
            method = Image.Resampling.NEAREST if side <= MAX_TILE_PIXELS else Image.Resampling.BOX
            left = MARGIN_PIXELS + column * (tile + GAP_PIXELS)
            sheet.paste(to_pil(image).resize((tile, tile), method), (left, top + height - tile - GAP_PIXELS))
        top += height
    return sheet


def _shorten_to_width(name: str, measure: Callable[[str], float], room: float) -> str:
    """Return a name and two blanks, with its middle left out if it takes more room, in pixels, than there is."""
    text, kept = f"{name}  ", len(name)
    while kept > 2 and measure(text) > room:
        kept -= 1
        text = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}  "
    return text


def _choose_rows(splits: Sequence[Images]) -> list[Row]:
    classes, count = splits[0].classes, sum(map(len, splits))
    labels = [images.labels for images in splits if images.labels is not None]
    if not classes or len(labels) < len(splits):
        chosen = _read(splits, _select_evenly(torch.arange(count), COLUMNS * MAX_ROWS))
        note = f"{count:,} image{'s' * (count != 1)}"
        return [Row("", note * (not n), part) for n, part in enumerate(chosen.split(COLUMNS))]
    all_labels = torch.cat(labels)
    rows = []
    for label in all_labels.bincount(minlength=len(classes)).argsort(descending=True, stable=True)[:MAX_ROWS].tolist():
        members = (all_labels == label).nonzero().flatten()
        if len(members):
            name = make_printable(unicodedata.normalize("NFC", classes[label]))
            rows.append(Row(name, f"{len(members):,}", _read(splits, _select_evenly(members, COLUMNS))))
    return rows


def _select_evenly(positions: Tensor, count: int) -> Tensor:
    count = min(count, len(positions))
    return positions[torch.arange(count) * len(positions) // count]


def _read(splits: Sequence[Images], positions: Tensor) -> Tensor:
    """Return images by their position in all splits, one after another, uint8, shape (N, C, S, S)."""
    starts = [0, *accumulate(map(len, splits))]
    images = []
    for position in positions.tolist():
        split = bisect_right(starts, position) - 1
        images.append(splits[split][torch.tensor([position - starts[split]])])
    return torch.cat(images)
