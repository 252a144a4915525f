from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from vaegan.trainers.log.confusion import FULL, GRID, PAPER, draw_confusion

CLASSES = ("real", "reconstructed", "generated")
EMPTY_CELL, FULL_CELL = ImageColor.getrgb(PAPER), ImageColor.getrgb(FULL)


def find_cells(image: Image.Image, count: int) -> list[list[Image.Image]]:
    """What is inside the lines of the grid, by row and column."""
    lines = (np.asarray(image) == ImageColor.getrgb(GRID)).all(2)
    xs, ys = (np.flatnonzero(lines.sum(axis) > lines.shape[axis] / 2).tolist() for axis in (0, 1))
    assert len(xs) == len(ys) == count + 1
    return [
        [image.crop((left + 1, top + 1, right, bottom)) for left, right in pairwise(xs)] for top, bottom in pairwise(ys)
    ]


def get_colours(image: Image.Image, count: int) -> list[list[object]]:
    """Colour of each cell; nothing is written within two pixels of its lines."""
    colours = []
    for row in find_cells(image, count):
        colours.append([])
        for cell in row:
            ring = [
                cell.getpixel((x, y))
                for x in range(cell.width)
                for y in range(cell.height)
                if x < 2 or y < 2 or x >= cell.width - 2 or y >= cell.height - 2
            ]
            assert len(set(ring)) == 1
            assert len(cell.getcolors(1 << 20)) > 2  # the number is there
            colours[-1].append(ring[0])
    return colours


def test_a_cell_is_as_dark_as_its_fraction_of_the_true_class() -> None:
    matrix = torch.tensor([[100, 0, 0], [10, 20, 20], [0, 3, 2]])
    colours = get_colours(draw_confusion(matrix, CLASSES, CLASSES), 3)
    fractions = matrix.double() / matrix.sum(1, keepdim=True)
    for i in range(3):
        for j in range(3):
            expected = [p + fractions[i, j].item() * (f - p) for p, f in zip(EMPTY_CELL, FULL_CELL, strict=True)]
            assert colours[i][j] == pytest.approx(expected, abs=0.51), (i, j)


def test_rows_are_the_true_class() -> None:
    upper = get_colours(draw_confusion(torch.tensor([[1, 1], [0, 2]]), ("real", "fake"), ("real", "fake")), 2)
    assert upper[1][0] == EMPTY_CELL
    assert upper[0][1] != EMPTY_CELL


def test_every_number_is_inside_its_cell_and_every_name_inside_the_picture() -> None:
    small = draw_confusion(torch.tensor([[1, 0], [0, 1]]), ("a", "b"), ("a", "b"))
    for image in (
        draw_confusion(torch.full((2, 2), 999_999), ("a", "b"), ("a", "b")),
        draw_confusion(torch.full((2, 2), 123_456_789), ("a", "b"), ("a", "b")),
        draw_confusion(torch.full((2, 2), 1 / 3), ("a", "b"), ("a", "b")),
    ):
        assert image.size == small.size
        get_colours(image, 2)
    long = draw_confusion(
        torch.eye(3), ("real", "a rather long name of a class", "x"), ("real", "a rather long name of a class", "x")
    )
    assert len(long.crop((0, 0, 5, long.height)).getcolors()) == 1
    assert len(long.crop((long.width - 5, 0, long.width, long.height)).getcolors()) == 1
    assert len(long.getcolors(1 << 20)) > 10


def test_an_empty_class_has_no_fraction() -> None:
    colours = get_colours(draw_confusion(torch.tensor([[0.0, 0.0], [0.0, 4.0]]), ("a", "b"), ("a", "b")), 2)
    assert colours == [[EMPTY_CELL, EMPTY_CELL], [EMPTY_CELL, FULL_CELL]]


def test_a_name_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 names"):
        draw_confusion(torch.eye(3), ("real", "fake"), ("real", "fake"))


def test_every_cell_has_its_count_and_its_percentage() -> None:
    """Cells that differ in either differ in what is written, whatever their colour."""
    same_fraction, other_count = (
        find_cells(draw_confusion(torch.tensor([[count, count], [1, 1]]), ("a", "b"), ("a", "b")), 2)[0][0]
        for count in (7, 8)
    )
    assert same_fraction.getpixel((0, 0)) == other_count.getpixel((0, 0))
    differing = np.flatnonzero((np.asarray(same_fraction) != np.asarray(other_count)).any((1, 2)))
    assert 0 < differing.max() < same_fraction.height / 2, "the count stands above the percentage"
    lower = same_fraction.crop((0, same_fraction.height // 2 + 2, same_fraction.width, same_fraction.height))
    assert len(lower.getcolors(1 << 20)) > 2
