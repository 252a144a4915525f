"""The work of the commands `encode` and `decode`, and of `vaegan.api`; all processes of a launch do it together."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.paths import is_searched
from vaegan.progress import Reporter
from vaegan.text import shorten

from .runs import load_distributed_model

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data.given import GivenImages
    from vaegan.latents.description import LatentDescription
    from vaegan.latents.moments import Moments

SPLITS = ("train", "validation", "test")
"""Names of the splits."""
DTYPES = ("float32", "float16", "bfloat16")
"""Types of latents."""
DETERMINISTIC_FAMILIES = ("ae", "vqvae")
"""Families whose codes have no spread."""


def check_is_no_prior(run: Path, config: "Config") -> None:
    """Check that a run is no prior over codes, since its codes are those of another run.

    Raises:
        UserError: It is one; the message names the other run.
    """
    from vaegan.config.codebooks import TrainedPriorConfig

    if isinstance(config.model, TrainedPriorConfig):
        name, place = config.model.autoencoder_name, "" if config.prior is None else f", {config.prior.autoencoder},"
        raise UserError(f"{run}: a prior over codes; give the run of its {name}{place} whose codes they are")


@dataclass(frozen=True)
class Encoding:
    """The settings of an encoding: its run, its images, the form of the latents, and their folder."""

    run: Path
    """The run whose model encodes."""
    output: Path
    """Folder of the latents."""
    data: Path | None = None
    """Folder of images; None: those of the run."""
    split: str | None = None
    """Split of the run's images; None: the training images."""
    dtype: str | None = None
    """Type of the latents; None: float32, or int32 for indices."""
    flip: bool = True
    """True if the mirrored images are encoded too."""
    sample: bool = False
    """True if latents are posterior samples, False if they are posterior means."""
    seed: int | None = None
    """Root of their noise; None: 0."""
    shard_rows: int = 10_000
    """Images of a file."""
    data_root: Path | None = None
    """Folder that the run's images have moved to; None: they are where the config says."""
    allow_other_data: bool = False
    """True if images that are not those of the run are encoded all the same."""
    given: "GivenImages | None" = None
    """The images of a run that was given its images; None: the run's config names them."""

    def check(self) -> "Config":
        """Check the settings against each other and the run's family, and return the run's config.

        Raises:
            UserError: One is wrong, or does not go with another.
        """
        from vaegan.storage.run_folder import Run

        config = Run(self.run).config
        family = config.model.family
        check_is_no_prior(self.run, config)
        if family in DETERMINISTIC_FAMILIES and self.sample:
            raise UserError(f"--sample: codes of a run of {family} have no spread; leave it out")
        if family == "vqvae" and self.dtype is not None:
            raise UserError(f"--dtype {self.dtype}: a VQ-VAE is encoded into indices, which are int32; leave it out")
        for option, value, allowed in (("--split", self.split, SPLITS), ("--dtype", self.dtype, DTYPES)):
            if value is not None and value not in allowed:
                raise UserError(f"{option} {shorten(value)}: allowed: {', '.join(allowed)}")
        for option, number, least in (("--shard-rows", self.shard_rows, 1), ("--seed", self.seed or 0, 0)):
            if type(number) is not int or number < least:
                raise UserError(f"{option} {shorten(number)}: give a whole number of {least} or more")
        if self.seed is not None and not self.sample:
            raise UserError("--seed: posterior means have no noise; give --sample as well, or leave it out")
        if self.data is not None:
            self._check_folder(self.data)
        if config.data.source == "folder" and config.data.root is not None:
            for root in (config.data.root, self.data_root or config.data.root):
                _check_place(self.output, root)
        return config

    def _check_folder(self, data: Path) -> None:
        settings = {"--split": self.split, "--data-root": self.data_root, "--allow-other-data": self.allow_other_data}
        for option, value in settings.items():
            if value:
                raise UserError(f"{option}: of the run's own images, and all of {data} are encoded; leave it out")
        if not data.is_dir():
            raise UserError(f"{data}: {'a file' if data.exists() else 'no such folder'}; name a folder of images")
        _check_place(self.output, data)


def encode_dataset(
    encoding: Encoding, config: "Config", reporter: Reporter
) -> "tuple[LatentDescription, Moments | None]":
    """Encode images into a folder of latents, except those that are there already.

    Args:
        encoding: What is encoded; checked.
        config: The run's config.
        reporter: Shows progress and notes.

    Returns:
        The description of the folder, and the moments of the channels over all rows; None for indices.

    Raises:
        UserError: The run has no model, the images are missing or not the run's, or the folder holds something else.
        Failure: An image cannot be read, or a code is not finite.
    """
    from vaegan.latents.encoding import describe_encoding, encode_to_folder
    from vaegan.latents.inputs import number_by_model, open_folder, open_run_split
    from vaegan.storage.loading import load, load_class_names
    from vaegan.storage.run_folder import Run

    run = Run(encoding.run)
    model = load_distributed_model(run.path, load, reporter)
    names = run_on_all_ranks(lambda: load_class_names(run.path))
    if encoding.data is not None:
        inputs = open_folder(encoding.data, config, reporter)
    else:
        split = encoding.split or SPLITS[0]
        inputs = open_run_split(run, split, reporter, encoding.given, encoding.data_root, encoding.allow_other_data)
    inputs = number_by_model(inputs, model, names, run.path)
    describe = partial(
        describe_encoding, run, model, inputs, dtype=encoding.dtype or DTYPES[0], flip=encoding.flip,
        seed=(encoding.seed or 0) if encoding.sample else None, shard_rows=encoding.shard_rows,
        batch_size=config.evaluate.batch_size,
    )  # fmt: skip
    description = run_on_all_ranks(describe)
    with reporter.progress("Encoding", "images") as progress:
        return description, encode_to_folder(model, inputs, encoding.output, description, progress)


def check_decoding(latents: Path, description: "LatentDescription", run: Path, output: Path) -> None:
    """Check the run that decodes a folder of latents, and the place of the pictures.

    Args:
        latents: The folder of latents.
        description: Its description.
        run: The run.
        output: The folder of the pictures.

    Raises:
        UserError: The run has other weights or is not there, or the pictures would join the images.
    """
    from vaegan.storage.loading import load_weights_hash
    from vaegan.storage.run_folder import Run

    if not Run(run).exists:
        raise UserError(f"{run}: no run is there, which has made {latents}; name its folder by --run")
    if load_weights_hash(run) != description.weights:
        raise UserError(f"{run}: its model is another one than that which has made {latents}; name the run by --run")
    data = Run(run).config.data
    for source, root in ((description.source, description.root), (data.source, data.root), ("folder", latents)):
        if source == "folder" and root is not None:
            _check_place(output, Path(root))


def decode_dataset(
    latents: Path, description: "LatentDescription", run: Path, output: Path, reporter: Reporter
) -> None:
    """Decode a folder of latents into pictures, except those that are there already.

    Args:
        latents: The folder of latents.
        description: Its description.
        run: The run that has made it.
        output: The folder of the pictures.
        reporter: Shows progress and notes.

    Raises:
        UserError: The latents are not complete, or the folder of the pictures holds something else.
        Failure: A shard cannot be read.
    """
    from vaegan.latents.decoding import decode_to_folder
    from vaegan.storage.loading import load

    model = load_distributed_model(run, load, reporter)
    with reporter.progress("Decoding", "images") as progress:
        decode_to_folder(model, latents, description, output, progress)


def _check_place(output: Path, folder: Path) -> None:
    """Check that pictures are not written into a folder of images, or into the folder of the latents that are read."""
    if is_searched(output, folder):
        raise UserError(f"--output {output}: inside {folder}, which is read; name a folder elsewhere")
