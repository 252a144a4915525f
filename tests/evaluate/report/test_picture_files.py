"""Pictures beside the report."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vaegan import load
from vaegan.data import Images
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.negative_controls import DistortedImages
from vaegan.evaluate.report.image_sheets import build_interpolations, build_reconstructions
from vaegan.evaluate.report.picture_files import GAP_PIXELS, draw_sheet
from vaegan.images import to_uint8


def test_a_picture_has_the_pixels_of_the_models(page_path: Path, hostile_study: Comparison) -> None:
    picture = np.asarray(Image.open(page_path.parent / "samples.png"))
    names = [name for name in hostile_study.names if hostile_study.load_sampler(name).source is not None]
    step = 64 + 2 * GAP_PIXELS
    assert picture.shape[0] == step * len(names) and len(names) == 2
    margin = picture.shape[1] - 12 * step
    for row, name in enumerate(names):
        samples = to_uint8(load(hostile_study.runs[name][5].run.path).sample(24, seed=5))
        for column in range(12):
            y, x = step * row + GAP_PIXELS, margin + step * column + GAP_PIXELS
            expected = samples[column, 0].repeat_interleave(8, 0).repeat_interleave(8, 1).numpy()
            assert np.array_equal(picture[y : y + 64, x : x + 64], expected)
    assert picture[:, :margin].min() < 50, "the names of the variants"
    real = np.asarray(Image.open(page_path.parent / "reconstructions.png"))
    assert real.shape[0] == step * (1 + len(hostile_study.names))


def test_places_without_an_image_stay_white_and_large_images_keep_their_size() -> None:
    images = torch.zeros(2, 3, 80, 80, dtype=torch.uint8)
    model = DistortedImages(lambda images: images, (3, 80, 80), Images(images, torch.arange(2), None, ()), 2)
    (sheet,) = build_interpolations({"same": model}, images, {"same": None})
    picture = np.asarray(draw_sheet(sheet))
    step = 80 + 2 * GAP_PIXELS
    between = picture[:step, -8 * step : -step]
    assert between.min() == 255 and picture[:step, -step:].min() == 0
    reconstructions = build_reconstructions({"same": model}, images, {"same": None})
    assert np.asarray(draw_sheet(reconstructions.sheet)).shape[0] == 2 * step
