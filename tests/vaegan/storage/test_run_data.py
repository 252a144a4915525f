"""The images of a run are compared with those that it was trained on, and what differs is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vaegan.data import Data
from vaegan.data.given import describe_given
from vaegan.data.splits import draw_splits
from vaegan.errors import Failure
from vaegan.storage.adopted_settings import adopt_settings
from vaegan.storage.run_data import _remember_place as remember_place
from vaegan.storage.run_data import move_data, open_run_data, open_training_data
from vaegan.storage.run_folder import Run
from vaegan.workflows.runs import evaluate_folder, train_run

from ...tiny import are_bit_identical, flatten, load_newest, tiny
from ..data.image_sets import list_splits, make_image, write_image_tree
from .folder_runs import OPTIONS, Notes, collect, configure, list_names, refuse


@pytest.fixture
def run(folder_run: Run) -> Run:
    return folder_run


def test_one_image_more_is_named_and_no_trained_one_is_ever_tested(run: Run, root: Path, notes: Notes) -> None:
    trained = collect(open_run_data(run, run.config, notes)[0].train)
    for name, seed in (("000", 50), ("copy", 0), *((f"new{n}", 100 + n) for n in range(20))):
        make_image(16, 30, seed).save(root / "cat" / f"{name}.png")
    message = r"run: the images are not those that .*: 22 images more: cat/000\.png, cat/copy\.png, .* by --allow-other"
    refuse(message, lambda: evaluate_folder(run.path, run.config, notes))
    assert not run.metrics_file.exists()
    result = evaluate_folder(run.path, run.config, notes, allow_other_data=True)
    data, _ = open_run_data(run, run.config, notes, allow_other_data=True)
    assert not collect(data.test) & trained and len(data.test) > 5 and collect(data.train) == trained
    assert result.protocol["other_data"].startswith("22 images more") and result.protocol["of"] == len(data.test)
    assert "other_data" in json.loads(run.metrics_file.read_text())["protocol"]
    for path in (root / "cat").glob("[!012]*.png"):
        path.unlink()
    (root / "cat" / "000.png").unlink()
    assert "other_data" not in evaluate_folder(run.path, run.config, notes).protocol


def test_a_moved_folder_is_compared_and_remembered(run: Run, root: Path, notes: Notes) -> None:
    before = evaluate_folder(run.path, run.config, notes)
    moved = root.rename(root.with_name("B"))
    refuse(r"data\.root: .*A: no such folder; .* by --data-root", lambda: evaluate_folder(run.path, run.config, notes))
    other = write_image_tree(root.with_name("C"), 22)
    message = "2 missing: cat/22.png, dog/23.png"
    refuse(message, lambda: evaluate_folder(run.path, run.config, notes, data_root=other))
    assert run.config.data.root == root
    assert evaluate_folder(run.path, run.config, notes, data_root=moved).metrics == before.metrics
    assert run.config.data.root == moved
    assert evaluate_folder(run.path, run.config, notes).metrics == before.metrics
    config = tiny("ae")
    refuse("--data-root: data.root: digits is embedded", lambda: open_run_data(run, config, notes, data_root=moved))


def test_a_class_that_was_renamed_is_named(run: Run, root: Path, notes: Notes) -> None:
    (root / "dog" / "01.png").rename(root / "cat" / "01.png")
    message = r"1 moved: dog/01\.png -> cat/01\.png; restore"
    refuse(message, lambda: open_run_data(run, run.config, notes))


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_the_mend_that_a_message_asks_for_is_possible(root: Path, tmp_path: Path, cache: str, notes: Notes) -> None:
    """An image that breaks in the training, is restored or mended, and then deleted."""
    words = (f"data.cache={cache}", "data.workers=0")
    config, parts = configure(root, *words, "train.steps=4"), tmp_path / "parts"
    whole = train_run(config, tmp_path / "whole", notes, resume=False)
    first = train_run(configure(root, *words), parts, notes, resume=False)
    file = root / list_names(first, "train")[3]
    contents = file.read_bytes()

    def go_on(**options: bool) -> Run:
        return train_run(config, parts, notes, resume=True, extend=True, **options)

    file.write_bytes(contents[: len(contents) // 2])
    refuse(f"1 cannot be read: {file.parent.name}/{file.name}; restore them", go_on)
    file.write_bytes(contents)
    shutil.copytree(parts, tmp_path / "backup")
    resumed = go_on()
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(resumed.path)))

    shutil.rmtree(parts)
    (tmp_path / "backup").rename(parts)
    make_image(40, 40, 77).save(file)
    resumed, changed = go_on(), f"1 changed: {file.parent.name}/{file.name}"
    assert f"{parts}: {changed} since the run was started; it goes on with what is there, and records it" in notes.lines
    members = resumed.members
    assert members is not None and members.changes == (changed,) and len(members.earlier) == 1
    assert not are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(resumed.path)))
    evaluate_folder(parts, config, notes)  # on the images as they are recorded now

    file.unlink()
    config = configure(root, *words, "train.steps=5")
    refuse(f"1 missing: {file.parent.name}/{file.name}; .*--allow-other-data", go_on)
    go_on(allow_other_data=True)
    config = configure(root, *words, "train.steps=6")
    go_on()  # it is missed no more
    members = resumed.members
    assert members is not None and len(members.changes) == 2 and members.gone == (f"{file.parent.name}/{file.name}",)


def test_a_file_that_breaks_during_the_training_is_named_and_can_be_restored(
    root: Path, tmp_path: Path, notes: Notes
) -> None:
    config = configure(root, "data.cache=none", "data.workers=0")
    whole = train_run(config, tmp_path / "whole", notes, resume=False)
    data, _ = open_training_data(config, tmp_path / "parts", notes)
    files = [root / name for name in list_names(whole, "train")]
    contents = {file: file.read_bytes() for file in files}
    for file in files:
        file.write_bytes(b"")
    with pytest.raises(Failure, match="mend or restore this image, then resume"):
        train_run(config, tmp_path / "parts", notes, data, resume=False)
    for file in files:
        file.write_bytes(contents[file])
    parts = train_run(config, tmp_path / "parts", notes, resume=True)
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(parts.path)))


def test_a_run_of_the_hub_is_read_from_the_folder_that_its_images_are_in(run: Run, root: Path, notes: Notes) -> None:
    words = ("data.source=huggingface", "data.hub=owner/name", "data.root=null")
    run.write_config(tiny("ae", *words))
    remember_place(run, move_data(run.config, root, "--data-root"), notes)
    assert (run.config.data.root, run.config.data.hub) == (root, None)


def test_a_run_that_evaluates_needs_some_validation_image(root: Path, tmp_path: Path, notes: Notes) -> None:
    words = ("train.evaluate_every=1", "train.steps=1")
    run = train_run(configure(root, *words), tmp_path / "run", notes, resume=False)
    for name in list_names(run, "validation"):
        (root / name).unlink()
    longer = configure(root, words[0], "train.steps=2")
    message = r"run: none of the images that train\.evaluate_every evaluates on is there; restore some"
    options = {"resume": True, "extend": True, "allow_other_data": True}
    refuse(message, lambda: train_run(longer, run.path, notes, **options))


def test_the_cache_is_no_part_of_a_run(root: Path, tmp_path: Path, notes: Notes) -> None:
    whole = train_run(configure(root), tmp_path / "whole", notes, resume=False)
    train_run(configure(root, "train.steps=1", "data.cache=memory"), tmp_path / "parts", notes, resume=False)
    config = configure(root, "data.cache=none", "data.workers=1")
    parts = train_run(config, tmp_path / "parts", notes, resume=True, extend=True)
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(parts.path)))
    assert whole.members_file.read_bytes() == parts.members_file.read_bytes()


def test_the_next_member_takes_the_place_of_a_deleted_one(run: Run, root: Path, notes: Notes) -> None:
    names = list_names(run, "train")
    (root / names[2]).unlink()
    data, _ = open_training_data(run.config, run.path, notes, allow_other_data=True)
    assert len(data.train) == len(names)
    assert torch.equal(data.train[torch.tensor([2])], data.train[torch.tensor([3])])
    evaluated, _ = open_run_data(run, run.config, notes, allow_other_data=True)
    assert len(evaluated.train) == len(names) - 1 and collect(evaluated.test) == collect(data.test)


def test_a_run_without_a_version_keeps_its_splits(root: Path, tmp_path: Path, notes: Notes) -> None:
    """As the version before wrote it: no `data.version`, no list."""
    config = configure(root, "data.version=1")
    run = train_run(config, tmp_path / "old", notes, resume=False)
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("  version: 1\n", ""))
    assert "version:" not in run.config_file.read_text() and not run.members_file.exists()
    adopted = adopt_settings(configure(root), run.path)
    assert run.config.data.version == adopted.data.version == 1 and configure(root).data.version == 2
    drawn = draw_splits(24, 0.1, 0.25)
    for data in (open_run_data(run, run.config, notes)[0], open_training_data(adopted, run.path, notes)[0]):
        assert all(torch.equal(a.indices, b) for a, b in zip(list_splits(data), drawn, strict=True))
    before = flatten(load_newest(run.path))
    train_run(adopted, run.path, notes, resume=True)
    assert are_bit_identical(before, flatten(load_newest(run.path)))
    make_image(20, 20, 99).save(root / "cat" / "!.png")
    message = "their fingerprint is another one \\(the run has no list of them\\); .*--allow-other-data"
    refuse(message, lambda: evaluate_folder(run.path, run.config, notes))
    protocol = evaluate_folder(run.path, run.config, notes, allow_other_data=True).protocol
    assert "no list" in protocol["other_data"]
    refuse("no longer those.*--allow-other-data", lambda: train_run(adopted, run.path, notes, resume=True))


def test_a_prior_holds_out_what_its_vqvae_did(root: Path, tmp_path: Path, notes: Notes) -> None:
    vqvae = train_run(
        tiny("vqvae", *OPTIONS, f"data.root={root}", "evaluate.metrics=[psnr]"), tmp_path / "vqvae", notes, resume=False
    )
    config = tiny("pixelcnn", *OPTIONS, f"data.root={root}", f"prior.autoencoder={vqvae.path}")
    before, _ = open_training_data(config, tmp_path / "prior", notes)
    assert before.members is not None and before.members.members == getattr(vqvae.members, "members", ())
    copy, trained, tested = root.with_name("B"), list_names(vqvae, "train")[0], list_names(vqvae, "test")[0]
    shutil.copytree(root, copy)
    shutil.copy(root / trained, copy / tested)
    shutil.copy(root / tested, copy / trained)
    make_image(20, 20, 99).save(copy / "cat" / "!.png")
    other = config.model_copy(update={"data": config.data.model_copy(update={"root": copy})})
    refuse(
        r"vqvae: .*1 image more: cat/!\.png; 2 changed: .*; 2 trained on and held out, .*; it may have seen",
        lambda: open_training_data(other, tmp_path / "prior", notes),
    )
    data, _ = open_training_data(other, tmp_path / "prior", notes, allow_other_data=True)
    assert data.members is not None and sum(map(len, list_splits(data))) == 25
    splits = {member.name: member.split for member in data.members.members}
    assert splits[trained] == "test" and splits[tested] == "train"  # as their contents are


def test_given_images_that_differ_are_named(tmp_path: Path, notes: Notes) -> None:
    pixels = torch.stack([torch.from_numpy(read_pixels(seed)) for seed in range(24)])
    settings = describe_given(pixels, {})["data"]
    overrides = [f"data.{key}={settings[key]}" for key in ("source", "channels", "image_size")]
    config = tiny("ae", *overrides, "data.test=0.25", "train.steps=2")
    data, config = open_training_data(config, tmp_path / "run", notes, pixels)
    run = train_run(config, tmp_path / "run", notes, data, resume=False)
    assert evaluate_folder(run.path, run.config, notes, images=pixels).metrics
    changed = pixels.clone()
    changed[7] = 255 - changed[7]
    refuse(r"1 changed: 7; ", lambda: evaluate_folder(run.path, run.config, notes, images=changed[:24]))
    refuse(r"1 missing: 23; ", lambda: open_training_data(config, run.path, notes, pixels[:23]))
    assert evaluate_folder(run.path, run.config, notes, images=changed, allow_other_data=True).protocol["other_data"]


def read_pixels(seed: int):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.asarray(make_image(16, 16, seed)).transpose(2, 0, 1).copy()


@pytest.mark.parametrize("contents", [b"", b"[]\n", b'{"source": "folder", "fingerprint": "x", "images": 9}\n'])
def test_a_damaged_list_is_named(run: Run, notes: Notes, contents: bytes) -> None:
    run.members_file.write_bytes(contents)
    refuse(r"members\.jsonl: damaged \(.*\); restore it", lambda: open_run_data(run, run.config, notes))
    run.members_file.unlink()  # what is left is the fingerprint of the checkpoint
    open_run_data(run, run.config, notes)


def test_a_place_that_cannot_be_remembered_is_said(
    run: Run, root: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Run, "write_config", fail)
    open_run_data(run, run.config, notes, data_root=root.rename(root.with_name("B")))
    line = f"{run.config_file}: Read-only file system; give --data-root again the next time"
    assert line in notes.lines


def test_a_set_that_cannot_change_is_known_by_its_fingerprint(tmp_path: Path, notes: Notes) -> None:
    run = train_run(tiny("ae", "train.steps=1"), tmp_path / "run", notes, resume=False)
    members = run.members
    data: Data = open_run_data(run, run.config, notes)[0]
    assert members is not None and not members.members and members.fingerprint == data.fingerprint
    run.write_members(replace(members, fingerprint="0" * 32))
    refuse("the set digits is another one", lambda: open_run_data(run, run.config, notes))
