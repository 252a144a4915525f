"""Sheets of images."""

import numpy as np
import torch

from vaegan.data import Images
from vaegan.evaluate.negative_controls import DistortedImages
from vaegan.evaluate.report.image_sheets import build_reconstructions, choose_amplification, get_fine_detail

from .reports import read_pixels


def test_small_differences_and_soft_detail_are_amplified_by_what_is_said() -> None:
    real = torch.randint(60, 70, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    darker = DistortedImages(lambda images: images - 8 / 127.5, (1, 8, 8), Images(real, torch.arange(4), None, ()), 4)
    sheets = build_reconstructions({"darker": darker}, real, {"darker": None})
    assert (sheets.difference, sheets.detail) == (16, 16)
    shown = sheets.sheet.columns[2].tiles[1]
    assert shown is not None
    assert np.array_equal(read_pixels(shown.views["difference"]), np.full((8, 8), 16 * 8))
    grain = 128 + 16 * get_fine_detail(real - 8)[2, 0]
    assert np.array_equal(read_pixels(shown.views["detail"]), grain.round().clamp(0, 255).byte().numpy())


def test_amplification_clips_almost_nothing() -> None:
    values = torch.linspace(0, 30, 1000)
    assert choose_amplification(values, 255) == 8
    assert choose_amplification(-values, 255) == 8
    assert choose_amplification(torch.cat([values, torch.full((5,), 255.0)]), 255) == 8, "half a per cent"
    assert choose_amplification(torch.cat([values, torch.full((50,), 255.0)]), 255) == 1
    assert choose_amplification(torch.zeros(4), 255) == 32
