"""Any tree of image files: what is read, how it is fitted, and what is said of the rest."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.config.schema import DataConfig
from vaegan.data import Data, UnreadableImageError, find_images, open_data, read_image
from vaegan.errors import Failure, UserError


def picture(width: int = 20, height: int = 16, seed: int = 0, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def tree(root: Path, count: int = 12, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for number in range(count):
        folder = root / classes[number % len(classes)]
        folder.mkdir(parents=True, exist_ok=True)
        picture(16 + number, 30 - number % 20, number).save(folder / f"{number:02}.png")
    return root


def config(root: Path, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"source": "folder", "root": root, "image_size": 16, **settings})


def opened(root: Path, **settings: object) -> tuple[Data, list[str]]:
    said: list[str] = []
    return open_data(config(root, **settings), said.append), said


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_class_folders_are_labels_in_sorted_order(tmp_path: Path) -> None:
    data, said = opened(tree(tmp_path))
    assert data.classes == ("cat", "dog") and not said
    for split in (data.train, data.validation, data.test):
        assert split.labels is not None
        assert torch.equal(split.labels, (split.part >= 6).long())
        for position, number in enumerate(split.part.tolist()):
            name = find_images(tmp_path)[number]
            assert split.label(position) == name.split("/")[0]
            expected = torch.from_numpy(read_image(tmp_path / name, 16, 3))
            assert torch.equal(split[torch.tensor([position])][0], expected)


def test_images_in_the_root_have_no_labels(tmp_path: Path) -> None:
    picture().save(tree(tmp_path) / "loose.png")
    data, _ = opened(tmp_path)
    assert data.classes == () and data.train.labels is None and data.train.label(0) is None


def test_other_and_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    tree(tmp_path, 4)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / "._00.png").write_text("no image")
    (tmp_path / ".cache").mkdir()
    picture().save(tmp_path / ".cache" / "x.png")
    assert find_images(tmp_path) == ("cat/00.png", "cat/02.png", "dog/01.png", "dog/03.png")


def test_links_are_followed_but_no_folder_is_visited_twice(tmp_path: Path) -> None:
    root, elsewhere = tree(tmp_path / "set", 4), tree(tmp_path / "elsewhere", 1, ("bird",))
    (root / "cat" / "up").symlink_to(root)
    (root / "again").symlink_to(root / "dog")
    (root / "more").symlink_to(elsewhere)
    assert find_images(root) == ("cat/00.png", "cat/02.png", "dog/01.png", "dog/03.png", "more/bird/00.png")


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_broken_and_tiny_files_are_named_in_one_warning_and_skipped(tmp_path: Path, cache: str) -> None:
    tree(tmp_path, 20)
    (tmp_path / "cat" / "text.jpg").write_text("not an image")
    (tmp_path / "cat" / "empty.png").write_bytes(b"")
    (tmp_path / "dog" / "bomb.png").write_bytes(bomb())
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "line\nbreak.png").write_bytes(b"?")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    (tmp_path / "dog" / "device.png").symlink_to("/dev/zero")
    picture(7, 300).save(tmp_path / "cat" / "tiny.png")
    data, said = opened(tmp_path, cache=cache)
    splits = (data.train, data.validation, data.test)
    shown = torch.cat([split[torch.arange(len(split))] for split in splits])
    good = [path for path in tmp_path.rglob("[0-9]*.png")]
    expected = torch.stack([torch.from_numpy(read_image(path, 16, 3)) for path in good])
    assert len(good) == 20 and {image.numpy().tobytes() for image in shown} == {x.numpy().tobytes() for x in expected}
    assert len(said) == 1 and "\n" not in said[0] and said[0].startswith("data.root: 8 files")
    for name in ("text.jpg", "empty.png", "bomb.png", "gone.png", "line\\nbreak.png", "tiny.png (7x300 pixels",
        "pipe.png (not a regular file)", "device.png (not a regular file)"):  # fmt: skip
        assert name in said[0]
    with pytest.raises(UserError, match=r"data.strict: 8 of the files.*text\.jpg"):
        opened(tmp_path, cache=cache, strict=True)


def test_a_file_cut_short_is_found_when_the_set_is_kept_in_memory(tmp_path: Path) -> None:
    tree(tmp_path)
    whole = (tmp_path / "cat" / "00.png").read_bytes()
    (tmp_path / "cat" / "00.png").write_bytes(whole[: len(whole) // 2])
    data, said = opened(tmp_path)
    assert "00.png" in said[0] and not (torch.cat([data.train.part, data.validation.part, data.test.part]) == 0).any()


def test_programs_in_an_image_file_are_not_run(tmp_path: Path) -> None:
    tree(tmp_path)
    Image.new("RGB", (16, 16)).save(tmp_path / "x.eps")
    os.rename(tmp_path / "x.eps", tmp_path / "cat" / "x.png")
    _, said = opened(tmp_path)
    assert "x.png (not an image)" in said[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text(""), "a file, not a folder"),
        (lambda path: path.mkdir(), "no image in it"),
        (lambda path: (path.mkdir(), (path / "x.png").write_text("")), "none of the 1 files can be used"),
        (lambda path: tree(path, 2), "2 images cannot be split"),
    ],
)
def test_a_root_that_is_no_set_is_a_mistake_in_one_line(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "set")
    with pytest.raises(UserError, match=message) as caught:
        opened(tmp_path / "set")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("data")


@pytest.mark.parametrize(("width", "height"), [(40, 24), (24, 40), (33, 32), (16, 500), (8, 9)])
def test_fitting_is_resizing_the_short_side_and_cropping_the_centre(tmp_path: Path, width: int, height: int) -> None:
    image = picture(width, height)
    image.save(tmp_path / "x.png")
    scale = 16 / min(width, height)
    whole = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (whole.width - 16) // 2, (whole.height - 16) // 2
    expected = np.asarray(whole.crop((left, top, left + 16, top + 16))).transpose(2, 0, 1)
    got = read_image(tmp_path / "x.png", 16, 3)
    exact = (width * scale) % 1 == 0 and (height * scale) % 1 == 0 and (whole.width - whole.height) % 2 == 0
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= (1 if exact else 120)
    assert got.dtype == np.uint8 and got.shape == (3, 16, 16)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("1", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("P", "gif"),
        ("P", "png"),
        ("RGBA", "png"),
        ("CMYK", "jpg"),
        ("L", "jpg"),
    ],
)
def test_every_mode_is_read(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    grey = Image.fromarray(np.kron(np.array([[40, 200], [120, 250]], dtype=np.uint8), np.ones((8, 8), dtype=np.uint8)))
    grey.convert("RGB" if mode == "CMYK" else "L").convert(mode).save(tmp_path / f"x.{ending}")
    got = read_image(tmp_path / f"x.{ending}", 16, channels).astype(int)
    assert got.shape == (channels, 16, 16)
    if mode != "1":
        assert np.abs(got - np.asarray(grey).astype(int)).max() <= 6


def test_16_bit_grey_keeps_its_range_and_floats_are_refused(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert np.abs(read_image(tmp_path / "x.png", 16, 1)[0].astype(float) - values / 257).max() <= 0.51
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(UnreadableImageError, match="range is not known"):
        read_image(tmp_path / "x.tif", 16, 1)


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "x.png")
    assert (read_image(tmp_path / "x.png", 16, 3) == 255).all()


def test_exif_orientation_is_obeyed_and_the_first_frame_is_taken(tmp_path: Path) -> None:
    upright = picture(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "x.png", 16, 3), np.asarray(upright).transpose(2, 0, 1))
    red, blue = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "x.gif", save_all=True, append_images=[blue])
    assert read_image(tmp_path / "x.gif", 16, 3)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_file_that_vanishes_is_a_failure_that_names_it(tmp_path: Path) -> None:
    data, _ = opened(tree(tmp_path), cache="none")
    name = find_images(tmp_path)[int(data.train.part[0])]
    (tmp_path / name).unlink()
    with pytest.raises(Failure, match=f"{name}: no such file"):
        data.train[torch.tensor([0])]


def test_changed_files_are_noticed(tmp_path: Path) -> None:
    first, _ = opened(tree(tmp_path))
    assert opened(tmp_path)[0] is first
    picture(99, 99).save(tmp_path / "cat" / "new.png")
    second, _ = opened(tmp_path)
    assert second is not first and second.fingerprint != first.fingerprint


def test_progress_reaches_the_number_of_files(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_data(config(tree(tmp_path, 300)), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(128, 300), (256, 300), (300, 300)]
