"""The drawn shapes."""

import numpy as np

from vaegan.data import open_data
from vaegan.data.shapes import SHAPE_CLASSES, ShapeReader

from .image_sets import embedded_config, list_splits, read_all


def test_a_shape_is_a_function_of_its_number_alone() -> None:
    few, many = ShapeReader(32, 3, 10), ShapeReader(32, 3, 1000)
    assert all(np.array_equal(few(index), many(index)) for index in range(10))
    assert len({many(index).tobytes() for index in range(1000)}) == 1000


def test_a_shape_is_the_same_picture_at_every_size() -> None:
    for index in range(12):
        small = ShapeReader(32, 1, 12)(index).astype(float)
        large = ShapeReader(128, 1, 12)(index).astype(float).reshape(1, 32, 4, 32, 4).mean((2, 4))
        assert np.abs(small - large).mean() < 1.5
        assert np.abs(small - large).max() < 64


def test_shapes_are_of_every_kind_in_every_split_and_stand_out() -> None:
    data = open_data(embedded_config("shapes", count=600, channels=1))
    assert data.classes == SHAPE_CLASSES
    for split in list_splits(data):
        assert split.labels is not None and set(split.labels.tolist()) == set(range(len(SHAPE_CLASSES)))
        contrast = read_all(split).flatten(1).float()
        assert ((contrast.amax(1) - contrast.amin(1)) > 50).all()
