"""Real images with defects: each is seen by a sharpness metric, and none passes for sharper than the real ones."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.cli.console import Console
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data
from vaegan.evaluate.comparing.bootstrap import correct_holm
from vaegan.evaluate.comparing.evidence import compare_reconstructions, compare_samples, decide
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.negative_controls import NEGATIVE_CONTROLS, REAL, DistortedImages, evaluate_negative_controls
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import to_float, to_uint8

from .distortions import blur, evaluate, to_images

SETS = ["digits", "small photos", "photos"]
DEFECTS = [name for name in NEGATIVE_CONTROLS if name != REAL]


@pytest.fixture(scope="module")
def controls(sets: dict[str, Tensor]) -> dict[str, dict[str, EvaluationResult]]:
    """Evaluate half the images of each set; the other half are the samples."""
    controls: dict[str, dict[str, EvaluationResult]] = {}
    for name, pixels in sets.items():
        real, others = to_images(pixels[::2]), to_images(pixels[1::2])
        config = EvaluateConfig(metrics=("psnr", "sharpness"))
        shape = tuple(pixels.shape[1:])
        controls[name] = {
            control: evaluate_model(
                DistortedImages(defect, shape, others, len(real)), ImageSplit("test", real), config, seed=0
            )
            for control, defect in NEGATIVE_CONTROLS.items()
        }
    return controls


@pytest.mark.parametrize("name", SETS)
def test_real_images_are_their_own_and_others_leave_a_floor(name, controls) -> None:
    baseline = controls[name][REAL].metrics
    assert baseline["reconstruction/spectrum_error"] == pytest.approx(0, abs=1e-9)
    assert baseline["reconstruction/coherence"] == pytest.approx(1)
    assert 0 < baseline["sample/spectrum_error"] < 0.6


def test_too_few_other_images_are_no_floor_and_it_is_said(photos: Tensor, tmp_path: Path, capsys) -> None:
    few, many = to_images(photos[:20]), to_images(photos[20:60])
    config = EvaluateConfig(metrics=("sharpness",))
    for train, test, has_baseline in ((many, few, True), (few, many, False)):
        controls = evaluate_negative_controls(
            tmp_path / str(has_baseline), config, Data(train, few, test, (), "0"), Console()
        )
        assert all(("sample/spectrum_error" in evaluation.metrics) == has_baseline for evaluation in controls.values())
        stderr = capsys.readouterr().err
        assert (
            "real images: 20 outside the test split, fewer than 40: samples have no baseline" in stderr
        ) != has_baseline


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_seen_by_a_sharpness_metric(name: str, defect: str, controls) -> None:
    baseline, control = controls[name][REAL].metrics, controls[name][defect].metrics
    names = ("spectrum_error", "laplacian_gap", "kurtosis_gap")
    assert any(control[f"sample/{name}"] > 2 * baseline[f"sample/{name}"] for name in names)
    assert any(control[f"reconstruction/{name}"] > 0.1 for name in names)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("defect", DEFECTS)
def test_no_defect_passes_for_sharper(name: str, defect: str, controls) -> None:
    """Though noise, a checkerboard and an unsharp mask all raise the variance of the Laplacian."""
    for compare in (compare_reconstructions, compare_samples):
        evidence = compare({0: controls[name][defect]}, {0: controls[name][REAL]})
        assert decide(evidence, correct_holm([test.p for test in evidence.tests])) != "sharper"


def test_what_a_control_makes_is_the_defect_alone(photos: Tensor) -> None:
    images = torch.linspace(-1, 1, 4 * 3 * 32 * 32).reshape(4, 3, 32, 32)
    for defect in NEGATIVE_CONTROLS.values():
        whole = defect(images)
        assert torch.equal(torch.cat([defect(part) for part in images.split(3)]), whole)  # no image knows of another
        assert whole.shape == images.shape
    model = DistortedImages(NEGATIVE_CONTROLS["noisy"], (3, 32, 32), to_images(photos), 50)
    assert torch.equal(model.sample(50)[7:9], model.decode(model.draw_prior_codes(7, 9, seed=3)))
    assert (model.has_prior, model.prior_name) == (True, "other real images")
    assert not DistortedImages(NEGATIVE_CONTROLS["noisy"], (3, 32, 32), to_images(photos), 121).has_prior


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


def test_controls_are_not_measured_by_what_a_model_is_used_for(photos: Tensor, tmp_path: Path) -> None:
    data, uses = Data(to_images(photos), to_images(photos[:0]), to_images(photos), (), "x"), ("anomaly", "completion")
    measured = [
        evaluate_negative_controls(tmp_path / name, EvaluateConfig(metrics=metrics), data, Console(shown=False))
        for name, metrics in (("alone", ("sharpness",)), ("both", ("sharpness", *uses)), ("uses", uses))
    ]
    alone, both, none = ({name: result.metrics for name, result in each.items()} for each in measured)
    assert both == alone
    assert none == {}
