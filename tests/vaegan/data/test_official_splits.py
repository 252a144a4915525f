"""Folders that are named like splits: refused until it is said what they are, then splits or classes."""

from pathlib import Path

import pytest

from vaegan.data.description import describe_data
from vaegan.errors import UserError
from vaegan.progress import Reporter

from .image_sets import folder_config, list_splits, make_image, open_image_tree

FOLDERS = {"Train/cat": 8, "Train/dog": 6, "val/cat": 3, "val/dog": 2, "test/dog": 4}


def write_split_tree(root: Path, folders: dict[str, int] = FOLDERS) -> Path:
    for number, (name, count) in enumerate(folders.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            make_image(16, 16, 100 * number + index).save(root / name / f"{index}.png")
    return root


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (FOLDERS, "Train, test, val"),
        ({"valid": 3, "TESTING": 3}, "TESTING, valid"),
        ({"train": 3, "eval": 3, "masks": 3}, "eval, train"),
        ({"a/train": 3, "a/dev/x": 3}, "dev, train"),
    ],
)  # fmt: skip
def test_folders_named_like_splits_are_no_classes_until_it_is_said(
    tmp_path: Path, folders: dict[str, int], named: str
) -> None:
    root = write_split_tree(tmp_path / "set", folders)
    with pytest.raises(UserError) as error:
        open_image_tree(root)
    message = str(error.value)
    assert f"set{'/a' * ('a/train' in folders)}: its folders {named} are named like splits, and each would" in message
    assert "data.folders=splits" in message and "data.folders=classes if they are classes" in message
    assert len(open_image_tree(root, folders="classes")[0].classes) == len(folders)
    assert len(open_image_tree(root, version=1)[0].classes) == len(folders)


@pytest.mark.parametrize(
    "folders", [{"train/cat": 3, "train/dog": 3}, {"test": 9, "cat": 9}, {"trains": 9, "tests": 9}]
)
def test_other_folders_are_classes(tmp_path: Path, folders: dict[str, int]) -> None:
    assert len(open_image_tree(write_split_tree(tmp_path, folders))[0].classes) == 2


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_folders_of_splits_are_splits_of_the_classes_in_them(tmp_path: Path, cache: str) -> None:
    root = write_split_tree(tmp_path)
    make_image(16, 16, 7).save(root / "beside.png")
    (root / "test" / "broken").mkdir()
    (root / "test" / "broken" / "x.png").write_text("")
    data, notes = open_image_tree(root, folders="splits", cache=cache)
    assert data.classes == ("cat", "dog") and [len(split) for split in list_splits(data)] == [14, 5, 4]
    members = [member for member in data.members.members if member.split is not None]
    assert {(member.name.partition("/")[0], member.split) for member in members} == {
        ("Train", "train"), ("val", "validation"), ("test", "test")
    }  # fmt: skip
    assert all(member.label == member.name.split("/")[1] for member in members)
    assert data.train.labels.tolist() == [0] * 8 + [1] * 6 and data.test.labels.tolist() == [1] * 4
    assert notes[0].endswith("1 image outside of its folders Train, test, val left out") and len(notes) == 2
    found = describe_data(folder_config(root, folders="splits"), Reporter())
    assert found.official == {"train": 14, "validation": 5, "test": 5}


def test_a_split_that_no_folder_names_is_drawn_and_images_right_in_the_folders_have_no_class(tmp_path: Path) -> None:
    data, _ = open_image_tree(write_split_tree(tmp_path, {"train": 20, "test": 5}), folders="splits", validation=0.2)
    assert (len(data.test), data.classes) == (5, ()) and len(data.validation) >= 1 and len(data.train) < 20


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data\.folders: splits, but no folder of .* is named train; name the"):
        open_image_tree(write_split_tree(tmp_path, {"test": 3, "val": 3}), folders="splits")
    for settings, message in (
        ({"version": 1}, "came with data.version 2"),
        ({"source": "arrays"}, "only folder takes"),
    ):
        with pytest.raises(ValueError, match=rf"data\.folders: {message}"):
            folder_config(tmp_path, folders="splits", **settings)
