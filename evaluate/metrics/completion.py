"""Completion of images with a hole: how close to the real image, and how sharp, the hole is filled."""

from typing import Any

import torch
from torch import Tensor, nn

from vaegan.applications.completion import complete_images
from vaegan.images import lay_on_white, to_float
from vaegan.losses.perceptual import lpips_map
from vaegan.pretrained import hash_weights
from vaegan.randomness import make_generator

from .metric import Metric, MetricResult, ModelPairs, Sums, concatenate_in_order, make_rows
from .pixels import MAX_PSNR_DB, PIXEL_RANGE, ROUNDING_VARIANCE
from .sharpness import LAPLACIAN_GAIN, laplacian

MAX_IMAGES = 500
"""Most images that are completed, evenly chosen among those that are evaluated."""
RESTARTS, STEPS = 1, 60
"""Starts and steps of the search for the most probable code; `vaegan inpaint` takes more of both."""


class Completion(Metric[ModelPairs]):
    """PSNR, sharpness and LPIPS of images in which a random box was filled by the most probable code.

    Args:
        lpips: Network of LPIPS.
        lpips_name: Name of that network in the key.
        seed: Root of the boxes.
    """

    def __init__(self, lpips: nn.Module, lpips_name: str, seed: int) -> None:
        self.lpips, self.lpips_name, self.seed = lpips, lpips_name, seed
        self.protocol: dict[str, Any] = {
            "holes": "one box, each side S/4 to S/2", "most_images": MAX_IMAGES, "restarts": RESTARTS, "steps": STEPS,
            "prior": "N(0, I)", "blended": True, "lpips": hash_weights(lpips), "lpips_of": "the pixels of the hole",
        }  # fmt: skip

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the values of those images of a batch that are among the chosen ones."""
        chosen = [place for place in range(len(pairs.pixels)) if pairs.start + place in self._choose(pairs.count)]
        if not chosen:
            return {}
        holes = torch.stack([draw_box(pairs.pixels.shape[-1], self.seed, pairs.start + place) for place in chosen])
        labels = None if pairs.labels is None else pairs.labels[chosen]
        pixels = pairs.pixels[chosen]
        completed, _ = complete_images(
            pairs.model, pixels, holes, labels=labels, seed=self.seed, restarts=RESTARTS, steps=STEPS
        )
        values = compare_in_holes(pixels.cpu(), completed[0], holes)
        seen = [lay_on_white(to_float(images)).to(pairs.pixels.device) for images in (pixels.cpu(), completed[0])]
        distances = lpips_map(self.lpips.to(pairs.pixels.device), *seen).double().cpu()
        values[f"lpips_{self.lpips_name}"] = average_in_holes(distances, holes)
        rows = torch.stack([each.cpu() for each in values.values()], 1)
        return {"values": make_rows(pairs.start, rows)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the mean of each value."""
        names = ["psnr", "laplacian_gap", f"lpips_{self.lpips_name}"]
        values = concatenate_in_order(sums["values"])
        scores = {f"completion/{name}": column.contiguous() for name, column in zip(names, values.T, strict=True)}
        return MetricResult({key: each.mean().item() for key, each in scores.items()}, scores=scores)

    @staticmethod
    def _choose(count: int) -> set[int]:
        chosen = min(count, MAX_IMAGES)
        return {number * count // chosen for number in range(chosen)}


def draw_box(side: int, seed: int, index: int) -> Tensor:
    """Draw a box of a random place and size, each of its sides S/4 to S/2, a function of the seed and the index.

    Args:
        side: S, side of the image in pixels.
        seed: Root of the boxes.
        index: Index of the image.

    Returns:
        True inside the box, bool, shape (S, S).
    """
    draw = torch.rand(4, generator=make_generator(seed, "hole", index), dtype=torch.float64).tolist()
    hole = torch.zeros(side, side, dtype=torch.bool)
    height, width = (side // 4 + int(part * (side // 2 - side // 4 + 1)) for part in draw[:2])
    top, left = int(draw[2] * (side - height + 1)), int(draw[3] * (side - width + 1))
    hole[top : top + height, left : left + width] = True
    return hole


def compare_in_holes(images: Tensor, completed: Tensor, holes: Tensor) -> dict[str, Tensor]:
    """Compare completed images with the real ones inside the holes.

    Args:
        images: uint8, shape (N, C, S, S).
        completed: uint8, the same shape.
        holes: Bool, shape (N, S, S); none is empty or lies only at the border of its image.

    Returns:
        ``psnr`` in decibel, and ``laplacian_gap``, |log((v' + 20 q) / (v + 20 q))| for the mean squares v and v' of the
        Laplacian and the variance q of rounding, which is 0 where the hole is as sharp as the real image: float64,
        shape (N,).
    """
    real, filled = (lay_on_white(to_float(each, torch.float64)) for each in (images, completed))
    error = average_in_holes((real - filled).square().mean(1), holes)
    floor = PIXEL_RANGE**2 / 10 ** (MAX_PSNR_DB / 10)
    psnr = 10 * (PIXEL_RANGE**2 / error.clamp_min(floor)).log10()
    inner = holes[:, 1:-1, 1:-1]
    edges, others = (average_in_holes(laplacian(each).square().mean(1), inner) for each in (real, filled))
    added = LAPLACIAN_GAIN * ROUNDING_VARIANCE
    return {"psnr": psnr, "laplacian_gap": ((others + added) / (edges + added)).log().abs()}


def average_in_holes(values: Tensor, holes: Tensor) -> Tensor:
    """Return the mean of the values of each image inside its hole, shape (N,).

    Args:
        values: One value a pixel, shape (N, H, W).
        holes: Bool, the same shape; none is empty.
    """
    return (values * holes).sum((1, 2)) / holes.sum((1, 2))
