"""An image that was rejected is the first further draw that passes, and what passes is measured on draws of its own."""

import pytest
import torch
from torch import Tensor

from vaegan.generation import rejection
from vaegan.generation.description import read_generation
from vaegan.generation.rejection import (
    Rejection,
    draw_rows,
    make_distance_score,
    make_realness_score,
    measure_threshold,
)
from vaegan.images import to_float, to_uint8
from vaegan.losses.adversarial import realness
from vaegan.models.autoencoder import Sampler
from vaegan.randomness import derive_seed
from vaegan.storage.loading import load, load_discriminator
from vaegan.storage.run_folder import Run

from .conftest import Generate


def brightness(pixels: Tensor, labels: Tensor | None) -> Tensor:
    assert labels is not None and len(labels) == len(pixels)
    return pixels.double().mean((1, 2, 3))


def draw_one(sampler: Sampler, row: int) -> Tensor:
    return to_uint8(sampler.draw(row, row + 1))


def test_the_first_draw_that_passes_is_kept(by_class: Run) -> None:
    sampler = Sampler(load(by_class.path), 5)
    threshold = measure_threshold(sampler, None, brightness, 0.6, 64)
    kept = draw_rows(sampler, range(3, 27), None, Rejection(brightness, threshold))
    draws = 0
    for row, pixels in zip(range(3, 27), kept, strict=True):
        seeds = [5, *(derive_seed(5, "draw", number) for number in range(1, 100))]
        for seed in seeds:
            drawn = draw_one(Sampler(sampler.model, seed), row)
            draws += 1
            if brightness(drawn, torch.tensor([row % 10])) >= threshold:
                break
        assert (drawn[0].int() - pixels.int()).abs().max() <= 1
    assert draws > 36


def test_the_threshold_leaves_the_share_of_further_draws(by_class: Run) -> None:
    sampler = Sampler(load(by_class.path), 5)
    threshold = measure_threshold(sampler, None, brightness, 0.3, 50)
    assert threshold == measure_threshold(sampler, None, brightness, 0.3, 50)
    fresh = brightness(to_uint8(sampler.draw(0, 2000)), torch.zeros(2000))
    assert (fresh < threshold).double().mean() == pytest.approx(0.3, abs=3 * (0.3 * 0.7 * (1 / 1000 + 1 / 2000)) ** 0.5)


def test_without_a_draw_that_passes_the_best_is_kept(by_class: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "MAX_DRAWS", 4)
    sampler = Sampler(load(by_class.path), 5)
    kept = draw_rows(sampler, range(6), None, Rejection(brightness, 300.0))
    seeds = [5, *(derive_seed(5, "draw", number) for number in range(1, 4))]
    draws = torch.stack(
        [brightness(to_uint8(Sampler(sampler.model, seed).draw(0, 6)), torch.zeros(6)) for seed in seeds]
    )
    torch.testing.assert_close(brightness(kept, torch.zeros(6)), draws.amax(0), rtol=0, atol=0.02)
    assert draws.argmax(0).any()


def test_realness_is_the_discriminator_s(by_class: Run) -> None:
    discriminator = load_discriminator(by_class, print)
    assert discriminator is not None
    pixels, labels = to_uint8(Sampler(load(by_class.path)).draw(0, 12)), torch.arange(12) % 10
    expected = realness(discriminator(to_float(pixels), labels=labels).scores).double()
    assert torch.equal(make_realness_score(discriminator)(pixels, labels), expected) and expected.std() > 0


def test_distance_is_that_to_the_nearest_training_image() -> None:
    generator = torch.Generator().manual_seed(0)
    training = torch.randn(30, 5, generator=generator)
    pixels = torch.randint(0, 256, (7, 1, 1, 5), generator=generator, dtype=torch.uint8)
    score = make_distance_score(lambda images: 2 * images[:, 0, 0], training)
    features = 2 * to_float(pixels)[:, 0, 0]
    for found, own in zip(score(pixels, None), features.double(), strict=True):
        assert -found == pytest.approx(min(float((own - other).norm()) for other in training.double()), rel=1e-9)


def test_a_resumed_generation_keeps_its_threshold(generate: Generate) -> None:
    rule = {"score": "distance", "share": 0.5, "judge": "x"}
    folder = generate("folder", brightness, rejection=rule)
    first = read_generation(folder)
    pixels = {file: file.read_bytes() for file in folder.rglob("*.png")}
    assert first is not None and first.rejection is not None and first.rejection.threshold is not None
    next(iter(pixels)).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejection, "PILOT_ROWS", 1)
        generate("folder", brightness, rejection=rule)
    assert read_generation(folder) == first
    assert {file: file.read_bytes() for file in folder.rglob("*.png")} == pixels
