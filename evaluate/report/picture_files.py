"""Write sheets of images as PNG files beside the report, for slides and READMEs."""

import base64
import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vaegan.io import replace_file

from .image_sheets import IMAGE, Sheet, Tile

RECONSTRUCTIONS_PICTURE, SAMPLES_PICTURE = "reconstructions.png", "samples.png"
"""Names of the files."""
MIN_TILE_PIXELS = 64
"""Smaller images are enlarged by whole factors, without smoothing, as long as they stay within this size."""
GAP_PIXELS = 2
"""White pixels around each image."""
FONT_PIXELS = 17
"""Height of the names of rows."""


def write_picture(sheet: Sheet, path: Path, columns: int) -> None:
    """Write the first columns of a sheet as a PNG, a row for each variant; the file is replaced as a whole."""
    with replace_file(path) as partial:
        draw_sheet(Sheet(sheet.rows, sheet.columns[:columns])).save(partial, format="png", optimize=True)


def draw_sheet(sheet: Sheet) -> Image.Image:
    """Draw the images of a sheet on a white ground, with the name of its variant before each row.

    Args:
        sheet: At least one image; all of one size and mode.
    """
    rows = list(zip(*(column.tiles for column in sheet.columns), strict=True))
    images = [[None if tile is None else _read_image(tile) for tile in row] for row in rows]
    size, mode = next((image.width, image.mode) for row in images for image in row if image is not None)
    scaled = size * max(1, MIN_TILE_PIXELS // size)
    step = scaled + 2 * GAP_PIXELS
    font, names = ImageFont.load_default(FONT_PIXELS), [name or "real" for name in sheet.rows]
    margin = max(round(font.getlength(name)) for name in names) + FONT_PIXELS
    picture = Image.new(mode, (margin + step * len(sheet.columns), step * len(rows)), "white")
    draw = ImageDraw.Draw(picture)
    for number, (name, row) in enumerate(zip(names, images, strict=True)):
        draw.text((FONT_PIXELS // 2, step * number + step // 2), name, "black", font, anchor="lm")
        for column, image in enumerate(row):
            if image is not None:
                place = (margin + step * column + GAP_PIXELS, step * number + GAP_PIXELS)
                picture.paste(image.resize((scaled, scaled), Image.Resampling.NEAREST), place)
    return picture


def _read_image(tile: Tile) -> Image.Image:
    """Return the image in the data URI of a tile."""
    return Image.open(io.BytesIO(base64.b64decode(tile.views[IMAGE].partition(",")[2])))
