"""Names and links in configs, checkpoints, sets and archives lead nowhere outside."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vaegan.config.study_schema import StudyConfig
from vaegan.io import hash_file
from vaegan.storage.checkpoints import load_newest_checkpoint
from vaegan.trainers.log.tracking import Tracker

from ..standins import write_celeba
from ..tiny import tiny

OUTSIDE = (
    "../../x",
    "../x",
    "..",
    ".",
    "",
    "/x",
    "a/b",
    "a/",
    "a\\b",
    "a\0",
    "a\nb",
    "a\x1b[2J",
    "\u202ea",
    ".a",
    "a b",
    "~",
)
FEW = ("train.steps=2", "train.checkpoint_every=1", "train.keep_checkpoints=1")


def read_tree(folder: Path) -> dict[str, bytes | None]:
    """Return the paths of everything below a folder, with the contents of the files."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def kept(work: Path) -> Path:
    """A folder of another user, with files of every name that a training writes, replaces or deletes."""
    folder = work / "kept"
    for name in (
        "step_00000001/state.json",
        "step_00000009/x",
        "step_00000001.partial/x",
        "x.png",
        "model.safetensors",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("kept")
    return folder


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_name_of_a_variant_is_that_of_a_folder_below_the_study(name: str, work: Path, vaegan) -> None:
    (work / "deep" / "deeper").mkdir(parents=True)
    study = {"title": "T", "variants": {name: {"recipe": "tiny.yaml"}}}
    Path("study.yaml").write_text(yaml.safe_dump(study))
    before = read_tree(work)
    code, out, err = vaegan("compare", "study.yaml", "--output", "deep/deeper/study")
    assert (code, out) == (2, "") and err.count("\n") == 1 and err[:-1].isprintable()
    assert "variants." in err and "its name becomes a folder" in err
    assert read_tree(work) == before
    with pytest.raises(ValueError, match="its name becomes a folder"):
        StudyConfig.model_validate(study)


@pytest.mark.parametrize("name", ["a", "a.b", "vae-2", "_", "größer", "1"])
def test_ordinary_names_of_variants(name: str) -> None:
    assert StudyConfig.model_validate({"title": "T", "variants": {name: {"recipe": "x"}}}).variants


def test_a_recipe_is_no_way_to_a_file_outside(work: Path, vaegan) -> None:
    """A recipe may be the path of a file, as on the command line; any other name must be that of a shipped recipe."""
    for name in ("digits/../../schema", "../config/schema", "digits/vae.yaml", "digits//vae", "digits/vae\0"):
        Path("study.yaml").write_text(yaml.safe_dump({"title": "T", "variants": {"a": {"recipe": name}}}))
        for words in (("train", name), ("compare", "study.yaml")):
            code, _, err = vaegan(*words)
            assert code == 2 and "neither a file nor a shipped recipe" in err and err.count("\n") == 1


@pytest.mark.usefixtures("fresh_wandb")
def test_names_for_tracking_lead_nowhere_outside(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "run"
    (folder / "model").mkdir(parents=True)
    before = {path for path in tmp_path.rglob("*")}
    up = "../../x"
    for words, run_id in (((f"track.name={up}", f"track.group={up}", f"track.tags=[{up}]"), None),
                          ((f"track.project={up}",), None), ((), up), ((), "/x"), ((), ["x"])):  # fmt: skip
        notes: list[str] = []
        tracker = Tracker.start(tiny("vae", "track.wandb=offline", *words), folder, run_id, notes.append)
        tracker.log_artifact(folder / "model", up)
        tracker.finish()
        assert all("\n" not in line for line in notes)
    new = {path for path in tmp_path.rglob("*")} - before
    assert any("offline-run" in path.name for path in new)
    assert {path.relative_to(tmp_path).parts[0] for path in new} <= {"home", "a"}
    assert {path for path in (tmp_path / "a").rglob("*") if folder not in path.parents} == {folder.parent, folder}


def change_state(checkpoint: Path, **changes: object) -> None:
    """Change a checkpoint's state.json."""
    file = checkpoint / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def write_checksums(checkpoint: Path, **more: str) -> None:
    """Write a checkpoint's right checksums, and more of them."""
    hashes = {file.name: hash_file(file) for file in checkpoint.iterdir() if file.name != "sha256.json"}
    (checkpoint / "sha256.json").write_text(json.dumps(hashes | more))


FILES = ["autoencoder", "average", "autoencoder.optimizer"]
NAMES: dict[str, Callable[[Path], object]] = {
    "a file in the folder above": lambda folder: change_state(folder, files=[*FILES, "../../other"]),
    "a file of an absolute path": lambda folder: change_state(folder, files=[*FILES, f"{folder.parent.parent}/other"]),
    "one in the place of another": lambda folder: change_state(
        folder, files=[*FILES[:2], f"../{folder.name}/{FILES[2]}"]
    ),
    "no list": lambda folder: change_state(folder, files="average"),
    "no names": lambda folder: change_state(folder, files=[["average"], 5]),
    "another step": lambda folder: change_state(folder, step=7),
    "no step": lambda folder: change_state(folder, step="../x"),
}


@pytest.mark.parametrize("how", NAMES)
def test_the_files_of_a_checkpoint_lie_in_it(how: str, work: Path, vaegan) -> None:
    assert vaegan("train", "tiny.yaml", *FEW, "train.keep_checkpoints=2")[0] == 0
    folder = work / "runs" / "tiny" / "checkpoints" / "step_00000002"
    shutil.copy(folder / "average.safetensors", folder.parent.parent / "other.safetensors")
    NAMES[how](folder)
    write_checksums(folder)
    notes: list[str] = []
    checkpoint = load_newest_checkpoint(folder.parent, notes.append)
    assert checkpoint is not None and checkpoint.step == 1
    assert len(notes) == 1 and "state.json is not what was written" in notes[0]


@pytest.mark.parametrize(
    "name", ["../../config.yaml", "/etc/passwd", "..", "../step_00000001/state.json", "a\0", "\x1b[2J\n"]
)
def test_checksums_are_of_files_in_the_checkpoint(name: str, work: Path, vaegan) -> None:
    assert vaegan("train", "tiny.yaml", *FEW)[0] == 0
    folder = work / "runs" / "tiny" / "checkpoints" / "step_00000002"
    outside = folder / name if "\0" not in name else folder
    write_checksums(folder, **{name: hash_file(outside) if outside.is_file() else ""})
    notes: list[str] = []
    assert load_newest_checkpoint(folder.parent, notes.append) is None
    assert len(notes) == 1 and notes[0].isprintable() and "in the checkpoint" in notes[0]


PLACES = [
    "config.yaml", "history.jsonl", "timing.jsonl", "metrics.json", "config.yaml.partial", "history.jsonl.partial",
    "metrics.json.partial", "checkpoints", "checkpoints/step_00000001", "checkpoints/step_00000002",
    "checkpoints/step_00000002.partial", "checkpoints/step_00000002.old", "checkpoints/step_00000009.partial", "model",
    "model.partial", "model.old", "samples",
    "samples/step_00000002_sample.png",
]  # fmt: skip
TARGETS = ("", "x.png", "nothing")


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_written_or_deleted_through_a_link(place: str, work: Path, kept: Path, vaegan) -> None:
    before = read_tree(kept)
    for target in TARGETS:
        shutil.rmtree(work / "runs", ignore_errors=True)
        link = work / "runs" / "tiny" / place
        link.parent.mkdir(parents=True)
        link.symlink_to(kept / target)
        for words in (("train", "tiny.yaml", *FEW, "--resume"), ("evaluate", "runs/tiny"))[: 1 + ("metrics" in place)]:
            code, _, err = vaegan(*words)
            assert code in (0, 1, 2) and err.count("vaegan: ") == (code != 0), err
        assert read_tree(kept) == before, target


def test_a_finished_run_is_rotated_without_following_links(work: Path, kept: Path, vaegan) -> None:
    """Checkpoints that somebody has moved elsewhere are dropped when their turn comes, and stay where they are."""
    assert vaegan("train", "tiny.yaml", *FEW, "train.steps=1")[0] == 0
    old = work / "runs" / "tiny" / "checkpoints" / "step_00000001"
    shutil.move(old, kept / "moved")
    old.symlink_to(kept / "moved")
    before = read_tree(kept)
    assert vaegan("train", "tiny.yaml", *FEW, "--resume", "--extend")[0] == 0
    assert [path.name for path in old.parent.iterdir()] == ["step_00000002"]
    assert read_tree(kept) == before


def make_member(name: str, **settings: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in settings.items():
        setattr(info, key, value)
    return info


def test_nothing_of_a_wrong_archive_is_extracted(work: Path, vaegan, monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (work / "sets").mkdir()
    with tarfile.open("sets/cifar-10-python.tar.gz", "w:gz") as archive:
        for info in (
            make_member("cifar-10-batches-py", type=tarfile.SYMTYPE, linkname=str(work)),
            make_member("cifar-10-batches-py/written"), make_member("../written"), make_member(f"{work}/written"),
            make_member("hard", type=tarfile.LNKTYPE, linkname="../tiny.yaml"),
        ):  # fmt: skip
            archive.addfile(info, io.BytesIO())
    before = read_tree(work)
    data = "data={source: cifar10, root: sets, image_size: 8, download: true}"
    code, out, err = vaegan("train", "tiny.yaml", "data.count=null", data)
    assert code == 1 and out == "" and "data.download: cifar10 could not be fetched" in err.splitlines()[-1]
    after = read_tree(work)
    assert {name for name in after if after[name] != before.get(name)} <= {"sets/.download.lock"}
    assert before.keys() - after.keys() <= {"sets/cifar-10-python.tar.gz"}, "torchvision deletes what is not official"


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "..", ".", "a/b.jpg", "a\\b.jpg", "x\0.jpg"])
def test_names_in_a_listing_are_of_images_beside_each_other(name: str, work: Path, vaegan) -> None:
    write_celeba(work / "sets" / "celeba")
    (work / "sets" / "celeba" / "list_eval_partition.txt").write_text(f"000000.jpg 0\n{name} 0\n")
    data = "data={source: celeba, root: sets, image_size: 8}"
    code, _, err = vaegan("train", "tiny.yaml", "data.count=null", data)
    assert code == 2 and "list_eval_partition.txt: line 2 is not a file name" in err and err.count("\n") == 1


def test_the_name_of_a_config_leads_nowhere_outside(work: Path, vaegan) -> None:
    for name in ("...yaml", "..yaml"):
        shutil.copy("tiny.yaml", name)
        vaegan("train", name, *FEW)
    assert {path.name for path in work.iterdir()} == {"tiny.yaml", "...yaml", "..yaml", "runs"}
    assert not (work / "runs" / "config.yaml").exists()


def test_a_name_gives_no_commands_to_the_terminal_and_makes_no_second_line(work: Path, vaegan) -> None:
    name = "a\x1b[2J\nvaegan: all is well\udcff"
    for words in (("sample", name), ("evaluate", name), ("reconstruct", "tiny.yaml", name)):
        code, _, err = vaegan(*words)
        assert code == 2 and err.count("\n") == 1 and err[:-1].isprintable()
    shutil.copy("tiny.yaml", f"{name}.yaml")
    for words in (("train", f"{name}.yaml", "x=1"), ("compare", f"{name}.yaml")):
        code, _, err = vaegan(*words)
        assert code == 2 and err.count("\n") == 1 and err[:-1].isprintable()
