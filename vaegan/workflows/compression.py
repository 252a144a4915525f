"""The work of the commands `compress` and `decompress`; all processes of a launch do it together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.distributed import broadcast_from_main, run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.paths import check_folder_is_writable
from vaegan.progress import Reporter

from .compression_settings import PACKAGES, Compression
from .runs import load_distributed_model
from .trained_model import check_output_of_run

if TYPE_CHECKING:
    from vaegan.compression.codec import Codec
    from vaegan.compression.compressing import CompressedSizes
    from vaegan.compression.container import CompressedFile
    from vaegan.compression.prior import CodePrior
    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.models import Autoencoder

MAX_IMAGES = 10_000_000
"""Most images of a file."""
RATE_IMAGES = 512
"""Most validation images that a step is chosen on; they are taken evenly."""
STEPS_PER_DEVIATION = 8
"""Steps in the largest standard deviation of a dimension, if no step is given."""


class RunImages:
    """The images of a run, which are opened when they are first needed; all processes do this together.

    Args:
        compression: The settings.
        config: The run's config.
        reporter: Shows progress and notes.
    """

    def __init__(self, compression: Compression, config: "Config", reporter: Reporter) -> None:
        self.compression, self.config, self.reporter = compression, config, reporter
        self._data: Data | None = None

    def open(self) -> "Data":
        """Return the images.

        Raises:
            UserError: They are missing, or not those of the run.
        """
        from vaegan.storage.run_data import open_run_data
        from vaegan.storage.run_folder import Run

        if self._data is None:
            told = self.compression
            self._data, _ = open_run_data(
                Run(told.run), self.config, self.reporter, told.given, data_root=told.data_root,
                allow_other_data=told.allow_other_data,
            )  # fmt: skip
        return self._data


def compress_files(compression: Compression, config: "Config", reporter: Reporter) -> "tuple[CompressedSizes, Codec]":
    """Compress images into a file; fit the prior of the run's codes first, if there is none.

    Args:
        compression: The settings; checked.
        config: The run's config.
        reporter: Shows progress and notes.

    Returns:
        The sizes of the file, and the codec.

    Raises:
        UserError: There is no such model, class or image, or two images have the same name.
        Failure: A code is not finite, or the file cannot be written.
    """
    from vaegan.compression.codec import build_codec
    from vaegan.compression.compressing import NoImageError, compress_to_file
    from vaegan.data.reading import describe_broken
    from vaegan.storage.loading import load, load_decoding

    from .image_batches import ImageBatches
    from .image_files import find_image_files

    run, output = compression.run, compression.output
    batch_size = 1 if compression.native_size else config.evaluate.batch_size
    version, fit = run_on_all_ranks(lambda: load_decoding(run))
    files = broadcast_from_main(lambda: find_image_files(compression.paths, output, MAX_IMAGES, version, reporter))
    model = load_distributed_model(run, load, reporter)
    tile_side = run_on_all_ranks(lambda: compression.check_model(model))
    images = run_on_all_ranks(
        lambda: ImageBatches(files, run, model, compression.label, (version, fit), compression.native_size, reporter)
    )
    data = RunImages(compression, config, reporter)
    prior = _load_or_fit_prior(model, data, reporter)
    multiple = _choose_multiple(model, prior, data, reporter)
    codec = run_on_all_ranks(lambda: build_codec(model, prior, multiple, tile_side))
    try:
        with reporter.progress("Compressing", "images") as progress:
            sizes = compress_to_file(codec, prior, multiple, len(files), images.read, output, batch_size, progress)
    except NoImageError:
        reasons = describe_broken(images.gather_broken()) or "none was named"
        raise UserError(f"none of the files can be used as an image: {reasons}", on_all_ranks=True) from None
    if broken := images.gather_broken():
        count = f"{len(broken)} file{'s' * (len(broken) > 1)}"
        reporter.note(f"{count} that cannot be used as images skipped: {describe_broken(broken)}")
    return sizes, codec


def open_compressed(file: Path, run: Path, only: Sequence[str]) -> "tuple[CompressedFile, CodePrior, list[int] | None]":
    """Open a file of compressed images, and check that it was made with the model of a run.

    Args:
        file: The file.
        run: The run.
        only: Names of the images to decode; (): all of them.

    Returns:
        The file, the prior of the run's codes, and the rows of the images; None: all.

    Raises:
        UserError: The file is damaged or another one, the run has another model or prior, or there is no such image.
    """
    from vaegan.compression.container import read_compressed
    from vaegan.compression.decompressing import find_rows
    from vaegan.compression.prior import load_prior
    from vaegan.storage.loading import load_weights_hash
    from vaegan.storage.run_folder import Run

    check_packages(PACKAGES)
    weights = load_weights_hash(run)
    compressed = read_compressed(file)
    if compressed.description.weights != weights:
        raise UserError(f"{file}: made with another model than that of {run}; name its run")
    prior_file = Run(run).prior_file
    prior = load_prior(prior_file)
    if prior is None or prior.digest != compressed.description.prior:
        problem = "not there" if prior is None else "another one"
        raise UserError(f"{prior_file}: the prior of {file} is {problem}; restore that by which it was compressed")
    return compressed, prior, find_rows(compressed, list(only)) if only else None


def decompress_files(
    compressed: "CompressedFile", prior: "CodePrior", rows: list[int] | None, run: Path, output: Path,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Decode compressed images into pictures, except those that are there already.

    Args:
        compressed: The file.
        prior: The prior of the run's codes.
        rows: Rows of the images; None: all.
        run: The run.
        output: The folder of the pictures.
        reporter: Shows progress and notes.

    Raises:
        UserError: The file does not fit the model, or the folder of the pictures holds something else.
        Failure: A message is damaged.
    """
    from vaegan.compression.codec import build_codec
    from vaegan.compression.compressing import describe_compression
    from vaegan.compression.decompressing import decompress_to_folder
    from vaegan.storage.loading import load

    run_on_all_ranks(lambda: check_output_of_run(run, output))
    told = compressed.description
    model = load_distributed_model(run, load, reporter)
    codec = run_on_all_ranks(lambda: build_codec(model, prior, told.multiple, told.tile_side))
    if describe_compression(codec, prior, told.multiple, told.images, told.batch_size) != told:
        raise UserError(f"{compressed.path}: does not fit the model of {run}; compress the images again", True)
    with reporter.progress("Decompressing", "images") as progress:
        decompress_to_folder(codec, compressed, output, rows, progress)


def _load_or_fit_prior(model: "Autoencoder", data: RunImages, reporter: Reporter) -> "CodePrior":
    """Load the prior of the run's codes, or fit it to the training images and write it.

    Raises:
        UserError: It is damaged, or the images are missing or not those of the run.
    """
    from vaegan.compression.fitting import fit_prior
    from vaegan.compression.prior import load_prior, save_prior
    from vaegan.storage.loading import load_weights_hash
    from vaegan.storage.run_folder import Run

    run = Run(data.compression.run)
    weights = run_on_all_ranks(lambda: load_weights_hash(run.path))
    prior = run_on_all_ranks(lambda: load_prior(run.prior_file))
    if prior is not None and prior.description.weights == weights:
        return prior
    run_on_main(lambda: check_folder_is_writable(run.prior_file.parent, "compress with a copy of the run"))
    images = data.open().train
    with reporter.progress("Fitting the prior", "images") as progress:
        fitted = fit_prior(model, weights, images, data.config.evaluate.batch_size, progress)
    run_on_main(lambda: save_prior(fitted, run.prior_file))
    reporter.note(f"{run.prior_file}: fitted to the codes of {fitted.description.images:,} training images")
    return fitted


def _choose_multiple(model: "Autoencoder", prior: "CodePrior", data: RunImages, reporter: Reporter) -> int:
    """Return the step, in units of two cells of the prior.

    Raises:
        UserError: No step takes so few bits per pixel, or there are no validation images to choose it by.
    """
    import torch

    from vaegan.compression.codes import encode_values
    from vaegan.compression.rate import ChosenStep, choose_multiple

    step, rate = data.compression.step, data.compression.rate
    if prior.description.kind == "indices":
        return 1
    if rate is None:
        return prior.choose_multiple(step or prior.description.deviation / STEPS_PER_DEVIATION)
    images = data.open().validation
    if not len(images):
        raise UserError("--rate: the run keeps no validation images to choose the step by; give --step", True)
    positions = images.select_evenly(RATE_IMAGES)

    @torch.no_grad()
    def choose() -> ChosenStep:
        batches = positions.split(data.config.evaluate.batch_size)
        labelled = [(images[batch], images.get_labels(batch, model.classes)) for batch in batches]
        values = torch.cat([encode_values(model, pixels, labels) for pixels, labels in labelled])
        return choose_multiple(prior, values, rate, model.image_shape[1] * model.image_shape[2])

    found = broadcast_from_main(choose)
    reached = f"{found.rate:.4g} bits per pixel of {len(positions):,} validation images"
    reporter.note(f"--rate {rate:g}: {reached}{', with the finest step' * (found.multiple == 1)}")
    return found.multiple
