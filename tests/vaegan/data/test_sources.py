"""Opening of an image set: its splits, cache, fingerprint, and the files that cannot be used."""

import os
import struct
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from vaegan.data import open_data, read_image
from vaegan.errors import UserError

from .image_sets import (
    EMBEDDED,
    embedded_config,
    folder_config,
    list_splits,
    make_image,
    open_image_tree,
    read_all,
    write_image_tree,
)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 24, 64])
@pytest.mark.parametrize("source", EMBEDDED)
def test_images_are_uint8_of_the_configured_size(source: str, size: int, channels: int) -> None:
    data = open_data(embedded_config(source, image_size=size, channels=channels))
    for images in list_splits(data):
        batch = images[torch.tensor([3, 0, 3])]
        assert batch.shape == (3, channels, size, size) and batch.dtype == torch.uint8 and batch.device.type == "cpu"
        assert torch.equal(batch[0], batch[2]) and not torch.equal(batch[0], batch[1])
        assert images.labels is not None and images.labels.shape == (len(images),)
        assert images.classes == data.classes and int(images.labels.max()) < len(images.classes)


@pytest.mark.parametrize("source", EMBEDDED)
def test_decoding_on_access_gives_the_bits_of_decoding_at_the_start(source: str) -> None:
    in_memory, decoded = (open_data(embedded_config(source, cache=cache)) for cache in ("memory", "none"))
    assert in_memory.fingerprint == decoded.fingerprint
    for one, other in zip(list_splits(in_memory), list_splits(decoded), strict=True):
        assert one.in_memory and not other.in_memory
        assert torch.equal(read_all(one), read_all(other))


def test_a_set_is_opened_once() -> None:
    first = open_data(embedded_config("shapes"))
    assert open_data(embedded_config("shapes")) is first
    assert open_data(embedded_config("shapes", count=61)) is not first


def test_the_fingerprint_tells_sets_apart() -> None:
    settings = [{}, {"count": 61}, {"image_size": 8}, {"channels": 1}, {"validation": 0.2}, {"test": 0.2}]
    prints = [open_data(embedded_config("shapes", **setting)).fingerprint for setting in settings]
    assert len(set(prints)) == len(prints)
    assert prints[0] == open_data(embedded_config("shapes", cache="none", workers=1)).fingerprint


def make_bomb() -> bytes:
    """Return a PNG of 60,000 x 60,000 pixels in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_broken_and_tiny_files_are_named_in_one_warning_and_skipped(tmp_path: Path, cache: str) -> None:
    write_image_tree(tmp_path, 20)
    (tmp_path / "cat" / "text.jpg").write_text("not an image")
    (tmp_path / "cat" / "empty.png").write_bytes(b"")
    (tmp_path / "dog" / "bomb.png").write_bytes(make_bomb())
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "line\nbreak.png").write_bytes(b"?")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    (tmp_path / "dog" / "device.png").symlink_to("/dev/zero")
    make_image(7, 300).save(tmp_path / "cat" / "tiny.png")
    data, warnings = open_image_tree(tmp_path, cache=cache)
    splits = (data.train, data.validation, data.test)
    images = torch.cat([split[torch.arange(len(split))] for split in splits])
    good = [path for path in tmp_path.rglob("[0-9]*.png")]
    expected = torch.stack([torch.from_numpy(read_image(path, 16, 3)) for path in good])
    assert len(good) == 20 and {image.numpy().tobytes() for image in images} == {x.numpy().tobytes() for x in expected}
    assert len(warnings) == 1 and "\n" not in warnings[0] and warnings[0].startswith("data.root: 8 files")
    for name in ("text.jpg", "empty.png", "bomb.png", "gone.png", "line\\nbreak.png", "tiny.png (7x300 pixels",
        "pipe.png (not a regular file)", "device.png (not a regular file)"):  # fmt: skip
        assert name in warnings[0]
    with pytest.raises(UserError, match=r"data.strict: 8 of the files.*text\.jpg"):
        open_image_tree(tmp_path, cache=cache, strict=True)


def test_a_file_cut_short_is_found_when_the_set_is_kept_in_memory(tmp_path: Path) -> None:
    write_image_tree(tmp_path)
    whole = (tmp_path / "cat" / "00.png").read_bytes()
    (tmp_path / "cat" / "00.png").write_bytes(whole[: len(whole) // 2])
    data, warnings = open_image_tree(tmp_path)
    assert (
        "00.png" in warnings[0]
        and not (torch.cat([data.train.indices, data.validation.indices, data.test.indices]) == 0).any()
    )


def test_programs_in_an_image_file_are_not_run(tmp_path: Path) -> None:
    write_image_tree(tmp_path)
    Image.new("RGB", (16, 16)).save(tmp_path / "x.eps")
    os.rename(tmp_path / "x.eps", tmp_path / "cat" / "x.png")
    _, warnings = open_image_tree(tmp_path)
    assert "x.png (a PostScript file, which is not read; save it as PNG)" in warnings[0]


def test_changed_files_are_noticed(tmp_path: Path) -> None:
    first, _ = open_image_tree(write_image_tree(tmp_path))
    assert open_image_tree(tmp_path)[0] is first
    make_image(99, 99).save(tmp_path / "cat" / "new.png")
    second, _ = open_image_tree(tmp_path)
    assert second is not first and second.fingerprint != first.fingerprint


def test_progress_reaches_the_number_of_files(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_data(folder_config(write_image_tree(tmp_path, 300)), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(128, 300), (256, 300), (300, 300)]
