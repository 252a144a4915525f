import pytest
import torch
from PIL import Image

from vaegan.trainers.log.confusion import FULL, PAPER, draw_confusion

THREE = ("real", "reconstructed", "generated")


def boxes(image: Image.Image, count: int) -> list[list[tuple[int, int, int, int]]]:
    """Each cell's left, top, right and bottom outline, found in the picture."""
    width, height = image.size
    outline = tuple(round(p + 0.25 * (f - p)) for p, f in zip(PAPER, FULL, strict=True))
    columns = [x for x in range(width) if sum(image.getpixel((x, y)) == outline for y in range(height)) > height / 2]
    rows = [y for y in range(height) if sum(image.getpixel((x, y)) == outline for x in range(width)) > width / 2]
    assert len(columns) == len(rows) == 2 * count
    xs, ys = list(zip(columns[::2], columns[1::2], strict=True)), list(zip(rows[::2], rows[1::2], strict=True))
    return [[(left, top, right, bottom) for left, right in xs] for top, bottom in ys]


def cells(image: Image.Image, count: int) -> list[list[object]]:
    """Colour of each cell; nothing is written within two pixels of its outline."""
    colours = []
    for row in boxes(image, count):
        colours.append([])
        for left, top, right, bottom in row:
            inside = image.crop((left + 1, top + 1, right, bottom))
            ring = [
                inside.getpixel((x, y))
                for x in range(inside.width)
                for y in range(inside.height)
                if x < 2 or y < 2 or x >= inside.width - 2 or y >= inside.height - 2
            ]
            assert len(set(ring)) == 1
            assert len(inside.getcolors(1 << 20)) > 2  # the number is there
            colours[-1].append(ring[0])
    return colours


def test_a_cell_is_as_dark_as_its_share_of_the_true_class() -> None:
    matrix = torch.tensor([[100, 0, 0], [10, 20, 20], [0, 3, 2]])
    colours = cells(draw_confusion(matrix, THREE, THREE), 3)
    shares = matrix.double() / matrix.sum(1, keepdim=True)
    for i in range(3):
        for j in range(3):
            expected = [p + shares[i, j].item() * (f - p) for p, f in zip(PAPER, FULL, strict=True)]
            assert colours[i][j] == pytest.approx(expected, abs=0.51), (i, j)


def test_rows_are_the_true_class() -> None:
    upper = cells(draw_confusion(torch.tensor([[1, 1], [0, 2]]), ("real", "fake"), ("real", "fake")), 2)
    assert upper[1][0] == PAPER
    assert upper[0][1] != PAPER


def test_every_number_is_inside_its_cell_and_every_name_inside_the_picture() -> None:
    small = draw_confusion(torch.tensor([[1, 0], [0, 1]]), ("a", "b"), ("a", "b"))
    for image in (
        draw_confusion(torch.full((2, 2), 999_999), ("a", "b"), ("a", "b")),
        draw_confusion(torch.full((2, 2), 123_456_789), ("a", "b"), ("a", "b")),
        draw_confusion(torch.full((2, 2), 1 / 3), ("a", "b"), ("a", "b")),
    ):
        assert image.size == small.size
        cells(image, 2)
    long = draw_confusion(
        torch.eye(3), ("real", "a rather long name of a class", "x"), ("real", "a rather long name of a class", "x")
    )
    assert len(long.crop((0, 0, 5, long.height)).getcolors()) == 1
    assert len(long.crop((long.width - 5, 0, long.width, long.height)).getcolors()) == 1
    assert len(long.getcolors(1 << 20)) > 10


def test_an_empty_class_has_no_share() -> None:
    colours = cells(draw_confusion(torch.tensor([[0.0, 0.0], [0.0, 4.0]]), ("a", "b"), ("a", "b")), 2)
    assert colours == [[PAPER, PAPER], [PAPER, FULL]]


def test_a_name_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 names"):
        draw_confusion(torch.eye(3), ("real", "fake"), ("real", "fake"))
