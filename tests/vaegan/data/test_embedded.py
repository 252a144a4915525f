"""scikit-learn's digits and photographs."""

import itertools

import numpy as np
import torch
from sklearn.datasets import load_digits

from vaegan.data import open_data
from vaegan.data.embedded import CropReader

from .image_sets import embedded_config, list_splits, read_all


def test_digits_at_their_own_size_are_the_scaled_originals_with_their_labels() -> None:
    data = open_data(embedded_config("digits", image_size=8, channels=1))
    images, labels = load_digits(return_X_y=True)
    original = torch.from_numpy(np.rint(images * 255 / 16).astype(np.uint8)).reshape(-1, 1, 8, 8)
    for split in list_splits(data):
        assert torch.equal(read_all(split), original[split.indices])
        assert split.labels is not None and torch.equal(split.labels, torch.from_numpy(labels)[split.indices])


def test_photo_crops_of_different_splits_share_no_pixel() -> None:
    data = open_data(embedded_config("photos", count=3000, cache="none", validation=0.3, test=0.3))
    crops = data.train.store
    assert isinstance(crops, CropReader)
    for photograph in range(2):
        covered = []
        for split in list_splits(data):
            cover = np.zeros(crops.photographs[photograph].shape[:2], dtype=bool)
            for index in split.indices[split.indices % 2 == photograph].tolist():
                left, top, side = crops.compute_box(index)
                assert 0 <= left <= cover.shape[1] - side and 0 <= top <= cover.shape[0] - side
                cover[top : top + side, left : left + side] = True
            covered.append(cover)
            assert cover.sum() > 0.9 * 96 * cover.shape[0]
        for one, other in itertools.combinations(covered, 2):
            assert not (one & other).any()


def test_photos_without_held_out_splits_use_the_whole_photographs() -> None:
    crops = open_data(embedded_config("photos", count=3000, cache="none", validation=0, test=0)).train.store
    assert isinstance(crops, CropReader)
    middles = {left + side // 2 for left, _, side in map(crops.compute_box, range(3000))}
    assert all(any(middle in middles for middle in range(*columns)) for columns in ((128, 224), (384, 480)))
