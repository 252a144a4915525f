"""Two and three real processes measure what one process measures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vaegan.config import dump_config
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.negative_controls import NEGATIVE_CONTROLS
from vaegan.evaluate.result import read_result
from vaegan.storage.run_folder import Run

from . import worker
from .studies import make_configs, run_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def alone(folder: Path) -> Comparison:
    """Run a study that one process trained and evaluated; its runs are left, and nothing that was made of them."""
    variants = make_configs("evaluate.density=gmm:2", names=("ae", "vae"))
    comparison = run_study(folder / "study", variants, seeds=(worker.SEED,))
    for pattern in ("comparison.json", "report.html", "*/*/metrics.json", "controls/*/*"):
        for file in (folder / "study").glob(pattern):
            file.unlink()
    (folder / "configs").mkdir()
    for name, config in variants.items():
        (folder / "configs" / f"{name}.yaml").write_text(dump_config(config))
    return comparison


@pytest.fixture(scope="module")
def results(folder: Path, alone: Comparison) -> list[dict[str, Any]]:
    """Return the results of each of three processes."""
    worker.write_image_files(folder)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, worker.__file__, str(folder)]
    process = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=4 * worker.TIMEOUT_SECONDS
    )
    assert process.returncode == 0, process.stderr[-6000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(3)]


def approximate(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the same metrics but for the rounding of sums, of the very same protocol."""
    curves = {name: pytest.approx(curve, rel=1e-8) for name, curve in evaluation["curves"].items()}
    return {**evaluation, "metrics": pytest.approx(evaluation["metrics"], rel=1e-8), "curves": curves}


def test_any_number_of_processes_is_one(results: list[dict[str, Any]]) -> None:
    expected = worker.evaluate_all_cases()
    assert len(expected) == 12
    for world in worker.WORLDS:
        first, *others = [result[str(world)] for result in results[:world]]
        assert all(other == first for other in others), "each process has the same bits"
        assert first == {case: approximate(evaluation) for case, evaluation in expected.items()}
    for result in results:
        assert result["1"]["vae float32 29"] == expected["vae float32 29"], "launched with others, but not met"


def test_sets_of_images_are_measured_alike(results: list[dict[str, Any]]) -> None:
    expected = worker.evaluate_sets()
    assert {name.partition("/")[2] for result in expected.values() for name in result["metrics"]} == {
        "fd", "kid", "precision", "recall", "density", "coverage", "nearer", "copies", "nearer_in_pixels",
        "copies_in_pixels",
    }  # fmt: skip
    for result in results:
        assert result["sets"] == {metrics: approximate(evaluation) for metrics, evaluation in expected.items()}


def test_images_without_a_model_are_measured_alike(results: list[dict[str, Any]], folder: Path) -> None:
    expected = worker.evaluate_image_files(folder)
    assert [expected["protocol"][name] for name in ("pairs", "real_images", "fake_images")] == [20, 29, 31]
    assert len(expected["metrics"]) == 12
    for result in results:
        assert result["files"] == approximate(expected)


def test_defects_and_holes_are_drawn_by_the_index_of_an_image(results: list[dict[str, Any]]) -> None:
    expected = worker.evaluate_anomalies()
    scores = {name: pytest.approx(values, rel=1e-8) for name, values in expected["scores"].items()}
    assert len(scores) == 7
    for result in results:
        assert result["anomalies"] == approximate(expected) | {"scores": scores}


def test_a_density_is_the_same_whoever_fits_it(results: list[dict[str, Any]]) -> None:
    expected = worker.evaluate_densities()
    for result in results:
        assert result["densities"] == results[0]["densities"], "each process has the same bits"
        for asked, evaluation in expected.items():
            scores = {name: pytest.approx(values, rel=1e-8) for name, values in evaluation["scores"].items()}
            assert result["densities"][asked] == approximate(evaluation) | {"scores": scores}
        error, message, _ = result["few"]
        assert (error, message[:46]) == ("UserError", "density: gmm:3: 3 training images are too few ")


def test_every_process_reports_every_round(results: list[dict[str, Any]]) -> None:
    images = [*range(12, 29, 12), 29, *range(29 + 12, 29 + 31, 12), 29 + 31]
    for result in results:
        assert result["progress"] == [[[done, 29 + 31]] * 3 for done in images]


def test_a_callback_can_end_it_for_all(results: list[dict[str, Any]]) -> None:
    assert [result["cut"] for result in results] == [2, 2, 2]


def test_what_fails_for_one_fails_for_all(results: list[dict[str, Any]]) -> None:
    for result in results:
        error, message, seconds = result["broken"]
        assert error == "Failure"
        assert message.startswith("the model makes pixels that are not finite") and "\n" not in message
        assert seconds < 10


def test_processes_with_different_arguments_are_refused(results: list[dict[str, Any]]) -> None:
    for result in results:
        error, message, _ = result["unlike"]
        assert error == "UserError"
        assert (
            message.startswith("process 1 would not measure what process 0 does: seed: 0 -> 1;") and "\n" not in message
        )


def test_a_study_is_evaluated_by_all_processes_and_written_by_the_main_one(
    results: list[dict[str, Any]], folder: Path, alone: Comparison
) -> None:
    expected = json.loads(json.dumps(alone.to_record()))
    for result in results:
        assert [count for _, count in result["study"]] == [2 + len(NEGATIVE_CONTROLS), 0], "what is known is used again"
    for (anew, _), (again, _) in [result["study"] for result in results[1:]]:
        assert anew is again is None
    anew, again = (record for record, _ in results[0]["study"])
    assert anew == again == json.loads((folder / "study" / "comparison.json").read_text())
    assert (folder / "study" / "report.html").is_file()
    for name, control in expected["controls"].items():
        assert anew["controls"][name]["figures"] == pytest.approx(control["figures"], rel=1e-8)
    for name, variant in expected["variants"].items():
        measured = read_result(Run(folder / "study" / name / f"seed_{worker.SEED}"))
        expected_scores = alone.runs[name][worker.SEED].evaluation.scores
        assert measured.metrics == pytest.approx(alone.runs[name][worker.SEED].evaluation.metrics, rel=1e-8)
        assert {key: values.shape for key, values in measured.scores.items()} == {
            key: values.shape for key, values in expected_scores.items()
        }
        assert {key: result["mean"] for key, result in anew["variants"][name]["figures"].items()} == pytest.approx(
            {key: result["mean"] for key, result in variant["figures"].items()}, rel=1e-8
        )
