"""A file holds any number of messages of any names; what is torn, foreign or changed by a bit is refused."""

import resource
from pathlib import Path

import numpy as np
import pytest

from vaegan.compression.container import (
    CompressedDescription,
    CompressedWriter,
    Message,
    read_compressed,
    write_compressed,
)
from vaegan.compression.decompressing import find_rows
from vaegan.errors import Failure, UserError

NAMES = (
    "a/1.png",
    "a/two words.png",
    "ä/\U0001f600.jpg",
    "line\nbreak",
    "'\"$.png",
    "\udcff\udcfe.png",
    "-",
    ".hidden",
)
DESCRIPTION = {
    "weights": "0" * 64, "prior": "1" * 64, "image_shape": (3, 8, 8), "coder": "pixelcnn", "multiple": 1, "step": 1.0,
    "classes": 3, "batch_size": 2, "images": len(NAMES),
}  # fmt: skip
MESSAGES = [
    Message(name, bytes(range(number)), 1000 + number, number % 3, 8 + number, 9) for number, name in enumerate(NAMES)
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "a.vg", MESSAGES)


def write(path: Path, messages: list[Message], **settings: object) -> Path:
    with path.open("wb") as stream:
        writer = CompressedWriter(stream)
        for message in messages:
            writer.add(message)
        writer.finish(CompressedDescription.model_validate(DESCRIPTION | settings))
    return path


def read_all(path: Path) -> None:
    compressed = read_compressed(path)
    compressed.read_messages(list(range(compressed.description.images)))


def test_messages_are_read_in_any_order(file: Path) -> None:
    compressed = read_compressed(file)
    assert compressed.names == NAMES and compressed.file_bytes == file.stat().st_size
    assert compressed.message_bytes == sum(range(len(NAMES)))
    assert compressed.description == CompressedDescription.model_validate(DESCRIPTION)
    assert compressed.read_messages([5, 0, 7]) == [MESSAGES[row].content for row in (5, 0, 7)]
    assert compressed.columns["labels"].tolist() == [message.label for message in MESSAGES]
    assert compressed.columns["symbol_checks"].tolist() == [message.symbol_check for message in MESSAGES]
    assert find_rows(compressed, [NAMES[4], NAMES[2]]) == [2, 4]
    with pytest.raises(UserError, match=r"--only b: no image of .*a.vg has this name; the first is a/1.png"):
        find_rows(compressed, ["b"])


def test_a_bit_changed_anywhere_is_found(file: Path, tmp_path: Path) -> None:
    content, changed = file.read_bytes(), tmp_path / "changed.vg"
    for place in range(len(content)):
        other = bytearray(content)
        other[place] ^= 1 << place % 8
        changed.write_bytes(other)
        with pytest.raises((UserError, Failure)) as error:
            read_all(changed)
        assert "\n" not in str(error.value) and str(changed) in str(error.value)


def test_a_torn_file_is_refused(file: Path, tmp_path: Path) -> None:
    content, torn = file.read_bytes(), tmp_path / "torn.vg"
    for size in range(len(content)):
        torn.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"torn\.vg: (torn or damaged|no compressed images|of version none)"):
            read_compressed(torn)
    for end in (b"\0", content):
        torn.write_bytes(content + end)
        with pytest.raises(UserError, match="torn or damaged"):
            read_compressed(torn)


def test_other_files_are_refused(file: Path, tmp_path: Path) -> None:
    (other := tmp_path / "other.vg").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(UserError, match=r"other.vg: no compressed images; give a file that `vaegan compress`"):
        read_compressed(other)
    content = bytearray(file.read_bytes())
    content[8] = 9
    other.write_bytes(content)
    with pytest.raises(UserError, match="of version 9 of the format, and this vaegan reads 1"):
        read_compressed(other)
    with pytest.raises(UserError, match=r"nothing.vg: No such file or directory; give a file"):
        read_compressed(tmp_path / "nothing.vg")
    with pytest.raises(UserError, match=r"Is a directory"):
        read_compressed(tmp_path)


def write_much(file: Path) -> None:
    with write_compressed(file) as writer:
        for number in range(100):
            writer.add(Message(str(number), bytes(1000), 0, 0, 8, 8))


def test_a_full_disk_leaves_the_file_that_was_there(file: Path) -> None:
    before, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            write_much(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(file)
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a//x.png", "a/../../x.png", "", "a\0b", "."])
def test_no_name_leads_out_of_a_folder(name: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.vg", [Message(name, b"", 0, 0, 8, 8)], images=1)
    with pytest.raises(UserError, match="torn or damaged"):
        read_compressed(file)


@pytest.mark.parametrize("images", [7, 9, 10**9])
def test_a_count_that_is_not_that_of_the_index_is_refused(images: int, tmp_path: Path) -> None:
    file = write(tmp_path / "a.vg", MESSAGES, images=images)
    with pytest.raises(UserError, match="torn or damaged"):
        read_compressed(file)


def test_images_that_keep_their_sizes_have_them_in_the_index(file: Path, tmp_path: Path) -> None:
    kept = read_compressed(write(tmp_path / "b.vg", MESSAGES, tile_side=0, batch_size=1))
    assert [kept.get_size(row) for row in range(len(NAMES))] == [(8 + row, 9) for row in range(len(NAMES))]
    assert kept.read_messages([3]) == [MESSAGES[3].content] and kept.names == NAMES
    assert read_compressed(file).get_size(3) is None and b"tile_side" not in file.read_bytes()


@pytest.mark.parametrize(
    ("message", "settings", "problem"),
    [
        (Message("a", b"", 0, 3, 8, 8), {}, "a class is none of its model"),
        (Message("a", b"", 0, 0, 0, 8), {"tile_side": 0}, "a size is that of no image"),
        (Message("a", b"", 0, 0, 2**20, 2**20), {"tile_side": 0}, "a size is that of no image"),
        (Message("a", b"", 0, 0, 8, 8), {"tile_side": 0, "batch_size": 2}, "a size is that of no image"),
    ],
)
def test_what_no_model_and_no_image_has_is_refused(message, settings, problem: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.vg", [message], **{"images": 1, "batch_size": 1, **settings})
    with pytest.raises(UserError, match=f"a.vg: torn or damaged .{problem}"):
        read_compressed(file)
