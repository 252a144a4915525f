"""Files that others may have tampered with, and the replacement of whole files and folders."""

import os
import resource
from pathlib import Path

import pytest
import torch

from vaegan.io import (
    hash_file,
    load_tensors,
    open_regular_file,
    read_bytes,
    remove,
    replace_file,
    replace_folder,
    save_tensors,
    write_text,
)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file of somebody else's that must stay as it is."""
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "kept"
    file.write_text("kept")
    return file


@pytest.mark.parametrize("read", [read_bytes, hash_file])
def test_what_may_have_no_end_is_not_read(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "link", "zeros"):
        with pytest.raises(OSError, match="Not a regular file") as caught:
            read(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing")


def test_contents_are_all_of_a_file_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_bytes(tmp_path / "file", 4)
    os.truncate(tmp_path / "file", 2**40)
    with pytest.raises(OSError, match=r"more than 16,777,216 bytes"):
        read_bytes(tmp_path / "file")


def test_a_link_to_a_file_is_read(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "link").symlink_to(kept)
    with open_regular_file(tmp_path / "link") as file:
        assert file.read() == b"kept"


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path, kept: Path) -> None:
    for target in (kept, kept.parent, tmp_path / "nothing"):
        (tmp_path / "link").symlink_to(target)
        remove(tmp_path / "link")
        assert not (tmp_path / "link").is_symlink()
    assert kept.read_text() == "kept"
    remove(tmp_path / "nothing")
    remove(kept)
    assert not kept.exists()
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    remove(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_text_is_not_written_through_a_link(tmp_path: Path, kept: Path) -> None:
    for name in ("text", "text.partial"):
        (tmp_path / name).symlink_to(kept)
    write_text(tmp_path / "text", "new")
    assert kept.read_text() == "kept" and (tmp_path / "text").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "text"]
    (tmp_path / "text.partial").mkdir()
    write_text(tmp_path / "text", "newer")
    assert (tmp_path / "text").read_text() == "newer"
    with pytest.raises(IsADirectoryError) as caught:
        write_text(kept.parent, "new")
    assert caught.value.filename == str(kept.parent) and kept.read_text() == "kept"


@pytest.mark.parametrize("suffix", [".partial", ".123"])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, kept: Path, suffix: str) -> None:
    final = tmp_path / "file.png"
    (tmp_path / f"file.png{suffix}").symlink_to(kept)
    with replace_file(final, suffix) as partial:
        assert partial == tmp_path / f"file.png{suffix}"
        partial.write_text("new")
        assert not final.exists()
    with pytest.raises(UnicodeEncodeError), replace_file(final, suffix) as partial:
        partial.write_text("half \xff", encoding="ascii")
    assert final.read_text() == "new" and kept.read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "file.png"]


def test_replacing_puts_the_new_folder_in_the_place_of_the_old(tmp_path: Path) -> None:
    final = tmp_path / "model"

    def fill(text: str) -> None:
        with replace_folder(final) as partial:
            (partial / "file").write_text(text, encoding="ascii")

    fill("old")
    fill("new")
    assert (final / "file").read_text() == "new"
    with pytest.raises(UnicodeEncodeError):
        fill("\xff")
    assert (final / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_files_of_tensors_are_readable_for_whom_the_umask_allows(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save_tensors({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
        save_tensors({"a": torch.ones(2)}, tmp_path / "a.safetensors")
        (tmp_path / "a.txt").write_text("a")
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "a.txt").stat().st_mode
    assert load_tensors(tmp_path / "a.safetensors")["a"].tolist() == [1, 1]


def test_a_name_without_room_for_a_suffix_is_no_obstacle(tmp_path: Path) -> None:
    for final in (tmp_path / ("n" * 255), tmp_path / ("\N{SNOWMAN}" * 85), tmp_path / ("\udcff" * 248)):
        with replace_file(final) as partial:
            partial.write_text(final.name[0].encode("unicode-escape").decode())
            assert partial.name.endswith(".partial") and not final.exists()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["\\u2603", "\\udcff", "n"]


def test_a_full_disk_is_said_of_the_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught, replace_file(tmp_path / "a.png") as partial:
            partial.write_bytes(bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(tmp_path / "a.png") and not list(tmp_path.iterdir())
