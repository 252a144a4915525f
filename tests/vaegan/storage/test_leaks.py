"""No image is both trained on and held out, neither in a resume nor in an evaluation, whatever happens to a folder."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from vaegan.evaluate.study import compare
from vaegan.storage.run_data import open_run_data, open_training_data
from vaegan.storage.run_folder import Run
from vaegan.workflows.runs import evaluate_folder, train_run

from ...evaluate.studies import make_configs, make_study, run_study, train_never, train_one
from ..data.image_sets import make_image
from .folder_runs import Notes, collect, configure, list_names, refuse


@pytest.fixture
def run(folder_run: Run) -> Run:
    return folder_run


def swap(one: Path, other: Path) -> None:
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])


def resume(run: Run, root: Path, notes: Notes, **options: bool) -> Run:
    return train_run(configure(root, "train.steps=3"), run.path, notes, resume=True, extend=True, **options)


def test_a_resume_does_not_train_on_what_was_held_out(run: Run, root: Path, notes: Notes) -> None:
    trained, tested = list_names(run, "train")[0], list_names(run, "test")[0]
    held_out = collect(open_run_data(run, run.config, notes)[0].test)
    shutil.copy(root / tested, root / trained)
    message = f"1 changed: {trained}; 1 trained on and held out, to be left out: {trained} = {tested}; restore them"
    refuse(message, lambda: resume(run, root, notes))
    refuse(message, lambda: evaluate_folder(run.path, run.config, notes))
    data, _ = open_training_data(run.config, run.path, notes, allow_other_data=True)
    assert not collect(data.train) & held_out and len(data.train) == len(list_names(run, "train"))
    resume(run, root, notes, allow_other_data=True)
    assert collect(open_run_data(run, run.config, notes, allow_other_data=True)[0].test) == held_out


def test_an_evaluation_knows_what_a_name_was_trained_on_before(run: Run, root: Path, notes: Notes) -> None:
    """A training image is replaced, the training resumed, and the old image put in the place of a held-out one."""
    trained, tested = list_names(run, "train")[0], list_names(run, "test")[0]
    before = (root / trained).read_bytes()
    make_image(20, 20, 99).save(root / trained)
    resume(run, root, notes)
    evaluate_folder(run.path, run.config, notes)
    (root / tested).write_bytes(before)
    message = f"1 changed: {tested}; 1 trained on and held out, to be left out: {tested} = {trained}; restore them"
    refuse(message, lambda: evaluate_folder(run.path, run.config, notes))
    refuse(message, lambda: resume(run, root, notes))
    result = evaluate_folder(run.path, run.config, notes, allow_other_data=True)
    assert result.protocol["of"] == len(list_names(run, "test")) - 1
    assert result.protocol["other_data"] in message


def test_files_that_were_swapped_are_refused(run: Run, root: Path, notes: Notes) -> None:
    trained, tested = list_names(run, "train")[0], list_names(run, "test")[0]
    swap(root / trained, root / tested)
    message = f"2 trained on and held out, to be left out: {trained} = {tested}, {tested} = {trained}; restore them"
    refuse(message, lambda: resume(run, root, notes))
    refuse(message, lambda: evaluate_folder(run.path, run.config, notes))
    swap(root / trained, root / tested)
    evaluate_folder(run.path, run.config, notes)


def test_images_that_were_encoded_again_are_known_by_their_pixels(run: Run, root: Path, notes: Notes) -> None:
    data, _ = open_run_data(run, run.config, notes)
    for file in root.rglob("*.png"):
        with Image.open(file) as image:
            image.save(file.with_suffix(".webp"), lossless=True)
        file.unlink()
    evaluated, _ = open_run_data(run, run.config, notes, allow_other_data=True)
    assert len(evaluated.test) and not collect(evaluated.test) & collect(data.train)
    repeated = evaluated.differences.repeated
    assert repeated and {new.replace("webp", "png") for new, _ in repeated} == {old for _, old in repeated}
    assert f"{len(repeated)} trained on by another name, to be left out: {repeated[0][0]} = " in notes.lines[-1]


def test_a_split_whose_images_are_gone_is_not_said_to_be_empty(run: Run, root: Path, notes: Notes) -> None:
    tested = list_names(run, "test")
    for name in tested:
        (root / name).unlink()
    message = rf"none of the images that the run keeps in it \({len(tested)}\) can be used; restore them"
    refuse(message, lambda: evaluate_folder(run.path, run.config, notes, allow_other_data=True))


def test_the_runs_of_a_study_that_are_trained_apart_follow_its_list(root: Path, tmp_path: Path, notes: Notes) -> None:
    words = ("data.source=folder", f"data.root={root}", "data.test=0.25", "evaluate.metrics=[psnr]", "train.steps=1")
    study = tmp_path / "study"
    run_study(study, make_configs(*words, names=("vae",)), seeds=(5,))
    first = Run(study / "vae" / "seed_5")
    trained, tested = list_names(first, "train")[0], list_names(first, "test")[0]
    shutil.copy(root / trained, root / tested)
    make_image(20, 20, 99).save(root / "cat" / "!.png")
    configs = make_configs(*words, names=("vae", "ae"))
    refuse(f"{tested} = {trained}; restore", lambda: run_study(study, configs, seeds=(5,), train_run=train_never))

    def train_apart(runs) -> None:  # type: ignore[no-untyped-def]
        for folder, config in runs.items():
            if not Run(folder).finished:
                data, config = open_training_data(config, folder, notes, allow_other_data=True)
                train_one(config, folder, data, True)

    study_of = make_study(configs, seeds=(5,))
    options = {"train_ahead": train_apart, "allow_other_data": True}
    comparison = compare(study_of, configs, study, train_never, notes, **options)  # type: ignore[arg-type]
    assert comparison is not None
    for name in configs:
        listed = Run(study / name / "seed_5").members
        assert listed is not None and listed.members == getattr(first.members, "members", ())
        protocol = comparison.runs[name][5].evaluation.protocol
        assert f"{tested} = {trained}" in protocol["other_data"]
        assert protocol["of"] == len(list_names(first, "test")) - 1


@pytest.mark.parametrize("replaced", [False, True], ids=["written", "replaced"])
def test_a_file_of_the_same_size_and_time_is_read_again(run: Run, root: Path, notes: Notes, replaced: bool) -> None:
    """As `cp -p` and `rsync` write it."""
    config = configure(root, "data.cache=none", "data.workers=0")
    open_run_data(run, config, notes)
    file = root / list_names(run, "test")[0]
    contents, status = file.read_bytes(), file.stat()
    target = file.with_name("other") if replaced else file
    target.write_bytes(contents[:60] + bytes(4) + contents[64:])
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(target, file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    refuse(f"1 cannot be read: {file.parent.name}/{file.name}; restore them", lambda: open_run_data(run, config, notes))
