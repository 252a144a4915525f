import json
import os
import shutil
import signal
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from torch import Tensor

from vaegan.cli.console import Console
from vaegan.config.models import ClassifierConfig
from vaegan.config.schema import Config, EvaluateConfig
from vaegan.data import Data, open_data
from vaegan.errors import Interrupted, UserError
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.negative_controls import NEGATIVE_CONTROLS, REAL, evaluate_negative_controls
from vaegan.evaluate.study import compare
from vaegan.images import to_float, to_uint8
from vaegan.models import Classifier
from vaegan.progress import ProgressCallback
from vaegan.storage.run_folder import Run
from vaegan.trainers import train
from vaegan.trainers.dry_run import estimate_size

from ..tiny import are_bit_identical, load_newest
from ..tiny import flatten as tensors
from .distortions import blur, evaluate, to_images
from .studies import make_configs, make_study, run_study, train_one


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    folder = tmp_path_factory.mktemp("study")
    return folder, run_study(folder, make_configs())


@pytest.fixture
def copied(finished: tuple[Path, Comparison], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "study"))


def record(folder: Path) -> dict:
    return json.loads((folder / "comparison.json").read_text())


def train_never(config: Config, folder: Path, data: Data, resume: bool) -> Run:
    raise AssertionError(f"{folder} is trained again")


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
        measured = {str(seed): json.loads((run / "metrics.json").read_text()) for seed, run in runs.items()}
        for key in measured["5"]["metrics"]:
            values = {seed: each["metrics"][key] for seed, each in measured.items()}
            assert variant["figures"][key] == {
                "mean": pytest.approx(statistics.fmean(values.values()), rel=1e-12),
                "standard_deviation": pytest.approx(statistics.stdev(values.values()), rel=1e-12),
                "seeds": values,
            }
        for seed, run in runs.items():
            timing = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
            assert variant["figures"]["seconds"]["seeds"][str(seed)] == sum(line["seconds"] for line in timing)
            assert variant["figures"]["memory_bytes"]["seeds"][str(seed)] == max(x["memory_bytes"] for x in timing)
            assert variant["runs"][str(seed)]["protocol"] == measured[str(seed)]["protocol"]
        assert variant["parameters"] == estimate_size(make_configs()[name]).parameters
    assert "sample/spectrum_error" not in written["variants"]["ae"]["figures"]
    found = {(verdict["variant"], verdict["kind"]) for verdict in written["findings"]}
    assert found == {("ae", "reconstruction"), ("vaegan3", "reconstruction"), ("vaegan3", "sample")}
    assert {effect["variant"] for effect in written["effects"]} == {"ae", "vaegan3"}
    assert written["controls"] == {
        name: {"figures": each.metrics, "protocol": each.protocol} for name, each in comparison.controls.items()
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
    with pytest.raises(UserError, match="other images"):
        run_study(copied, other, train_run=train_never)


def test_a_seed_counts_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds: 5 given twice"):
        run_study(tmp_path, make_configs(), seeds=(5, 6, 5), train_run=train_never)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.test=0", "evaluate.split: test: the run keeps no image in it"),
        ("evaluate.density=gmm:1437", "density: gmm:1437: 1437 training images are too few for 1437"),
        ("evaluate.metrics=[kid]", "evaluate.features: inception needs"),
        ("evaluate.metrics=[psnr, lpips_vgg]", "vgg16"),
    ],
)
def test_what_cannot_be_evaluated_is_not_trained(override: str, said: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UserError, match=said):
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


def test_other_settings_of_the_evaluation_need_no_training(copied: Path) -> None:
    comparison = run_study(copied, make_configs("evaluate.samples=30"), train_run=train_never)
    assert {run.evaluation.protocol["samples"] for run in comparison.runs["vae"].values()} == {30}


def test_metrics_of_another_density_are_not_reused(finished: tuple[Path, Comparison], copied: Path) -> None:
    controls = {file: file.stat().st_mtime_ns for file in (copied / "controls").rglob("*.json")}
    for asked, said in (("gaussian", "Gaussian"), ("gmm:3", "GMM of 3"), ("null", None)):
        comparison = run_study(copied, make_configs(f"evaluate.density={asked}"), train_run=train_never)
        named = said and f"{said}, fitted to 1,437 codes"
        assert comparison.density == named
        for name, runs in comparison.runs.items():
            prior = None if name == "ae" else "N(0, I)"
            for seed, run in runs.items():
                assert run.evaluation.protocol["samples_from"] == (named or prior)
                before = finished[1].runs[name][seed].evaluation.metrics
                changed = {key for key, value in run.evaluation.metrics.items() if before.get(key) != value}
                assert changed == {key for key in run.evaluation.metrics if named and key.startswith("sample/")}
        samples = [verdict for verdict in comparison.verdicts if verdict.kind == "sample"]
        assert {verdict.variant for verdict in samples} == ({"ae", "vaegan3"} if named else {"vaegan3"})
    assert {file: file.stat().st_mtime_ns for file in controls} == controls, "real images have none"


@pytest.mark.parametrize("damage", ["weights", "versions", "device", "torn", "other"])
def test_other_metrics_are_not_reused(damage: str, finished: tuple[Path, Comparison], copied: Path) -> None:
    run = Run(copied / "vae" / "seed_5")
    measured = json.loads(run.metrics_file.read_text())
    measured["metrics"]["reconstruction/psnr"] = 99.0
    origin = measured["protocol"]["origin"]
    if damage == "weights":
        origin["weights"] = "0" * 64
    if damage == "versions":
        origin["versions"]["torchmetrics"] = "0.1"
    if damage == "device":
        origin["device"] = "another"
    text = json.dumps(measured if damage != "other" else {"psnr": 99.0})
    run.metrics_file.write_text(text[:-20] if damage == "torn" else text)
    comparison = run_study(copied, make_configs(), train_run=train_never)
    expected = finished[1].runs["vae"][5].evaluation
    assert comparison.runs["vae"][5].evaluation.metrics == expected.metrics
    assert json.loads(run.metrics_file.read_text())["metrics"] == expected.metrics


def test_weights_of_lpips_that_arrive_later_are_used(
    copied: Path, stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = make_configs("evaluate.metrics=[lpips]", "evaluate.samples=3")
    torch_home = stand_in("alex").parents[2]
    monkeypatch.setenv("TORCH_HOME", "nowhere")
    without = run_study(copied, asked, train_run=train_never).first.evaluation
    assert capsys.readouterr().err.count("lpips: random features") == 1, "for all six runs"
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    trained = run_study(copied, asked, train_run=train_never).first.evaluation
    assert (*without.metrics, *trained.metrics) == ("reconstruction/lpips_random", "reconstruction/lpips_alex")
    assert trained.protocol["origin"]["trained_lpips"] is True
    state = Run(copied / "vae" / "seed_5").metrics_file.stat().st_mtime_ns
    run_study(copied, asked, train_run=train_never)
    assert Run(copied / "vae" / "seed_5").metrics_file.stat().st_mtime_ns == state


def test_a_silent_study_is_evaluated_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variants = make_configs(names=("ae",))
    comparison = compare(make_study(variants, seeds=(5,)), variants, tmp_path, train_one, Console(shown=False))
    assert comparison is not None
    assert (tmp_path / "report.html").is_file()
    assert capsys.readouterr() == ("", "")


def test_negative_controls_are_evaluated_once(copied: Path, finished: tuple[Path, Comparison]) -> None:
    controls = finished[1].controls
    assert set(controls) == set(NEGATIVE_CONTROLS)
    assert {each.protocol["reconstructions"] for each in controls.values()} == {40}
    metrics = {key for key in finished[1].first.evaluation.metrics if not key.startswith(("elbo", "bits", "rate"))}
    assert {frozenset(each.metrics) for each in controls.values()} == {frozenset(metrics)}
    files = sorted((copied / "controls").rglob("*.json"))
    assert len(files) == len(NEGATIVE_CONTROLS)
    before = [file.stat().st_mtime_ns for file in files]
    again = run_study(copied, make_configs(), train_run=train_never).controls
    assert [file.stat().st_mtime_ns for file in files] == before
    assert {name: each.metrics for name, each in again.items()} == {
        name: each.metrics for name, each in controls.items()
    }


def test_samples_of_the_floor_are_images_of_another_split(photos: Tensor, tmp_path: Path) -> None:
    blurred = to_uint8(blur(to_float(photos), 1.0))
    data = Data(to_images(blurred), to_images(photos[:0]), to_images(photos), (), "x")
    settings = EvaluateConfig(metrics=("sharpness",))
    floor = evaluate_negative_controls(tmp_path, settings, data, Console(shown=False))[REAL].metrics
    expected = evaluate(photos, lambda images: blur(images, 1.0)).metrics
    assert floor == pytest.approx(
        {key: value if key.startswith("sample/") else floor[key] for key, value in expected.items()}, rel=1e-6
    )
    assert floor["reconstruction/spectrum_error"] == 0


def test_what_has_no_interval_is_written_all_the_same(tmp_path: Path) -> None:
    """KID of so few images that they are one block."""
    net = Run(tmp_path / "net")
    net.path.mkdir()
    net.export(Classifier(ClassifierConfig(width=8, classes=10), (1, 8, 8), 0).eval(), 1)
    words = (f"evaluate.features={net.path}", "evaluate.metrics=[sharpness, kid]", "evaluate.samples=30")
    run_study(tmp_path / "study", make_configs(*words, names=("vae", "vaegan3")), seeds=(5,))
    verdicts = record(tmp_path / "study")["findings"]
    assert verdicts[1]["evidence"]["distance"]["low"] is None and verdicts[1]["evidence"]["distance"]["p"] == 1
