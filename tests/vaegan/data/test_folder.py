"""The source `folder`: which files of a tree are images, in which order, and their labels."""

import os
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
    notes: list[str] = []
    found = find_images(root, notify=notes.append)
    assert found == ("cat/00.png", "cat/02.png", "dog/01.png", "dog/03.png", "more/bird/00.png")
    assert notes == [f"{root / 'again'}: the folder dog by another name; passed over"]


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


def test_few_images_beside_class_folders_are_named(tmp_path: Path) -> None:
    make_image().save(write_image_tree(tmp_path) / "loose.png")
    data, warnings = open_image_tree(tmp_path)
    assert not data.classes
    assert warnings == [f"data.root: {tmp_path}: its folders are no labels, since loose.png lies beside them"]
    for number in range(12):
        make_image().save(tmp_path / f"{number}.png")
    assert not any("labels" in warning for warning in open_image_tree(tmp_path)[1])


def test_links_and_folders_that_lead_nowhere_are_passed_over_with_a_warning(tmp_path: Path, monkeypatch) -> None:
    root = write_image_tree(tmp_path / "set", 20)
    (root / "self").symlink_to("self")
    (root / "itself.png").symlink_to("itself.png")
    (root / "closed").mkdir()
    scan = os.scandir

    def refuse_closed(path: str) -> object:  # the tests may be root's, who may read every folder
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse_closed)
    data, warnings = open_image_tree(root)
    assert len(data.train) + len(data.validation) + len(data.test) == 20 and data.classes == ("cat", "dog")
    assert warnings == [
        f"data.root: {root}/self: too many levels of symbolic links; passed over",
        f"data.root: {root}/closed: permission denied; passed over, with every image in it",
        "data.root: 1 file that cannot be used as images skipped:"
        f" {root}/itself.png (too many levels of symbolic links)",
    ]
    with pytest.raises(UserError, match=r"data\.strict: .*self: too many levels"):
        open_image_tree(root, strict=True)


def test_images_of_every_format_that_is_read_are_found(tmp_path: Path) -> None:
    root = write_image_tree(tmp_path, 2)
    formats = {
        "a.apng": "PNG",
        "b.j2k": "JPEG2000",
        "c.JPX": "JPEG2000",
        "d.vda": "TGA",
        "e.mpo": "MPO",
        "f.jif": "JPEG",
    }
    for name, form in formats.items():
        make_image(16, 16).save(root / "cat" / name, form)
        assert read_image(root / "cat" / name, 16, 3).shape == (3, 16, 16)
    names = ("cat/00.png", "cat/a.apng", "cat/b.j2k", "cat/c.JPX", "cat/d.vda", "cat/e.mpo", "cat/f.jif", "dog/01.png")
    assert find_images(root) == names and find_images(root, version=1) == ("cat/00.png", "dog/01.png")


def test_images_in_other_formats_are_named_in_one_line(tmp_path: Path) -> None:
    root, notes = write_image_tree(tmp_path / "set", 4), list[str]()
    (root / "dog" / "x.SVG").touch()
    assert len(find_images(root, notify=notes.append)) == 4
    line = "1 image in a format that is not read (dog/x.SVG); save as PNG what is to be read"
    assert notes == [f"{root}: {line}"]
    for name in ("b.psd", "a.jxl", "c.exr", "d.pam", "e.dng", "notes.txt", "._f.psd"):
        (root / "cat" / name).touch()
    named = "cat/a.jxl, cat/b.psd, cat/c.exr, cat/d.pam, cat/e.dng and 1 more"
    assert open_image_tree(root, test=0)[1] == [
        f"data.root: {root}: 6 images in formats that are not read ({named}); save as PNG what is to be read"
    ]
    assert not open_image_tree(root, test=0, version=1)[1]
    with pytest.raises(UserError, match=r"^data\.strict: .*6 images in formats that are not read"):
        open_image_tree(root, test=0, strict=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.svg").touch()
    with pytest.raises(UserError, match=r"other: 1 image in a format that is not read \(x\.svg\); save as PNG"):
        open_image_tree(tmp_path / "other")
