"""Evaluation of a run on images in their own sizes: metrics of each image and its reconstruction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from vaegan.applications.native_size import check_takes_any_size, check_tile_side, reconstruct_at_native_size
from vaegan.config.data import Fit
from vaegan.config.schema import Config
from vaegan.data import Data, Images
from vaegan.data.compared_sets import FoundSet
from vaegan.data.dataset import UInt8Image
from vaegan.data.folder import FileReader, WholeFileReader
from vaegan.data.open_source import open_source
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.images import ALPHA_CHANNELS, to_uint8
from vaegan.io import hash_file
from vaegan.models import Autoencoder
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.progress import Reporter, ignore_notice
from vaegan.storage.loading import load_weights_hash
from vaegan.storage.run_folder import WEIGHTS_FILE, Run

from .image_sets import ImageSets, evaluate_image_sets
from .metrics.build import IMAGE_METRICS, ONE_SIZE_METRICS
from .result import EvaluationResult, add_left_out, load_or_evaluate
from .run_evaluation import describe_origin

Reconstruct = Callable[[int, UInt8Image], UInt8Image]
"""Returns the reconstruction of an image, given by its index and its pixels, both uint8, shape (C, H, W)."""


@dataclass(frozen=True, kw_only=True)
class ReconstructingReader(WholeFileReader):
    """Image files, decoded on access in their own size, and reconstructed."""

    reconstruct: Reconstruct

    def __call__(self, index: int) -> UInt8Image:
        """Return the reconstruction of image ``index``, uint8, shape (C, H, W)."""
        return self.reconstruct(index, super().__call__(index))


@dataclass(frozen=True, kw_only=True)
class ReconstructedSet(FoundSet):
    """The reconstructions of the images of a set, made on access."""

    reconstruct: Reconstruct

    def select(self, positions: Sequence[int], size: int | None, channels: int, fit: Fit) -> Images:
        """Return the reconstructions of some of the images, each of its own size, (C, H, W)."""
        images = super().select(positions, None, channels, fit)
        found = images.store
        assert isinstance(found, WholeFileReader)
        reader = ReconstructingReader(found.root, found.names, 0, channels, reconstruct=self.reconstruct)
        return replace(images, store=reader)


def evaluate_run_at_native_size(
    run: Run, model: Autoencoder, config: Config, data: Data, tile_side: int | None, reporter: Reporter,
    show: Callable[[EvaluationResult], None] | None = None,
) -> EvaluationResult:  # fmt: skip
    """Measure the reconstructions of a split whose images keep their sizes, and keep the result in the run's folder.

    All processes do this together.

    Args:
        run: The run.
        model: Its model, in evaluation mode, on the device where it computes.
        config: Its config, with the settings of the evaluation.
        data: The images of the run.
        tile_side: Side of the tiles that larger images are taken apart into, in pixels; None: none are.
        reporter: Shows progress and notes.
        show: Called with the result before it is written; None: nothing is.

    Raises:
        UserError: The model takes images of one size alone, the images are no files of a folder, or no metric that is
            named can be measured of images of several sizes.
        Failure: An image cannot be read.
    """

    def describe() -> dict[str, Any]:
        origin = describe_origin(config.evaluate, data, hash_file(run.model_folder / WEIGHTS_FILE))
        return {**origin, "tile_side": tile_side}

    def measure() -> EvaluationResult:
        result = _evaluate(run, model, config, data, tile_side, reporter)
        if data.differences:
            result.protocol["other_data"] = data.differences.describe()
        return result

    return load_or_evaluate(run, describe, measure, force=True, show=show)


def _evaluate(
    run: Run, model: Autoencoder, config: Config, data: Data, tile_side: int | None, reporter: Reporter
) -> EvaluationResult:
    grid = run_on_all_ranks(lambda: _check(run, model, config, tile_side))
    images: Images = getattr(data, config.evaluate.split)
    reader = open_source(config.data, ignore_notice).reader
    assert isinstance(reader, FileReader) and config.data.root is not None
    indices = tuple(images.indices.tolist())
    names = tuple(reader.get_name(index) for index in indices)
    classes = images.get_labels(torch.arange(len(images)), model.classes if model.networks_take_labels else None)
    labels = dict(zip(indices, classes.tolist(), strict=True)) if classes is not None else {}

    def reconstruct(index: int, pixels: UInt8Image) -> UInt8Image:
        batch = torch.from_numpy(pixels)[None].to(next(grid.parameters()).device)
        made = reconstruct_at_native_size(grid, batch, labels.get(index), tile_side)
        return to_uint8(made[0]).cpu().numpy()

    of_all = (reader, indices, names, frozenset[tuple[int, int]](), model.image_shape[0] == 1)
    real = FoundSet(config.data.root, *of_all, data.fingerprint)
    weights = run_on_all_ranks(lambda: load_weights_hash(run.path))
    fake = ReconstructedSet(run.path, *of_all, weights, reconstruct=reconstruct)
    pairs = tuple((position, position) for position in range(len(indices)))
    sets = ImageSets(real, fake, pairs, "", False, None, "crop")
    chosen = tuple(name for name in config.evaluate.metrics if name in IMAGE_METRICS - ONE_SIZE_METRICS)
    if not chosen:
        allowed = ", ".join(sorted(IMAGE_METRICS - ONE_SIZE_METRICS))
        raise UserError(f"--native-size: measures {allowed}; name some of them by --metrics", on_all_ranks=True)
    settings = config.evaluate.model_copy(update={"metrics": chosen})
    result = evaluate_image_sets(sets, settings, reporter)
    result.protocol["split"] = config.evaluate.split
    result.protocol["tile_side"] = tile_side
    others: list[str] = [name for name in config.evaluate.metrics if name not in chosen]
    add_left_out(result, dict.fromkeys(others, "needs images of one size"), reporter.note_once)
    return result


def _check(run: Run, model: Autoencoder, config: Config, tile_side: int | None) -> ContinuousAutoencoder:
    """Check that a run can be evaluated on images of any size, and return its model.

    Raises:
        UserError: It cannot.
    """
    grid = check_takes_any_size(model, run.path)
    check_tile_side(grid, tile_side, "--tile")
    if config.data.source != "folder":
        raise UserError(f"--native-size: images of data.source={config.data.source} have one size; leave it out")
    if model.image_shape[0] in ALPHA_CHANNELS:
        raise UserError("--native-size: images with alpha are measured at one size alone; leave it out")
    return grid
