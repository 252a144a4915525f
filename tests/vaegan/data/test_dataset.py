"""The images of a split."""

from pathlib import Path

import pytest
import torch

from vaegan.data import find_images
from vaegan.errors import Failure

from .image_sets import open_image_tree, write_image_tree


def test_a_file_that_vanishes_is_a_failure_that_names_it(tmp_path: Path) -> None:
    data, _ = open_image_tree(write_image_tree(tmp_path), cache="none")
    name = find_images(tmp_path)[int(data.train.indices[0])]
    (tmp_path / name).unlink()
    with pytest.raises(Failure, match=f"{name}: no such file"):
        data.train[torch.tensor([0])]
