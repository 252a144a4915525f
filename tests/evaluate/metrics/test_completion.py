"""Filled holes are compared with the real image inside them alone, for the same images whatever the batches."""

import math

import numpy as np
import pytest
import torch

from vaegan.applications.completion import complete_images
from vaegan.config.schema import EvaluateConfig
from vaegan.evaluate.metric_descriptions import METRIC_DESCRIPTIONS
from vaegan.evaluate.metrics import completion
from vaegan.evaluate.metrics.completion import RESTARTS, STEPS, compare_in_holes, draw_box
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.images import to_float
from vaegan.losses.perceptual import build_random_lpips_network, lpips_map
from vaegan.models import build_model

from ...tiny import tiny
from ..distortions import to_split


def draw_pixels(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed)).byte()


def test_boxes_are_of_all_sizes_and_places() -> None:
    boxes = torch.stack([draw_box(16, 3, index) for index in range(400)])
    assert torch.equal(boxes[7], draw_box(16, 3, 7)) and not torch.equal(boxes[7], draw_box(16, 4, 7))
    heights, widths = boxes.any(2).sum(1), boxes.any(1).sum(1)
    assert torch.equal(boxes.sum((1, 2)), heights * widths)
    assert heights.unique().tolist() == widths.unique().tolist() == [4, 5, 6, 7, 8]
    assert boxes.any(0).all()


def test_values_are_those_of_the_hole() -> None:
    real, filled = draw_pixels(1), draw_pixels(1, 1)
    hole = torch.zeros(1, 8, 8, dtype=torch.bool)
    hole[0, 2:6, 0:3] = True
    values = compare_in_holes(real, torch.where(hole, filled, real), hole)
    a, b = (each[0, 0].double().numpy() / 127.5 - 1 for each in (real, torch.where(hole, filled, real)))
    error = np.mean((a[2:6, 0:3] - b[2:6, 0:3]) ** 2)
    assert values["psnr"].item() == pytest.approx(10 * math.log10(4 / error))
    squares = []
    for image in (a, b):
        places = [(row, column) for row in range(2, 6) for column in (1, 2)]
        edges = [
            image[r - 1, c] + image[r + 1, c] + image[r, c - 1] + image[r, c + 1] - 4 * image[r, c] for r, c in places
        ]
        squares.append(np.mean(np.square(edges)) + 20 * (2 / 255) ** 2 / 12)
    assert values["laplacian_gap"].item() == pytest.approx(abs(math.log(squares[1] / squares[0])))
    same = compare_in_holes(real, real, hole)
    assert same["laplacian_gap"] == 0 and same["psnr"].item() == pytest.approx(58.92, abs=0.01)


def test_images_are_chosen_evenly_and_completed_as_the_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "MAX_IMAGES", 4)
    model = build_model(tiny("vae").model, (1, 8, 8), 0).double().eval()
    pixels = draw_pixels(10)
    results = [
        evaluate_model(
            model,
            to_split(pixels),
            EvaluateConfig(metrics=("completion",), batch_size=size),
            seed=2,
            notify=lambda _: None,
        )
        for size in (64, 3)
    ]
    assert results[1].metrics == pytest.approx(results[0].metrics, rel=1e-3)
    chosen = [0, 2, 5, 7]
    holes = torch.stack([draw_box(8, 2, index) for index in chosen])
    completed, _ = complete_images(model, pixels[chosen], holes, seed=2, restarts=RESTARTS, steps=STEPS)
    expected = compare_in_holes(pixels[chosen], completed[0], holes)
    distances = lpips_map(build_random_lpips_network(), to_float(pixels[chosen]), to_float(completed[0])).double()
    expected["lpips_random"] = torch.stack([values[hole].mean() for values, hole in zip(distances, holes, strict=True)])
    for name, values in expected.items():
        key = f"completion/{name}"
        torch.testing.assert_close(results[0].scores[key], values, rtol=1e-6, atol=1e-9)
        assert results[0].metrics[key] == pytest.approx(values.mean().item()) and key in METRIC_DESCRIPTIONS
    assert results[0].metrics.keys() == {f"completion/{name}" for name in expected}


def test_a_family_without_a_prior_has_no_such_metric() -> None:
    for name in ("ae", "vqvae"):
        model = build_model(tiny(name).model, (1, 8, 8), 0).eval()
        settings = EvaluateConfig(metrics=("psnr", "completion"))
        result = evaluate_model(model, to_split(draw_pixels(3)), settings, seed=2, notify=lambda _: None)
        assert list(result.metrics) == ["reconstruction/psnr"]
