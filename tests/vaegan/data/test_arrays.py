"""Images in files of arrays: every kind of the same pixels is the same set, and what is wrong is named in one line."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from vaegan.config.data import DataConfig
from vaegan.data import open_data, reading, sources, split_members
from vaegan.data.arrays import open_arrays
from vaegan.data.image_file import fit_to_square
from vaegan.errors import UserError
from vaegan.trainers import train

from ...tiny import are_bit_identical, flatten, load_newest, tiny
from .image_sets import list_splits, make_image, read_all

COLOUR = np.stack([np.array(make_image(16, 16, seed)).transpose(2, 0, 1) for seed in range(24)])
"""uint8 (24, 3, 16, 16)."""
LABELS = np.arange(24) % 3


def write_npy_folder(place: Path, images: NDArray[Any], labels: NDArray[Any] | None) -> Path:
    place.mkdir()
    np.save(place / "images.npy", images)
    if labels is not None:
        np.save(place / "labels.npy", labels)
    return place


def name_arrays(images: NDArray[Any], labels: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    return {"images": images} | ({} if labels is None else {"labels": labels})


def write_npz(place: Path, images: NDArray[Any], labels: NDArray[Any] | None) -> Path:
    np.savez_compressed(f"{place}.npz", **name_arrays(images, labels))
    return Path(f"{place}.npz")


def write_stored_npz(place: Path, images: NDArray[Any], labels: NDArray[Any] | None) -> Path:
    """Write an uncompressed archive, whose images have the name that NumPy gives them."""
    np.savez(f"{place}.npz", images, **({} if labels is None else {"labels": labels}))
    return Path(f"{place}.npz")


def write_safetensors(place: Path, images: NDArray[Any], labels: NDArray[Any] | None) -> Path:
    save_file({key: np.ascontiguousarray(array) for key, array in name_arrays(images, labels).items()},
        f"{place}.safetensors")  # fmt: skip
    return Path(f"{place}.safetensors")


WRITERS: dict[str, Callable[[Path, NDArray[Any], NDArray[Any] | None], Path]] = {
    "npy": write_npy_folder, "npz": write_npz, "stored npz": write_stored_npz, "safetensors": write_safetensors,
}  # fmt: skip


def make_config(root: Path, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"source": "arrays", "root": root, "image_size": 16, **settings})


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "Fortran"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_file_of_the_same_pixels_is_the_same_set(tmp_path: Path, kind: str, layout: str, labelled: bool) -> None:
    images = {"NCHW": COLOUR, "NHWC": COLOUR.transpose(0, 2, 3, 1), "Fortran": np.asfortranarray(COLOUR)}[layout]
    source = open_arrays(WRITERS[kind](tmp_path / "set", images, LABELS if labelled else None), 16, 3)
    assert np.array_equal(np.stack([source.reader(index) for index in range(24)]), COLOUR)
    assert source.classes == (("0", "1", "2") if labelled else ())
    assert torch.equal(source.labels, torch.from_numpy(LABELS)) if labelled else source.labels is None


def test_an_uncompressed_archive_stays_in_its_file_and_is_checked(tmp_path: Path) -> None:
    file = write_stored_npz(tmp_path / "set", COLOUR, None)
    notes: list[str] = []
    assert isinstance(open_arrays(file, 16, 3, notes.append).reader.array, np.memmap) and not notes
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="bad CRC-32"):
        open_arrays(file, 16, 3)


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_very_many_images_are_known_by_their_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    """The sizes of files, by which image files are known then, say nothing here."""
    few = open_data(make_config(write_npy_folder(tmp_path / "set", COLOUR, LABELS), cache=cache))
    for module in (reading, sources, split_members):
        monkeypatch.setattr(module, "MAX_VERIFIED_IMAGES", 5)
    many = open_data(make_config(write_npy_folder(tmp_path / "copy", COLOUR, LABELS), cache=cache))
    assert many.members == few.members and many.fingerprint == few.fingerprint
    changed = COLOUR.copy()
    changed[7, 0, 0, 0] ^= 1
    root = write_npy_folder(tmp_path / "changed", changed, LABELS)
    differences = open_data(make_config(root, cache=cache), known=many.members).differences
    assert differences.changed == ("7",)


def test_a_single_npy_file_holds_images_without_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", COLOUR)
    np.save(tmp_path / "labels.npy", LABELS)
    source = open_arrays(tmp_path / "faces.npy", 16, 3)
    assert source.labels is None and isinstance(source.reader.array, np.memmap)


def test_other_sizes_and_channels_are_fitted_as_image_files_are(tmp_path: Path) -> None:
    grey = np.stack([np.array(make_image(30, 21, seed, "L")) for seed in range(12)])
    np.save(tmp_path / "grey.npy", grey)
    np.save(tmp_path / "grey1.npy", grey[:, None])
    for name in ("grey", "grey1"):
        for channels in (1, 3):
            reader = open_arrays(tmp_path / f"{name}.npy", 16, channels).reader
            expected = fit_to_square(Image.fromarray(grey[7]), 16, channels)
            assert np.array_equal(reader(7), expected) and reader(7).flags.c_contiguous
    np.save(tmp_path / "colour.npy", COLOUR)
    luminance = np.array(make_image(16, 16, 3).convert("L"))
    assert np.array_equal(open_arrays(tmp_path / "colour.npy", 16, 1).reader(3)[0], luminance)


@pytest.mark.parametrize("kind", WRITERS)
def test_pixels_are_the_same_under_every_cache(tmp_path: Path, kind: str) -> None:
    root = WRITERS[kind](tmp_path / "set", COLOUR, LABELS)
    caches = [{"cache": "memory"}, {"cache": "none", "workers": 0}, {"cache": "none", "workers": 2}]
    sets = [open_data(make_config(root, **settings)) for settings in caches]
    assert [data.train.in_memory for data in sets] == [True, False, False]
    for splits in zip(*map(list_splits, sets), strict=True):
        assert all(torch.equal(read_all(splits[0]), read_all(split)) for split in splits)
        assert all(torch.equal(splits[0].labels, split.labels) for split in splits)
    assert len({data.fingerprint for data in sets}) == 1


@pytest.mark.parametrize("kind", WRITERS)
def test_a_reader_is_sent_without_its_pixels(tmp_path: Path, kind: str) -> None:
    reader = open_arrays(WRITERS[kind](tmp_path / "set", COLOUR, LABELS), 16, 3).reader
    sent = pickle.dumps(reader)
    assert len(sent) < COLOUR.nbytes / 10
    assert all(np.array_equal(pickle.loads(sent)(index), COLOUR[index]) for index in (0, 23))


def test_every_pixel_is_in_the_fingerprint_and_the_place_is_not(tmp_path: Path) -> None:
    changed = COLOUR.copy()
    changed[-1, -1, -1, -1] ^= 1
    files = {"a": COLOUR, "b": changed, "c": COLOUR}
    for name, images in files.items():
        np.save(tmp_path / f"{name}.npy", images)
    a, b, c = (open_data(make_config(tmp_path / f"{name}.npy", cache="none")).fingerprint for name in files)
    assert a == c != b


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, COLOUR)
    first, status = open_data(make_config(file)), file.stat()
    assert open_data(make_config(file)) is first
    np.save(file, 255 - COLOUR)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    second = open_data(make_config(file))
    assert torch.equal(read_all(second.train), 255 - read_all(first.train)) and second.fingerprint != first.fingerprint


def test_weights_are_those_of_a_folder_of_the_same_pixels(tmp_path: Path) -> None:
    """Trained on all images, since which are held out is a property of their names."""
    grey = COLOUR[:, 0, :8, :8]
    (tmp_path / "folder").mkdir()
    for number, image in enumerate(grey):
        Image.fromarray(image).save(tmp_path / "folder" / f"{number:03}.png")
    roots = {kind: WRITERS[kind](tmp_path / kind, grey, None) for kind in WRITERS} | {"folder": tmp_path / "folder"}
    states = []
    for kind, root in roots.items():
        source = "folder" if kind == "folder" else "arrays"
        overrides = [f"data.source={source}", f"data.root={root}", "data.validation=0", "data.test=0"]
        config = tiny("ae", *overrides, "data.horizontal_flip=true", "data.cache=none", "data.workers=0")
        run = train(config, tmp_path / f"run-{kind}", open_data(config.data))
        states.append(flatten(load_newest(run.path)))
    assert all(are_bit_identical(states[0], state) for state in states)


def cut(path: Path, bytes_left: int) -> Path:
    path.write_bytes(path.read_bytes()[:bytes_left])
    return path


def write(place: Path, kind: str, images: Any, labels: Any = None) -> Path:
    return WRITERS[kind](place, np.asarray(images), None if labels is None else np.asarray(labels))


def write_objects(place: Path) -> Path:
    np.save(place.with_suffix(".npy"), np.array([{}] * 12, dtype=object), allow_pickle=True)
    return place.with_suffix(".npy")


def write_text(place: Path, name: str) -> Path:
    (place.parent / name).write_text("x" * 99)
    return place.parent / name


def write_pipe(place: Path) -> Path:
    os.mkfifo(place.with_suffix(".npy"))
    return place.with_suffix(".npy")


def write_bfloat16_labels(place: Path) -> Path:
    arrays = {"images": torch.from_numpy(COLOUR).contiguous(), "labels": torch.from_numpy(LABELS).bfloat16()}
    save_tensors(arrays, place.with_suffix(".safetensors"))
    return place.with_suffix(".safetensors")


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda p: p.with_suffix(".npy"), "no such file or directory"),
    "missing folder": (lambda p: p, "no such file"),
    "other file": (lambda p: write_text(p, "a.h5"), "not a file of arrays; source=arrays reads .npy, .npz"),
    "empty folder": (lambda p: p.mkdir() or p, "no images.npy in this folder"),
    "pipe": (write_pipe, "not a regular file"),
    "text": (lambda p: write_text(p, "a.npy"), "cannot be read as .npy: "),
    "torn npy": (lambda p: cut(write(p, "npy", COLOUR) / "images.npy", 5000), "mmap length is greater than file size"),
    "torn npz": (lambda p: cut(write(p, "npz", COLOUR), 5000), "file is not a zip file"),
    "torn safetensors": (lambda p: cut(write(p, "safetensors", COLOUR), 5000), "file not fully covered"),
    "torn labels": (
        lambda p: cut(write(p, "npy", COLOUR, LABELS) / "labels.npy", 150).parent, "labels.npy: cannot be read",
    ),
    "npz as npy": (
        lambda p: write(p, "npz", COLOUR).rename(p.with_suffix(".npy")), "an archive of arrays; rename it to .npz",
    ),
    "npy as npz": (
        lambda p: (write(p, "npy", COLOUR) / "images.npy").rename(p.with_suffix(".npz")), "rename it to .npy",
    ),
    "labels that lead nowhere": (
        lambda p: os.symlink("nowhere", write(p, "npy", COLOUR) / "labels.npy") or p,
        "labels.npy: cannot be read as .npy: no such file or directory",
    ),
    "objects": (write_objects, "Python objects in dtype"),
    "floats": (lambda p: write(p, "npz", COLOUR / 255), "images of float64; store uint8 pixels, 0 to 255"),
    "halves": (lambda p: write(p, "safetensors", COLOUR.astype(np.float16)), "images of F16; store uint8"),
    "no images": (lambda p: write(p, "npz", COLOUR[:0]), "there are no images in it"),
    "five channels": (lambda p: write(p, "npz", np.zeros((9, 5, 16, 16), np.uint8)), "of shape (9, 5, 16, 16)"),
    "flat": (lambda p: write(p, "safetensors", COLOUR.reshape(24, -1)), "store (N, C, H, W), (N, H, W, C) or"),
    "small": (lambda p: write(p, "npz", COLOUR[..., :5]), "images of 5x16 pixels, fewer than 8 on a side"),
    "few labels": (lambda p: write(p, "npz", COLOUR, LABELS[:9]), "labels of int64 of shape (9,); give one integer"),
    "float labels": (lambda p: write(p, "safetensors", COLOUR, LABELS / 2), "labels of float64"),
    "negative labels": (lambda p: write(p, "npz", COLOUR, LABELS - 1), "labels of int64 of shape (24,)"),
    "huge labels": (lambda p: write(p, "npz", COLOUR, LABELS * 10**12), "labels of int64 of shape (24,)"),
    "labels of another type": (write_bfloat16_labels, "set.safetensors: "),  # numpy knows the type with ml_dtypes
    "scalar labels": (lambda p: write(p, "safetensors", COLOUR, 3), "labels of "),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, case: str) -> None:
    make, message = BAD[case]
    root = make(tmp_path / "set")
    with pytest.raises(UserError) as error:
        open_data(make_config(root))
    text = str(error.value)
    assert text.startswith(f"data.root: {root}") and message in text and "\n" not in text


def test_an_array_of_another_name_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pixels=COLOUR, y=LABELS)
    with pytest.raises(UserError, match=r"a\.npz: no array images in it, only pixels, y; store the pixels under"):
        open_data(make_config(tmp_path / "a.npz"))


def test_labels_of_another_name_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=COLOUR, label=LABELS)
    notes: list[str] = []
    assert not open_data(make_config(tmp_path / "a.npz"), notes.append).classes
    assert notes == [f"data.root: {tmp_path / 'a.npz'}: no array labels in it, only label; the images have no labels"]


def test_arrays_need_a_file() -> None:
    with pytest.raises(ValueError, match=r"data\.root: missing; data\.source=arrays needs the file of the images"):
        DataConfig(source="arrays", image_size=16)
