"""Images that are given in Python: what may be given, and what is said of anything else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from vaegan.config.data import DataConfig
from vaegan.data import open_data, read_image, reading, sources, split_members
from vaegan.data.given import describe_given, open_given
from vaegan.errors import UserError

from .image_sets import list_splits, make_image, read_all
from .raw_files import ADOBE_GAMMA, ADOBE_RGB, make_rgb_profile

COLOUR = torch.stack([torch.from_numpy(np.array(make_image(16, 16, seed))).permute(2, 0, 1) for seed in range(12)])
"""uint8 (12, 3, 16, 16)."""
LABELS = torch.arange(12) % 3


class Items(Dataset[Any]):
    """A data set of images of a kind, with labels or without."""

    def __init__(self, make: Callable[[torch.Tensor], Any], labelled: bool) -> None:
        self.make, self.labelled = make, labelled

    def __len__(self) -> int:
        return len(COLOUR)

    def __getitem__(self, index: int) -> Any:
        image = self.make(COLOUR[index])
        return (image, int(LABELS[index])) if self.labelled else image


KINDS: dict[str, Callable[[torch.Tensor], Any]] = {
    "tensor": lambda image: image,
    "array": lambda image: image.numpy(),
    "PIL": lambda image: Image.fromarray(image.permute(1, 2, 0).numpy()),
}


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_the_same_images_are_the_same_source(kind: str, labelled: bool) -> None:
    given = (COLOUR, LABELS) if labelled else COLOUR
    expected, sha256 = open_given(given, 16, 3)
    alike = [Items(KINDS[kind], labelled), list(Items(KINDS[kind], labelled))]
    arrays = (COLOUR.numpy(), LABELS.tolist()) if labelled else COLOUR.numpy()
    alike += [arrays, TensorDataset(*given) if labelled else TensorDataset(COLOUR)]
    for images in alike:
        source, same = open_given(images, 16, 3)
        assert same == sha256 and source.reader.compute_digest().hex() == sha256
        assert all(np.array_equal(source.reader(index), COLOUR[index]) for index in range(12))
        assert source.classes == expected.classes == (("0", "1", "2") if labelled else ())
        assert torch.equal(source.labels, LABELS) if labelled else source.labels is None


def test_every_pixel_and_every_label_is_in_the_hash() -> None:
    changed = COLOUR.clone()
    changed[-1, -1, -1, -1] ^= 1
    relabelled = LABELS.clone()
    relabelled[-1] = (relabelled[-1] + 1) % 3
    sets = [COLOUR, changed, COLOUR[:11], (COLOUR, LABELS), (changed, LABELS), (COLOUR, relabelled)]
    hashes = [open_given(images, 16, 3)[1] for images in sets]
    assert len(set(hashes)) == len(hashes)
    assert open_given(COLOUR.clone(), 16, 3)[1] == hashes[0]
    assert open_given(COLOUR.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2), 16, 3)[1] == hashes[0]


def test_given_digits_are_the_digits() -> None:
    """Split like them as well under version 1, where splits are drawn by the number of images."""
    embedded = open_data(DataConfig(source="digits", image_size=8, channels=1))
    pixels = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[:, None]
    config = DataConfig(source="given", image_size=8, channels=1, version=1)
    given = open_data(config, given=open_given((pixels, load_digits().target), 8, 1)[0])
    assert given.classes == embedded.classes
    for one, other in zip(list_splits(embedded), list_splits(given), strict=True):
        assert torch.equal(read_all(one), read_all(other)) and torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_images_on_access_are_those_in_memory(workers: int) -> None:
    source, _ = open_given(Items(KINDS["PIL"], True), 8, 1)
    stored, read = (
        open_data(DataConfig(source="given", image_size=8, channels=1, cache=cache, workers=workers), given=source)
        for cache in ("memory", "none")
    )
    assert stored.train.in_memory and not read.train.in_memory and stored.fingerprint == read.fingerprint
    assert torch.equal(read_all(stored.train), read_all(read.train))


def test_very_many_images_are_known_by_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reading, sources, split_members):
        monkeypatch.setattr(module, "MAX_VERIFIED_IMAGES", 5)
    changed = COLOUR.clone()
    changed[7, 0, 0, 0] ^= 1
    config = DataConfig(source="given", image_size=16)
    before = open_data(config, given=open_given(COLOUR, 16, 3)[0])
    after = open_data(config, given=open_given(changed, 16, 3)[0], known=before.members)
    assert after.differences.changed == ("7",)


def test_the_names_of_a_data_set_are_kept() -> None:
    images = Items(KINDS["PIL"], True)
    images.classes = ["cat", "dog", "owl"]  # as torchvision's sets have them
    assert open_given(images, 16, 3)[0].classes == ("cat", "dog", "owl")
    config = DataConfig(source="given", image_size=16)
    for names in (["cat", "dog", "owl"], ["1", "2", "3"]):  # the same pixels, which are in memory already
        images.classes = names
        assert open_data(config, given=open_given(images, 16, 3)[0]).classes == tuple(names)


@pytest.mark.parametrize(
    ("images", "settings", "expected"),
    [
        (COLOUR, {}, {"channels": 3, "image_size": 16}),
        (COLOUR[:, :1], {}, {"channels": 1, "image_size": 16}),
        (COLOUR, {"image_size": 8}, {"channels": 3, "image_size": 8}),
        (COLOUR[..., :14, :14], {"image_size": 8}, {"channels": 3, "image_size": 8}),
        (COLOUR[..., :8], {}, {"channels": 3}),
        (Items(KINDS["PIL"], False), {}, {"channels": 3, "image_size": 16}),
        ([make_image(24, 24, mode="L")], {}, {"channels": 1, "image_size": 24}),
        ([make_image(24, 24)], {"channels": 1}, {"channels": 1, "image_size": 24}),
        ([make_image(14, 14)], {}, {"channels": 3}),
        ([make_image(512, 512)], {}, {"channels": 3, "image_size": 512}),
        (np.zeros((1, 3, 1024, 1024), np.uint8), {}, {"channels": 3, "image_size": 1024}),
    ],
)
def test_a_config_takes_over_the_size_of_the_first_image(images: Any, settings: Any, expected: dict[str, int]) -> None:
    described = describe_given(images, {"data": settings, "seed": 3})
    columns = {"hub": None, "image_column": None, "label_column": None}
    elsewhere = {"root": None, "folders": None, **columns, "count": None, "strict": False, "download": False}
    assert described == {"data": {**settings, "source": "given", **elsewhere, **expected}, "seed": 3}


class Stream(IterableDataset[Any]):
    """A data set without random access."""

    def __iter__(self) -> Any:
        return iter(COLOUR)


class Numbered(Items):
    """A data set whose items have the numbers from 1."""

    def __getitem__(self, index: int) -> Any:
        return dict(enumerate(COLOUR, start=1))[index]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (5, "a int has no random access"),
        ("folder", "a str has no random access"),
        (Stream(), "a Stream has no random access"),
        ([], "there are no images"),
        (COLOUR[:0], "there are no images"),
        (COLOUR[0], "an array of shape (3, 16, 16); give uint8, shape (N, C, S, S)"),
        (COLOUR.float(), "image 0 is of float32; give uint8 pixels, 0 to 255"),
        (COLOUR.permute(0, 2, 3, 1), "image 0 has the shape (16, 16, 3); give (C, S, S)"),
        ([COLOUR[0], COLOUR[1].float()], "image 1 is of float32"),
        ([COLOUR[0], None], "item 1 is a NoneType"),
        ([{"img": COLOUR[0], "label": 1}],
         "item 0 is a dict; give a uint8 array, a tensor or a PIL image, or (image, label), such as"
         " [(row['img'], row['label']) for row in data]"),
        ({"images": COLOUR}, "a dict of images is no set of images; pass one of its entries, such as dataset['im"),
        ({"test": [], "train": []}, "a dict of test, train is no set of images; pass one of its entries"),
        ({}, "there are no images"),
        (Numbered(KINDS["tensor"], False), "no item 0 in a Numbered of 12 (KeyError: 0); give one whose items have"),
        ([Image.new("F", (16, 16))], "image 0: floating-point pixels"),
        ((COLOUR, LABELS[:5]), "labels of int64 of shape (5,); give one integer for each of the 12 images"),
        ((COLOUR, LABELS - 1), "labels of int64 of shape (12,); give one integer"),
        (COLOUR.bfloat16(), "image 0 is of bfloat16; give uint8 pixels, 0 to 255"),
        (COLOUR.float().requires_grad_(), "image 0 is of float32"),
        ([COLOUR[0].to("meta")], "image 0 is a tensor that NumPy does not read; give an ordinary one"),
        ((COLOUR, LABELS.float()), "labels of float32"),
        ((COLOUR, LABELS.bfloat16()), "labels of a type that NumPy does not read; give one integer for each of the 12"),
        ((COLOUR, ["cat"] * 12), "labels of <U3"),
        ([(COLOUR[0], "cat")], "labels of <U3"),
        ((COLOUR, [[1]] * 11 + [[1, 2]]), "labels of object of shape (12,); give one integer"),
        ((COLOUR, LABELS + 65536), "labels of int64 of shape (12,); give one integer for each of the 12 images"),
        ((list(COLOUR), LABELS), "item 0 is a list"),
        ([(COLOUR[0], 1), COLOUR[1]], "item 1 has no label, and item 0 has one"),
    ],
)  # fmt: skip
def test_anything_else_is_named_in_one_line(images: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        open_given(images, 16, 3)
    if message.startswith(("a dict", "item 0", "no item 0")):
        with pytest.raises(UserError, match=re.escape(str(error.value))):
            describe_given(images, {})
    assert str(error.value).startswith("data: ") and message in str(error.value) and "\n" not in str(error.value)


def test_images_that_change_on_every_access_are_refused() -> None:
    random = Items(lambda image: torch.randint_like(image, 256), False)
    with pytest.raises(UserError, match=r"^data: image 0 is another one when it is read again; leave random "):
        open_given(random, 16, 3)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(COLOUR[0].permute(1, 2, 0).numpy()).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:300])
    files = [Image.open(tmp_path / name) for name in ("whole.png", "half.png")]
    with pytest.raises(UserError, match=r"^data: image 1: "):
        open_given(files, 16, 3)


def test_a_data_set_is_not_read_to_describe_it() -> None:
    read: list[int] = []

    class Counted(Items):
        def __getitem__(self, index: int) -> Any:
            read.append(index)
            return super().__getitem__(index)

    describe_given(Counted(KINDS["PIL"], True), {})
    assert set(read) == {0}


def test_a_section_that_is_no_mapping_is_left_to_the_schema() -> None:
    assert describe_given(COLOUR, {"data": 5}) == {"data": 5}


def test_a_side_that_no_network_takes_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^data: images of 14 pixels, .* data\.image_size=16$"):
        describe_given(COLOUR[..., :14, :14], {})


def test_given_images_must_be_given_again() -> None:
    with pytest.raises(UserError, match=r"^data\.source: given: .* vaegan\.evaluate_run\(run, data=images\)$"):
        open_data(DataConfig(source="given", image_size=8))


@pytest.mark.parametrize("version", [1, 2])
def test_pil_images_are_decoded_as_files_are(tmp_path: Path, version: int) -> None:
    file = tmp_path / "x.png"
    make_image(33, 20).save(file, icc_profile=make_rgb_profile(ADOBE_GAMMA, ADOBE_RGB))
    source, _ = open_given([Image.open(file)], 16, 3, version=version)
    assert np.array_equal(source.reader(0), read_image(file, 16, 3, version))
    assert not np.array_equal(source.reader(0), read_image(file, 16, 3, 3 - version))


def test_pil_images_are_turned_as_their_exif_says(tmp_path: Path) -> None:
    exif, upright = Image.Exif(), [make_image(16, 16, seed) for seed in range(12)]
    exif[0x0112] = 6
    for number, image in enumerate(upright):
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / f"{number}.png", exif=exif)
    source, sha256 = open_given([Image.open(tmp_path / f"{number}.png") for number in range(12)], 16, 3)
    assert sha256 == open_given(upright, 16, 3)[1]
    assert np.array_equal(source.reader.load_canvas(0, "random"), np.asarray(upright[0]).transpose(2, 0, 1))


def test_a_pil_image_with_a_torn_file_is_named(tmp_path: Path) -> None:
    make_image(64, 64).save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:5000])
    with pytest.raises(UserError, match=r"^data: image 1: image file is truncated"):
        open_given([make_image(), Image.open(tmp_path / "x.png")], 16, 3)
