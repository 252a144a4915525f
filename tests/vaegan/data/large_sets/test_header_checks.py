"""Headers of sets that are too large to be decoded are checked once, and again where a file has changed."""

import os
from pathlib import Path

import pytest

from vaegan.data import folder, reading, sources
from vaegan.io import get_cache_folder

from ..image_sets import list_splits, make_image, open_image_tree, write_image_tree


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files whose headers are checked, of a set that counts as too large."""
    names: list[str] = []
    check = folder.check_image

    def record(path: str, version: int) -> None:
        names.append(os.path.relpath(path, tmp_path / "set"))
        check(path, version)

    for module in (reading, sources):
        monkeypatch.setattr(module, "MAX_VERIFIED_IMAGES", 10)
    monkeypatch.setattr(folder, "check_image", record)
    monkeypatch.setenv("VAEGAN_CACHE", str(tmp_path / "cache"))
    write_image_tree(tmp_path / "set", 20)
    return names


def open_again(root: Path, opened: list[str]) -> list[str]:
    """Return the names of the files that are opened when the set is opened in another process."""
    opened.clear()
    sources._read_cache.clear()
    data, _ = open_image_tree(root, cache="none")
    assert sum(map(len, list_splits(data))) == len([path for path in root.rglob("*.png") if path.stat().st_size > 9])
    return sorted(opened)


def test_a_second_start_opens_no_file_but_those_that_were_written_replaced_or_broken(
    tmp_path: Path, opened: list[str]
) -> None:
    root = tmp_path / "set"
    assert len(open_again(root, opened)) == 20 and open_again(root, opened) == []
    make_image(16, 16, 77).save(root / "cat" / "new.png")
    (root / "dog" / "bad.png").write_bytes(b"?")
    assert open_again(root, opened) == ["cat/new.png", "dog/bad.png"]
    assert open_again(root, opened) == ["dog/bad.png"]
    status = (root / "cat" / "00.png").stat()
    content = bytearray((root / "cat" / "00.png").read_bytes())
    (root / "cat" / "00.png").write_bytes(bytes(content))
    os.utime(root / "cat" / "00.png", ns=(status.st_atime_ns, status.st_mtime_ns))  # its size and time are the same
    os.replace(root / "dog" / "01.png", root / "dog" / "moved.png")
    assert open_again(root, opened) == ["cat/00.png", "dog/bad.png", "dog/moved.png"]


def test_what_was_damaged_since_is_found(tmp_path: Path, opened: list[str]) -> None:
    open_again(tmp_path / "set", opened)
    (tmp_path / "set" / "cat" / "02.png").write_bytes(b"x")
    assert open_again(tmp_path / "set", opened) == ["cat/02.png"]


@pytest.mark.parametrize("content", [b"", b"123", b"12345678" * 40, None])
def test_a_damaged_file_of_checks_counts_for_nothing(tmp_path: Path, opened: list[str], content: bytes | None) -> None:
    open_again(tmp_path / "set", opened)
    cache = get_cache_folder()
    assert cache is not None
    (file,) = (cache / "images").glob("*.headers")
    if content is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(content)
    assert len(open_again(tmp_path / "set", opened)) == 20
