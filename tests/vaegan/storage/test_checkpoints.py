import itertools
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from vaegan.io import MAX_TEXT_FILE_BYTES, hash_file
from vaegan.storage.checkpoints import Checkpoint, find_newest_checkpoint, quarantine_checkpoint, save_checkpoint

from ...tiny import are_bit_identical, flatten
from .checkpoint_files import CHECKPOINT_FILES, load_with_notes, make_checkpoint


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = make_checkpoint(7)
    assert save_checkpoint(tmp_path / "new" / "folder", saved, keep=1) == tmp_path / "new" / "folder" / "step_00000007"
    loaded, notes = load_with_notes(tmp_path / "new" / "folder")
    assert loaded is not None and notes == []
    assert loaded.step == 7 and loaded.state == saved.state and loaded.tensors.keys() == saved.tensors.keys()
    before, after = flatten(saved), flatten(loaded)
    assert {key: value.dtype for key, value in before.items()} == {key: value.dtype for key, value in after.items()}
    assert are_bit_identical(
        {key: value.contiguous().view(torch.uint8) if value.dim() else value for key, value in before.items()},
        {key: value.view(torch.uint8) if value.dim() else value for key, value in after.items()},
    )


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 9, 11):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=2)
    assert sorted(os.listdir(tmp_path)) == ["step_00000009", "step_00000011"]
    loaded, _ = load_with_notes(tmp_path)
    assert loaded is not None and loaded.step == 11
    assert load_with_notes(tmp_path / "none") == (None, [])


@pytest.mark.parametrize("name", CHECKPOINT_FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "flipped", "folder"])
def test_a_damaged_checkpoint_is_passed_over_with_a_word(tmp_path: Path, name: str, damage: str) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=3)
    file = tmp_path / "step_00000003" / name
    contents = bytearray(file.read_bytes())
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        contents[len(contents) // 2] ^= 1
        file.write_bytes({"empty": b"", "torn": contents[: len(contents) // 2], "flipped": contents}[damage])
    loaded, notes = load_with_notes(tmp_path)
    assert loaded is not None and loaded.step == 2
    (note,) = notes
    assert note.startswith(f"{tmp_path}/step_00000003: damaged (") and note.endswith("); using step_00000002")
    assert "\n" not in note and len(os.listdir(tmp_path)) == 3  # who only reads changes nothing


def test_a_description_that_is_far_too_large_is_damage(tmp_path: Path) -> None:
    os.truncate(save_checkpoint(tmp_path, make_checkpoint(1), keep=3) / "state.json", MAX_TEXT_FILE_BYTES + 1)
    loaded, notes = load_with_notes(tmp_path)
    assert loaded is None and notes == [f"{tmp_path}/step_00000001: damaged (state.json: more than 16,777,216 bytes)"]


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(1), keep=3)
    for name in CHECKPOINT_FILES:
        file = tmp_path / "step_00000001" / name
        contents = file.read_bytes()
        for place in range(0, len(contents), 1 + len(contents) // 50):
            file.write_bytes(contents[:place] + bytes([contents[place] ^ 4]) + contents[place + 1 :])
            loaded, notes = load_with_notes(tmp_path)
            # a blank of the list of checksums may change; what it lists may not
            assert (loaded is None and len(notes) == 1) or (
                name == "sha256.json" and contents[place : place + 1].isspace()
            )
        file.write_bytes(contents)
    assert load_with_notes(tmp_path)[0] is not None


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"state.json": 3}', "\xff"])
def test_a_list_of_checksums_that_lists_nothing_is_damage(tmp_path: Path, text: str) -> None:
    save_checkpoint(tmp_path, make_checkpoint(1), keep=3)
    (tmp_path / "step_00000001" / "sha256.json").write_bytes(text.encode("latin-1"))
    loaded, notes = load_with_notes(tmp_path)
    assert loaded is None and len(notes) == 1


def test_a_damaged_checkpoint_neither_counts_nor_is_deleted(tmp_path: Path) -> None:
    for step in (30, 60):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=2)
    (tmp_path / "step_00000060" / "state.json").unlink()
    save_checkpoint(tmp_path, make_checkpoint(45), keep=1)
    assert sorted(os.listdir(tmp_path)) == ["step_00000045", "step_00000060"]  # the new one is not deleted for it
    _, damaged = find_newest_checkpoint(tmp_path)
    assert [quarantine_checkpoint(path) for path in damaged] == [tmp_path / "step_00000060.damaged"]
    save_checkpoint(tmp_path, make_checkpoint(90), keep=2)
    assert sorted(os.listdir(tmp_path)) == ["step_00000045", "step_00000060.damaged", "step_00000090"]
    loaded, notes = load_with_notes(tmp_path)
    assert loaded is not None and loaded.step == 90 and notes == []


def test_where_none_is_intact_the_quarantined_ones_are_named(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        (save_checkpoint(tmp_path, make_checkpoint(step), keep=3) / "state.json").unlink()
        if step > 1:
            quarantine_checkpoint(tmp_path / f"step_{step:08d}")
    (tmp_path / "step_00000004.partial").mkdir()  # a kill has left it
    assert find_newest_checkpoint(tmp_path) == (
        None,
        {
            tmp_path / "step_00000001": "state.json: there is no such file",
            tmp_path / "step_00000003.damaged": "set aside before",
            tmp_path / "step_00000002.damaged": "set aside before",
        },
    )


def test_quarantine_replaces_an_older_quarantined_checkpoint(tmp_path: Path) -> None:
    elsewhere = save_checkpoint(tmp_path / "elsewhere", make_checkpoint(5), keep=1)
    listed = sorted(os.listdir(elsewhere))
    for _ in range(2):
        quarantine_checkpoint(save_checkpoint(tmp_path / "run", make_checkpoint(3), keep=1))
    (tmp_path / "run" / "step_00000003").symlink_to(elsewhere)
    quarantined = quarantine_checkpoint(tmp_path / "run" / "step_00000003")
    assert os.listdir(tmp_path / "run") == ["step_00000003.damaged"] and quarantined.is_symlink()
    quarantine_checkpoint(save_checkpoint(tmp_path / "run", make_checkpoint(3), keep=1))
    assert os.listdir(tmp_path / "run") == ["step_00000003.damaged"] and not quarantined.is_symlink()
    assert sorted(os.listdir(elsewhere)) == listed  # links are not followed


def test_a_damaged_checkpoint_is_replaced_by_one_of_the_same_step(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(3), keep=1)
    (tmp_path / "step_00000003" / "state.json").unlink()
    save_checkpoint(tmp_path, make_checkpoint(3), keep=1)
    assert load_with_notes(tmp_path)[1] == []
    assert os.listdir(tmp_path) == ["step_00000003"]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    folder = save_checkpoint(tmp_path / "run", make_checkpoint(1), keep=1)
    torch.save({"a": Trap()}, folder / "network.safetensors")
    hashes = json.loads((folder / "sha256.json").read_text())
    hashes["network.safetensors"] = hash_file(folder / "network.safetensors")  # even with the right checksum
    (folder / "sha256.json").write_text(json.dumps(hashes))
    loaded, notes = load_with_notes(tmp_path / "run")
    assert loaded is None and len(notes) == 1
    assert not (tmp_path / "sprung").exists()


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(1), keep=1)
    impossible = Checkpoint(1, {"network": {"a": torch.zeros(2)}}, {"set": {1, 2}})  # not JSON
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path, impossible, keep=1)
    assert os.listdir(tmp_path) == ["step_00000001"]
    loaded, notes = load_with_notes(tmp_path)
    assert loaded is not None and notes == []


def save_and_die(folder: Path, moment: str, count: int) -> int:
    """Save a second checkpoint in a child that gets SIGKILL at its n-th call of a function; return its exit code."""
    child = os.fork()
    if child == 0:
        calls = 0
        owner = {"fsync": os, "rmtree": shutil}.get(moment, Path)
        original = getattr(owner, moment)

        def die_once(*args, **options):
            nonlocal calls
            calls += 1
            if calls == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **options)

        setattr(owner, moment, die_once)
        save_checkpoint(folder, make_checkpoint(2), keep=1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("moment", ["mkdir", "write_text", "fsync", "rename", "rmtree"])
def test_a_kill_at_any_moment_of_saving_leaves_a_whole_checkpoint(tmp_path: Path, moment: str) -> None:
    for count in itertools.count(1):
        folder = tmp_path / str(count)
        save_checkpoint(folder, make_checkpoint(1), keep=1)
        code = save_and_die(folder, moment, count)
        loaded, notes = load_with_notes(folder)
        assert loaded is not None and loaded.step in (1, 2) and notes == []
        save_checkpoint(folder, make_checkpoint(3), keep=1)
        assert os.listdir(folder) == ["step_00000003"]  # what the kill left behind is cleared away
        if code == 0:  # there is no such call any more
            assert count > 1 and loaded.step == 2
            break
        assert code == -signal.SIGKILL
