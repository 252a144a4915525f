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

from .distortions import to_images

SETS = ["digits", "small photos", "photos"]
DEFECTS = [name for name in NEGATIVE_CONTROLS if name != REAL]


@pytest.fixture(scope="module")
def controls(sets: dict[str, Tensor]) -> dict[str, dict[str, EvaluationResult]]:
    """Evaluate half the images of each set; the other half are the samples."""
    found: dict[str, dict[str, EvaluationResult]] = {}
    for name, pixels in sets.items():
        real, others = to_images(pixels[::2]), to_images(pixels[1::2])
        config = EvaluateConfig(metrics=("psnr", "sharpness"))
        shape = tuple(pixels.shape[1:])
        found[name] = {
            control: evaluate_model(
                DistortedImages(defect, shape, others, len(real)), ImageSplit("test", real), config, seed=0
            )
            for control, defect in NEGATIVE_CONTROLS.items()
        }
    return found


@pytest.mark.parametrize("name", SETS)
def test_real_images_are_their_own_and_others_leave_a_floor(name, controls) -> None:
    floor = controls[name][REAL].metrics
    assert floor["reconstruction/spectrum_error"] == pytest.approx(0, abs=1e-9)
    assert floor["reconstruction/coherence"] == pytest.approx(1)
    assert 0 < floor["sample/spectrum_error"] < 0.6


def test_too_few_other_images_are_no_floor_and_it_is_said(photos: Tensor, tmp_path: Path, capsys) -> None:
    few, many = to_images(photos[:20]), to_images(photos[20:60])
    config = EvaluateConfig(metrics=("sharpness",))
    for train, test, floor in ((many, few, True), (few, many, False)):
        found = evaluate_negative_controls(tmp_path / str(floor), config, Data(train, few, test, (), "0"), Console())
        assert all(("sample/spectrum_error" in each.metrics) == floor for each in found.values())
        said = capsys.readouterr().err
        assert ("real images: 20 beside those of the test split, fewer than 40: samples have no floor" in said) != floor


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_seen_by_a_sharpness_metric(name: str, defect: str, controls) -> None:
    floor, found = controls[name][REAL].metrics, controls[name][defect].metrics
    names = ("spectrum_error", "laplacian_gap", "kurtosis_gap")
    assert any(found[f"sample/{name}"] > 2 * floor[f"sample/{name}"] for name in names)
    assert any(found[f"reconstruction/{name}"] > 0.1 for name in names)


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
