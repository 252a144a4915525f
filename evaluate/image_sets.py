"""Evaluation of images without a model: two sets, of which the second is compared with the first, the real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from vaegan.config.data import Fit
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Images
from vaegan.data.compared_sets import (
    FoundSet,
    check_native_size,
    choose_size,
    find_image_set,
    pair_by_index,
    pair_by_name,
)
from vaegan.distributed import all_gather_object, run_on_all_ranks
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.io import hash_file
from vaegan.long_work import run_long_on_main
from vaegan.precision import full_precision
from vaegan.progress import Reporter
from vaegan.text import make_printable

from .metrics.build import ONE_SIZE_METRICS, PAIR_METRICS, build_set_metrics
from .metrics.frechet_statistics import is_statistics_file
from .metrics.metric import PixelPairs, Sums
from .one_pass import Stage, collect_result, get_device, pass_over_images
from .protocol import check_same_protocol, describe_computation
from .result import EvaluationResult, format_left_out

T = TypeVar("T")

FITS: dict[Fit, str] = {
    "crop": "the short side resized, the centre cropped", "stretch": "both sides resized, nothing cropped"
}  # fmt: skip
"""Treatment of an image of another size, by the setting."""


@dataclass(frozen=True)
class ImageSets:
    """Two sets of images, and the pairs among them."""

    real: FoundSet | Path
    """The real images; a path: a file of their statistics."""
    fake: FoundSet
    """The images that are compared with them."""
    pairs: tuple[tuple[int, int], ...]
    """Position of the two images of each pair in their sets."""
    unpaired: str
    """Reason why there is no pair; empty: there are some."""
    by_index: bool
    """True if pairs are images at the same place in their sets, False if they have the same name."""
    size: int | None
    """S, the side at which images are compared, in pixels; None: each has its own size, and is compared alone."""
    fit: Fit
    """Fitting of images of another size to it."""

    @property
    def found(self) -> list[FoundSet]:
        """The sets of which there are images."""
        return [found for found in (self.real, self.fake) if isinstance(found, FoundSet)]

    @property
    def channels(self) -> int:
        """1 if all images are grey, else 3, where images with alpha are laid on white."""
        return 1 if all(found.is_grey for found in self.found) else 3


def open_image_sets(
    real: Path,
    fake: Path,
    reporter: Reporter,
    size: int | None = None,
    fit: Fit = "crop",
    by_index: bool = False,
    native_size: bool = False,
) -> ImageSets:
    """Find the images of two sets, and the pairs among them; all processes do this together.

    Args:
        real: Folder of images, file of an array, or file of statistics.
        fake: Folder of images or file of an array.
        reporter: Receiver of notes and progress.
        size: Side at which they are compared, in pixels; None: that of all images.
        fit: How images of another size are fitted to it.
        by_index: Whether images at the same place are pairs; else those of the same name without suffix are.
        native_size: Whether each image keeps its size, in the place of ``size``.

    Raises:
        UserError: A set is missing or holds no image, the images have several sizes and none is given, or pairs are
            not clear.
    """

    def find() -> ImageSets:
        statistics = is_statistics_file(real)
        if statistics and by_index:
            raise UserError(f"--paired-by-index: {real} holds statistics and no image; leave it out")
        if is_statistics_file(fake):
            raise UserError(f"--images: {fake}: a file of statistics, which can stand for the real images alone")
        found: list[FoundSet] = []
        for path in [fake] if statistics else [real, fake]:
            with reporter.progress(f"Looking through {path.name}", "images") as progress:
                found.append(find_image_set(path, reporter.note, progress))
        if native_size:
            check_native_size(found)
        side = None if native_size else choose_size(found, size)
        if statistics:
            return ImageSets(real, found[0], (), f"{real.name} holds statistics and no image", False, side, fit)
        pairs = (pair_by_index if by_index else pair_by_name)(*found)
        return ImageSets(found[0], found[1], pairs, "" if pairs else _explain_no_pair(found), by_index, side, fit)

    sets = all_gather_object(run_long_on_main(find))[0]
    assert sets is not None
    return sets


@torch.no_grad()
def evaluate_image_sets(
    sets: ImageSets, config: EvaluateConfig, reporter: Reporter, statistics_file: Path | None = None
) -> EvaluationResult:
    """Compare a set of images with the real ones: metrics of pairs over the pairs, metrics of sets over all images.

    Where there are pairs, the images are taken for reconstructions, else for samples, and the keys say so. All
    processes do this together, and all of them get the same result.

    Args:
        sets: The images.
        config: Metrics, features and batch size; of more than ``samples`` images of a set, that many, evenly spaced.
        reporter: Receiver of notes and progress.
        statistics_file: File that statistics of the real images' features are written to; None: they are not.

    Raises:
        UserError: A file of weights or of statistics is missing or damaged, or the network of features is for other
            images.
        Failure: An image cannot be read, or a file cannot be written.
    """
    device, batch_size = torch.device(get_device()), config.batch_size if sets.size is not None else 1
    left_out = _list_left_out(sets, config)
    named = tuple(name for name in config.metrics if name not in left_out)
    if not named:
        raise UserError(f"--metrics: nothing can be measured: {format_left_out(left_out)}", on_all_ranks=True)
    statistics = sets.real if isinstance(sets.real, Path) else None
    measured = config.model_copy(update={"metrics": named})
    metrics = run_on_all_ranks(
        lambda: build_set_metrics(measured, sets.channels, sets.size, reporter.note_once, statistics, statistics_file)
    )
    real, fake, pair_count = _choose(sets, config.samples)
    if statistics_file is not None and min(len(real), len(fake)) < 2:
        raise UserError("--save-statistics: one image has no covariance; give two or more of each", on_all_ranks=True)
    protocol = {
        **_describe_sets(sets),
        "real_images": len(real),
        "fake_images": len(fake),
        "pairs": pair_count,
        "paired_by": None if not pair_count else "index" if sets.by_index else "name without suffix",
        **describe_computation(torch.empty(0, device=device), batch_size),
        **{name: metric.protocol for name, metric in metrics.items()},
    }
    check_same_protocol(protocol)

    def measure_pairs(batch: range) -> Sums:
        positions = torch.tensor(batch)
        pairs = PixelPairs(real[positions], fake[positions], batch.start, device)
        _check_same_size(sets, pairs)
        return {name: metric.measure_pairs(pairs) for name, metric in metrics.items()}

    def measure_others(set_name: str, images: Images, batch: range) -> Sums:
        start = pair_count + batch.start
        pixels = to_float(images[torch.arange(start, pair_count + batch.stop)].to(device))
        return {name: metric.measure_set(set_name, pixels, start) for name, metric in metrics.items()}

    stages: list[Stage] = [
        (pair_count, measure_pairs),
        (len(real) - pair_count, partial(measure_others, "real", real)),
        (len(fake) - pair_count, partial(measure_others, "reconstruction" if pair_count else "sample", fake)),
    ]
    with full_precision(device, deterministic=False), reporter.progress("Comparing", "images") as progress:
        measured_sums = pass_over_images(stages, batch_size, progress)
        sums = {name: metric.combine(measured_sums.get(name, {})) for name, metric in metrics.items()}
    return collect_result(metrics, sums, protocol, reporter.note_once, left_out)


def _check_same_size(sets: ImageSets, pairs: PixelPairs) -> None:
    """Check that the two images of each pair have the same size, if images keep their sizes.

    Raises:
        UserError: Their sizes differ.
    """
    sides = [pixels.shape[-2:] for pixels in (pairs.pixels, pairs.other_pixels)]
    if sides[0] != sides[1]:
        name = sets.fake.names[sets.pairs[pairs.start][1]] if sets.fake.names is not None else str(pairs.start)
        (height, width), (other_height, other_width) = sides
        problem = f"{width} x {height} pixels in one set, {other_width} x {other_height} in the other"
        raise UserError(f"--native-size: {make_printable(name)}: {problem}; give --image-size")


def _choose(sets: ImageSets, samples: int | None) -> tuple[Images, Images, int]:
    """Return the images of both sets that are evaluated, the pairs first, and the number of pairs."""
    pairs = _select_evenly(sets.pairs, samples)
    chosen = []
    for side, found in enumerate((sets.real, sets.fake)):
        if not isinstance(found, FoundSet):
            chosen.append(Images(torch.empty(0), torch.empty(0, dtype=torch.int64), None, ()))
            continue
        paired = {pair[side] for pair in sets.pairs}
        others = [position for position in range(len(found.indices)) if position not in paired]
        others = _select_evenly(others, None if samples is None else samples - len(pairs))
        positions = [pair[side] for pair in pairs] + others
        chosen.append(found.select(positions, sets.size, sets.channels, sets.fit))
    return chosen[0], chosen[1], len(pairs)


def _select_evenly(items: Sequence[T], count: int | None) -> list[T]:
    """Return at most ``count`` items at even distances, as those of a split are chosen; None: all."""
    count = len(items) if count is None else min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _list_left_out(sets: ImageSets, config: EvaluateConfig) -> dict[str, str]:
    """Return the reason why a metric cannot be measured of these sets, by its name."""
    if isinstance(sets.real, Path):
        return {name: sets.unpaired for name in config.metrics if name != "frechet"}
    of_pairs: list[str] = [] if sets.pairs else [name for name in config.metrics if name in PAIR_METRICS]
    of_one_size = [name for name in config.metrics if name in ONE_SIZE_METRICS] if sets.size is None else []
    if not sets.pairs and "sharpness" in config.metrics and "sharpness" not in of_one_size:
        of_pairs.append("coherence")
    left_out = dict.fromkeys(of_pairs, sets.unpaired)
    return left_out | dict.fromkeys(of_one_size, "needs images of one size; give --image-size")


def _explain_no_pair(found: Sequence[FoundSet]) -> str:
    if all(each.names is not None for each in found):
        return f"no image of {found[1].path} has the name of one of {found[0].path}"
    return "images of an array have no names; --paired-by-index pairs those at the same place"


def _describe_sets(sets: ImageSets) -> dict[str, Any]:
    """Return the protocol's entries on the images, and on what was done to them."""
    real = sets.real
    as_stored = sets.size is None or all(found.sizes == {(sets.size, sets.size)} for found in sets.found)
    return {
        "real": {"statistics": str(real), "sha256": hash_file(real)} if isinstance(real, Path) else _describe_set(real),
        "fake": _describe_set(sets.fake),
        "subset": "even distances",
        "resolution": "native" if sets.size is None else sets.size,
        "channels": sets.channels,
        "fit": None if as_stored else FITS[sets.fit],
        "resize": None if as_stored else "bicubic, antialiased, as Pillow",
        "pixels": "8 bits, as stored" if as_stored else "rounded to 8 bits after the resize",
    }


def _describe_set(found: FoundSet) -> dict[str, Any]:
    return {"images": str(found.path), "of": len(found.indices), "digest": found.digest}
