"""Results of a run are used again only if nothing has changed that they are a function of."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import vaegan
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.metrics.build import list_unmeasured
from vaegan.storage.run_folder import Run
from vaegan.trainers import train
from vaegan.workflows.runs import read_evaluation_config

from ..own_networks import build_own_networks
from ..tiny import tiny
from .studies import make_configs, run_study, train_never


def test_other_settings_of_the_evaluation_need_no_training(copied: Path) -> None:
    comparison = run_study(copied, make_configs("evaluate.samples=30"), train_run=train_never)
    assert {run.evaluation.protocol["samples"] for run in comparison.runs["vae"].values()} == {30}


def test_metrics_of_another_density_are_not_reused(finished: tuple[Path, Comparison], copied: Path) -> None:
    controls = {file: file.stat().st_mtime_ns for file in (copied / "controls").rglob("*.json")}
    for spec, name in (("gaussian", "Gaussian"), ("gmm:3", "GMM of 3"), ("null", None)):
        comparison = run_study(copied, make_configs(f"evaluate.density={spec}"), train_run=train_never)
        density = name and f"{name}, fitted to 1,437 codes"
        assert comparison.density == density
        for variant, runs in comparison.runs.items():
            prior = None if variant == "ae" else "N(0, I)"
            for seed, run in runs.items():
                assert run.evaluation.protocol["samples_from"] == (density or prior)
                before = finished[1].runs[variant][seed].evaluation.metrics
                changed = {key for key, value in run.evaluation.metrics.items() if before.get(key) != value}
                assert changed == {key for key in run.evaluation.metrics if density and key.startswith("sample/")}
        samples = [verdict for verdict in comparison.verdicts if verdict.kind == "sample"]
        assert {verdict.variant for verdict in samples} == ({"ae", "vaegan3"} if density else {"vaegan3"})
    assert {file: file.stat().st_mtime_ns for file in controls} == controls, "real images have none"


@pytest.mark.parametrize("damage", ["weights", "versions", "device", "torn", "other"])
def test_other_metrics_are_not_reused(damage: str, finished: tuple[Path, Comparison], copied: Path) -> None:
    run = Run(copied / "vae" / "seed_5")
    contents = json.loads(run.metrics_file.read_text())
    contents["metrics"]["reconstruction/psnr"] = 99.0
    origin = contents["protocol"]["origin"]
    if damage == "weights":
        origin["weights"] = "0" * 64
    if damage == "versions":
        origin["versions"]["torchmetrics"] = "0.1"
    if damage == "device":
        origin["device"] = "another"
    text = json.dumps(contents if damage != "other" else {"psnr": 99.0})
    run.metrics_file.write_text(text[:-20] if damage == "torn" else text)
    comparison = run_study(copied, make_configs(), train_run=train_never)
    expected = finished[1].runs["vae"][5].evaluation
    assert comparison.runs["vae"][5].evaluation.metrics == expected.metrics
    assert json.loads(run.metrics_file.read_text())["metrics"] == expected.metrics


@pytest.mark.long
def test_weights_of_lpips_that_arrive_later_are_used(
    copied: Path, stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = make_configs("evaluate.metrics=[lpips]", "evaluate.samples=3")
    torch_home = stand_in("alex").parents[2]
    monkeypatch.setenv("TORCH_HOME", "nowhere")
    without = run_study(copied, configs, train_run=train_never).first.evaluation
    assert capsys.readouterr().err.count("lpips: random features") == 1, "for all six runs"
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    trained = run_study(copied, configs, train_run=train_never).first.evaluation
    assert (*without.metrics, *trained.metrics) == ("reconstruction/lpips_random", "reconstruction/lpips_alex")
    assert trained.protocol["origin"]["trained_lpips"] is True
    state = Run(copied / "vae" / "seed_5").metrics_file.stat().st_mtime_ns
    run_study(copied, configs, train_run=train_never)
    assert Run(copied / "vae" / "seed_5").metrics_file.stat().st_mtime_ns == state


def test_without_a_checkpoint_there_is_no_confusion_and_the_protocol_says_why(copied: Path) -> None:
    run = Run(copied / "vaegan3" / "seed_5")
    shutil.rmtree(run.checkpoints)
    result = vaegan.evaluate_run(run, metrics=["psnr", "confusion", "codebook"], progress=False)
    assert result.protocol["left_out"] == {"confusion": "no checkpoint has the discriminator"}
    settings = {"metrics": ["psnr", "confusion", "codebook"]}
    assert list_unmeasured(read_evaluation_config(run.path, settings).evaluate, result.protocol) == ["codebook"]


def test_a_run_of_given_modules_is_evaluated_with_them(tmp_path: Path) -> None:
    config, networks = tiny("vaegan3"), build_own_networks()
    run = train(config, tmp_path / "run", open_data(config.data), networks=networks)
    settings = {"metrics": ["psnr", "confusion"], "samples": 16, "progress": False}
    metrics = vaegan.evaluate_run(run, networks=networks, **settings).metrics
    assert metrics.keys() == {"reconstruction/psnr", "discriminator/accuracy"}
    del networks["discriminator"]
    with pytest.raises(UserError, match=r'networks=\{"encoder": .*"discriminator": OwnDiscriminator'):
        vaegan.evaluate_run(run, networks=networks, **settings)
