import json
import os
import shutil
import signal
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vaegan.cli.console import Console
from vaegan.config.classifier import ClassifierConfig
from vaegan.config.schema import Config
from vaegan.data import Data, open_data
from vaegan.errors import Interrupted, UserError
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.negative_controls import NEGATIVE_CONTROLS, REAL
from vaegan.evaluate.study import compare
from vaegan.models import Classifier
from vaegan.progress import ProgressCallback
from vaegan.storage.run_folder import Run
from vaegan.trainers import train
from vaegan.trainers.dry_run import estimate_size

from ..tiny import are_bit_identical, load_newest
from ..tiny import flatten as tensors
from ..vaegan.data.image_sets import make_image, write_image_tree
from .studies import make_configs, make_study, run_study, train_never, train_one


def record(folder: Path) -> dict:
    return json.loads((folder / "comparison.json").read_text())


def test_every_variant_is_trained_for_every_seed(finished: tuple[Path, Comparison]) -> None:
    folder, _ = finished
    for name, config in make_configs().items():
        for seed in (5, 6):
            run = Run(folder / name / f"seed_{seed}")
            assert run.finished
            assert run.config.model_dump(exclude={"seed", "track"}) == config.model_dump(exclude={"seed", "track"})
            assert run.config.seed == seed
            assert (run.config.track.group, run.config.track.name) == ("Tiny", f"{name}-seed_{seed}")


def test_the_record_holds_the_metrics_of_the_runs(finished: tuple[Path, Comparison]) -> None:
    folder, comparison = finished
    written = record(folder)
    assert written["pairs"] == [["ae", "vae"], ["vaegan3", "vae"]]
    assert written["images_seen"] == {"vae": 40, "ae": 40, "vaegan3": 40}
    assert list(written["variants"]) == ["vae", "ae", "vaegan3"]
    for name, variant in written["variants"].items():
        runs = {seed: folder / name / f"seed_{seed}" for seed in (5, 6)}
        contents = {str(seed): json.loads((run / "metrics.json").read_text()) for seed, run in runs.items()}
        for key in contents["5"]["metrics"]:
            values = {seed: result["metrics"][key] for seed, result in contents.items()}
            assert variant["figures"][key] == {
                "mean": pytest.approx(statistics.fmean(values.values()), rel=1e-12),
                "standard_deviation": pytest.approx(statistics.stdev(values.values()), rel=1e-12),
                "seeds": values,
            }
        for seed, run in runs.items():
            timing = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
            assert variant["figures"]["seconds"]["seeds"][str(seed)] == sum(line["seconds"] for line in timing)
            assert variant["figures"]["memory_bytes"]["seeds"][str(seed)] == max(x["memory_bytes"] for x in timing)
            assert variant["runs"][str(seed)]["protocol"] == contents[str(seed)]["protocol"]
        assert variant["parameters"] == estimate_size(make_configs()[name]).parameters
    assert "sample/spectrum_error" not in written["variants"]["ae"]["figures"]
    kinds = {(verdict["variant"], verdict["kind"]) for verdict in written["findings"]}
    assert kinds == {("ae", "reconstruction"), ("vaegan3", "reconstruction"), ("vaegan3", "sample")}
    assert {effect["variant"] for effect in written["effects"]} == {"ae", "vaegan3"}
    assert written["controls"] == {
        name: {"figures": result.metrics, "protocol": result.protocol} for name, result in comparison.controls.items()
    }
    assert written["sentences"] == comparison.list_sentences()


def test_the_table_holds_every_metric(finished: tuple[Path, Comparison]) -> None:
    _, comparison = finished
    header, rows = comparison.build_table()
    assert header == ["metric", "vae", "ae", "vaegan3", "real"]
    assert all(len(row) == len(header) for row in rows)
    table = {row[0]: row[1:] for row in rows}
    psnr = [comparison.get_spreads(name)["reconstruction/psnr"] for name in comparison.names]
    assert table["Reconstructions: PSNR, dB ↑"] == [*(f"{x.mean:.2f} ± {x.deviation:.2f}" for x in psnr), "58.92"]
    assert table["Samples: spectrum error ↓"][1] == ""
    assert table["Samples: spectrum error ↓"][3] == f"{comparison.controls[REAL].metrics['sample/spectrum_error']:.3f}"


def test_what_is_finished_is_left_alone(copied: Path) -> None:
    def state() -> dict[Path, tuple[int, bytes]]:
        files = [file for file in copied.rglob("seed_*/**/*") if file.is_file()]
        return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}

    before = state()
    assert len(before) > 30
    figures = {name: variant["figures"] for name, variant in record(copied)["variants"].items()}
    run_study(copied, make_configs("track.project=renamed"), train_run=train_never)
    assert state() == before
    assert {name: variant["figures"] for name, variant in record(copied)["variants"].items()} == figures


class Stopping(Console):
    """Sends this process a SIGINT at the third step of a training, as Ctrl-C would."""

    @contextmanager
    def progress(self, what: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        yield lambda done, total: os.kill(os.getpid(), signal.SIGINT) if done == 3 else None


def test_what_is_cut_off_is_resumed(finished: tuple[Path, Comparison], tmp_path: Path) -> None:
    def train_and_stop(config: Config, folder: Path, data: Data, resume: bool) -> Run:
        console = Stopping() if folder == tmp_path / "ae" / "seed_5" else None
        return train(config, folder, data, reporter=console, resume=resume)

    with pytest.raises(Interrupted):
        run_study(tmp_path, make_configs(), train_run=train_and_stop)
    assert Run(tmp_path / "vae" / "seed_5").finished
    assert Run(tmp_path / "ae" / "seed_5").exported_step == 3
    assert not (tmp_path / "vae" / "seed_6").exists()

    trained = []

    def train_and_count(config: Config, folder: Path, data: Data, resume: bool) -> Run:
        trained.append(str(folder.relative_to(tmp_path)))
        return train(config, folder, data, resume=resume)

    comparison = run_study(tmp_path, make_configs(), train_run=train_and_count)
    assert trained == ["ae/seed_5", "vaegan3/seed_5", "vae/seed_6", "ae/seed_6", "vaegan3/seed_6"]
    resumed, whole = (load_newest(folder / "ae" / "seed_5") for folder in (tmp_path, finished[0]))
    assert are_bit_identical(tensors(resumed), tensors(whole))
    for name in comparison.names:
        for seed, run in comparison.runs[name].items():
            assert run.evaluation.metrics == finished[1].runs[name][seed].evaluation.metrics


def test_another_run_in_the_folder_is_refused(copied: Path) -> None:
    with pytest.raises(UserError, match=r"train\.learning_rate: 0\.001 -> 0\.01"):
        run_study(copied, make_configs("train.learning_rate=0.01"), train_run=train_never)
    shutil.rmtree(copied / "vae" / "seed_5" / "model")
    with pytest.raises(UserError, match="learning_rate"):
        run_study(copied, make_configs("train.learning_rate=0.01"))
    shutil.rmtree(copied / "vae")  # what would be trained first
    with pytest.raises(UserError, match=r"ae/seed_5: holds another run: train\.learning_rate"):
        run_study(copied, make_configs("train.learning_rate=0.01"), train_run=train_never)


def test_a_run_of_other_images_is_refused(copied: Path) -> None:
    state = next(iter((copied / "vae" / "seed_5" / "checkpoints").glob("step_*5/state.json")))
    data = open_data(make_configs()["vae"].data)
    assert data.fingerprint in state.read_text()
    other = make_configs("data.test=0.2")
    for name in other:
        for seed in (5, 6):
            run = Run(copied / name / f"seed_{seed}")
            run.write_config(run.config.model_copy(update={"data": other[name].data}))
    with pytest.raises(
        UserError, match=r"seed_5: the images are not those that the run was trained on: the set digits is another one"
    ):
        run_study(copied, other, train_run=train_never)


def test_a_study_is_compared_on_the_images_of_its_runs(tmp_path: Path) -> None:
    root = write_image_tree(tmp_path / "A", 24)
    words = ("data.source=folder", f"data.root={root}", "data.test=0.25", "evaluate.metrics=[psnr]", "train.steps=2")
    configs, study = make_configs(*words, names=("vae", "ae")), tmp_path / "study"
    before = run_study(study, configs, seeds=(5,))
    make_image(20, 20, 99).save(root / "cat" / "!.png")
    with pytest.raises(
        UserError, match=r"seed_5: the images are not those .*: 1 image more: cat/!\.png; .* by --allow-other"
    ):
        run_study(study, configs, seeds=(5,), train_run=train_never)
    other = run_study(study, configs, seeds=(5,), train_run=train_never, allow_other_data=True)
    assert [other.get_spreads(name) for name in configs] == [before.get_spreads(name) for name in configs]
    members = Run(study / "vae" / "seed_5").members
    assert members is not None
    (root / next(member.name for member in members.members if member.split == "test")).unlink()
    configs = make_configs(*words, names=("vae", "ae", "vaegan3"))
    run_study(study, configs, seeds=(5,), allow_other_data=True)
    for name in configs:
        protocol = record(study)["variants"][name]["runs"]["5"]["protocol"]
        assert protocol["other_data"].startswith("1 image more: cat/!.png; 1 missing: ")
        listed = Run(study / name / "seed_5").members
        assert listed is not None and listed.members == members.members


def test_a_study_goes_on_with_images_that_were_mended(tmp_path: Path) -> None:
    root = write_image_tree(tmp_path / "A", 24)
    words = ("data.source=folder", f"data.root={root}", "evaluate.metrics=[psnr]", "train.steps=2")
    configs, study = make_configs(*words, names=("vae", "ae")), tmp_path / "study"

    def stop(config: Config, folder: Path, data: Data, resume: bool) -> Run:
        train_one(
            config.model_copy(update={"train": config.train.model_copy(update={"steps": 1})}), folder, data, resume
        )
        Run(folder).write_config(config)
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        run_study(study, configs, seeds=(5,), train_run=stop)
    make_image(20, 20, 99).save(root / "cat" / "00.png")
    run_study(study, configs, seeds=(5,))
    for name, changes in (("vae", ("1 changed: cat/00.png",)), ("ae", ("1 changed: cat/00.png",))):
        members = Run(study / name / "seed_5").members
        assert members is not None and members.changes == changes


def test_a_seed_counts_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds: 5 given twice"):
        run_study(tmp_path, make_configs(), seeds=(5, 6, 5), train_run=train_never)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.test=0", "evaluate.split: test: the run keeps no image in it"),
        ("evaluate.density=gmm:1437", "density: gmm:1437: 1437 training images are too few for 1437"),
        ("evaluate.metrics=[kid]", "evaluate.features: inception needs"),
        ("evaluate.metrics=[psnr, lpips_vgg]", "vgg16"),
    ],
)
def test_what_cannot_be_evaluated_is_not_trained(override: str, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UserError, match=message):
        run_study(tmp_path / "study", make_configs(override), train_run=train_never)


def test_a_run_that_nobody_timed_has_no_cost(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "vae" / "seed_5" / "timing.jsonl").unlink()
    comparison = run_study(copied, make_configs(), train_run=train_never)
    assert "seconds" not in comparison.runs["vae"][5].metrics
    assert str(copied / "vae" / "seed_5" / "timing.jsonl") in capsys.readouterr().err
    (copied / "vae" / "seed_6" / "timing.jsonl").unlink()
    comparison = run_study(copied, make_configs(), train_run=train_never)
    assert "ae took an unknown training time." in comparison.list_sentences()
    assert "an unknown training time" in (copied / "report.html").read_text()


def test_a_silent_study_is_evaluated_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variants = make_configs(names=("ae",))
    comparison = compare(make_study(variants, seeds=(5,)), variants, tmp_path, train_one, Console(shown=False))
    assert comparison is not None
    assert (tmp_path / "report.html").is_file()
    assert capsys.readouterr() == ("", "")


def test_negative_controls_are_evaluated_once(copied: Path, finished: tuple[Path, Comparison]) -> None:
    controls = finished[1].controls
    assert set(controls) == set(NEGATIVE_CONTROLS)
    assert {result.protocol["reconstructions"] for result in controls.values()} == {40}
    metrics = {key for key in finished[1].first.evaluation.metrics if not key.startswith(("elbo", "bits", "rate"))}
    assert {frozenset(result.metrics) for result in controls.values()} == {frozenset(metrics)}
    files = sorted((copied / "controls").rglob("*.json"))
    assert len(files) == len(NEGATIVE_CONTROLS)
    before = [file.stat().st_mtime_ns for file in files]
    again = run_study(copied, make_configs(), train_run=train_never).controls
    assert [file.stat().st_mtime_ns for file in files] == before
    assert {name: result.metrics for name, result in again.items()} == {
        name: result.metrics for name, result in controls.items()
    }


def test_what_has_no_interval_is_written_all_the_same(tmp_path: Path) -> None:
    """KID of so few images that they are one block."""
    net = Run(tmp_path / "net")
    net.path.mkdir()
    net.export(Classifier(ClassifierConfig(width=8, classes=10), (1, 8, 8), 0).eval(), 1)
    words = (f"evaluate.features={net.path}", "evaluate.metrics=[sharpness, kid]", "evaluate.samples=30")
    run_study(tmp_path / "study", make_configs(*words, names=("vae", "vaegan3")), seeds=(5,))
    verdicts = record(tmp_path / "study")["findings"]
    assert verdicts[1]["evidence"]["distance"]["low"] is None and verdicts[1]["evidence"]["distance"]["p"] == 1
