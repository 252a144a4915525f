"""A checkpoint that the disk cannot read at this moment does not count as damaged."""

import errno
import itertools
import os
import resource
from contextlib import suppress
from pathlib import Path

import pytest

import vaegan.storage.checkpoints
from vaegan.errors import FileFailure
from vaegan.storage.checkpoints import save_checkpoint

from .checkpoint_files import CHECKPOINT_FILES, load_with_notes, make_checkpoint


@pytest.mark.parametrize("name", CHECKPOINT_FILES)
def test_a_file_that_the_disk_cannot_read_is_not_damaged(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, make_checkpoint(1), keep=3)
    file = save_checkpoint(tmp_path, make_checkpoint(2), keep=3) / name
    file.unlink()
    file.symlink_to("/proc/self/mem")  # a regular file whose first byte is no memory
    with pytest.raises(FileFailure) as failure:
        load_with_notes(tmp_path)
    assert str(failure.value) == f"{file}: Input/output error; nothing was changed; try again when it can be read"


def test_no_checkpoint_is_damaged_because_too_many_files_are_open(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=3)
    load_with_notes(tmp_path)  # whatever is imported for it is imported now
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(tmp_path, os.O_RDONLY)]
    failures: list[str] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 50, limits[1]))
        with suppress(OSError):
            while True:
                held.append(os.dup(held[0]))
        while True:
            try:
                loaded, notes = load_with_notes(tmp_path)
                break
            except FileFailure as failure:
                failures.append(str(failure))
                os.close(held.pop())
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert loaded is not None and loaded.step == 2 and notes == []
    assert len(failures) == 2 and all("Too many open files" in each and "\n" not in each for each in failures)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        *itertools.product(["listdir", "stat", "open"], [errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE]),
        ("load_tensors", errno.ENOENT),  # so safetensors calls whatever keeps it from opening a file
    ],
)
def test_an_error_of_the_disk_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """The error is raised by each call of a function in turn."""
    for step in (1, 2):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=3)
    owner = {"stat": Path, "load_tensors": vaegan.storage.checkpoints}.get(call, os)
    original, left = getattr(owner, call), 0

    def fail_once(path, *args, **options):
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(number, os.strerror(number), str(path))
        return original(path, *args, **options)

    monkeypatch.setattr(owner, call, fail_once)
    failures: list[str] = []
    while True:
        left = len(failures) + 1
        try:
            loaded, notes = load_with_notes(tmp_path)
            break
        except FileFailure as failure:
            failures.append(str(failure))
    assert loaded is not None and loaded.step == 2 and notes == []
    assert len(failures) > 1
    assert all(each.startswith(str(tmp_path)) and os.strerror(number) in each for each in failures)
