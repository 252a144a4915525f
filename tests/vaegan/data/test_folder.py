"""The source `folder`: which files of a tree are images, in which order, and their labels."""

from pathlib import Path

import pytest
import torch

from vaegan.data import find_images, read_image
from vaegan.errors import UserError

from .image_sets import make_image, open_image_tree, write_image_tree


def test_class_folders_are_labels_in_sorted_order(tmp_path: Path) -> None:
    data, warnings = open_image_tree(write_image_tree(tmp_path))
    assert data.classes == ("cat", "dog") and not warnings
    for split in (data.train, data.validation, data.test):
        assert split.labels is not None
        assert torch.equal(split.labels, (split.indices >= 6).long())
        for position, number in enumerate(split.indices.tolist()):
            name = find_images(tmp_path)[number]
            assert data.classes[split.labels[position]] == name.split("/")[0]
            expected = torch.from_numpy(read_image(tmp_path / name, 16, 3))
            assert torch.equal(split[torch.tensor([position])][0], expected)


def test_images_in_the_root_have_no_labels(tmp_path: Path) -> None:
    make_image().save(write_image_tree(tmp_path) / "loose.png")
    data, _ = open_image_tree(tmp_path)
    assert data.classes == () and data.train.labels is None


def test_other_and_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    write_image_tree(tmp_path, 4)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / "._00.png").write_text("no image")
    (tmp_path / ".cache").mkdir()
    make_image().save(tmp_path / ".cache" / "x.png")
    assert find_images(tmp_path) == ("cat/00.png", "cat/02.png", "dog/01.png", "dog/03.png")


def test_links_are_followed_but_no_folder_is_visited_twice(tmp_path: Path) -> None:
    root, elsewhere = write_image_tree(tmp_path / "set", 4), write_image_tree(tmp_path / "elsewhere", 1, ("bird",))
    (root / "cat" / "up").symlink_to(root)
    (root / "again").symlink_to(root / "dog")
    (root / "more").symlink_to(elsewhere)
    assert find_images(root) == ("cat/00.png", "cat/02.png", "dog/01.png", "dog/03.png", "more/bird/00.png")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text(""), "a file, not a folder"),
        (lambda path: path.mkdir(), "no image in it"),
        (lambda path: (path.mkdir(), (path / "x.png").write_text("")), "none of the 1 files can be used"),
        (lambda path: write_image_tree(path, 2), "2 images cannot be split"),
    ],
)
def test_a_root_that_is_no_set_is_an_error_in_one_line(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "set")
    with pytest.raises(UserError, match=message) as caught:
        open_image_tree(tmp_path / "set")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("data")
