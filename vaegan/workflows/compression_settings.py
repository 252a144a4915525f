"""The settings of the command `compress`, and of `vaegan.compress`, checked before any work."""

from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.text import shorten

from .destinations import check_file_path
from .latents import check_is_no_prior
from .shared_settings import check_tile
from .trained_model import check_output_of_run

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data.given import GivenImages
    from vaegan.models import Autoencoder

PACKAGES = ("constriction",)
"""Packages that both commands need."""
SUFFIX = ".vg"
"""Ending of a file of compressed images."""
INDEX_FAMILIES = ("vqvae", "pixelcnn")
"""Families whose codes are indices, which have no step."""


@dataclass(frozen=True)
class Compression:
    """The settings of a compression: its run, its images, the step, and the file."""

    run: Path
    """The run whose model compresses."""
    paths: tuple[Path, ...]
    """Image files and folders of them."""
    output: Path
    """The file."""
    step: float | None = None
    """The values of codes are rounded to its multiples; None: it is chosen."""
    rate: float | None = None
    """Bits per pixel for which the step is chosen; None: it is 1/8 of the largest standard deviation of a dimension."""
    label: str | None = None
    """Class of all images; None: their folders are their classes."""
    data_root: Path | None = None
    """Folder that the run's images have moved to; None: they are where the config says."""
    allow_other_data: bool = False
    """True if the prior is fitted even if the images are not those of the run."""
    native_size: bool = False
    """True if each image keeps its size, by a model whose code is a grid; else all have the size of the model."""
    tile_side: int | None = None
    """With `native_size`: side of the tiles of larger images, in pixels; 0: images stay whole; None: that of
    `reconstruct`."""
    given: "GivenImages | None" = None
    """The images of a run that was given its images; None: the run's config names them."""

    def check(self) -> "Config":
        """Check the settings against each other and the run's family, and return the run's config.

        Raises:
            UserError: One is wrong, does not go with another, or would replace an image, or the coder is not installed.
        """
        from vaegan.storage.run_folder import Run

        config = Run(self.run).config
        family = config.model.family
        if family == "flow":  # no table can be made for it
            check_is_no_prior(self.run, config)
        for option, value in (("--step", self.step), ("--rate", self.rate)):
            if value is not None and family in INDEX_FAMILIES:
                raise UserError(f"{option}: codes of a run of {family} are indices, which have no step; leave it out")
            if value is not None and not _is_positive(value):
                given = f"{value:g}" if isinstance(value, float) else shorten(value)
                raise UserError(f"{option} {given}: give a number above 0")
        if self.step is not None and self.rate is not None:
            raise UserError("--rate: chooses the step; leave --step out, or --rate")
        check_tile(self.tile_side, self.native_size)
        if self.tile_side is not None and (type(self.tile_side) is not int or self.tile_side < 0):
            raise UserError(f"--tile {shorten(self.tile_side)}: give a whole number of pixels, or 0")
        check_file_path(self.output, SUFFIX)
        check_packages(PACKAGES)
        check_output_of_run(self.run, self.output, data_root=self.data_root)
        return config

    def check_model(self, model: "Autoencoder") -> int | None:
        """Check that a model takes images in their own sizes, if they keep them; return the side of its tiles.

        Raises:
            UserError: It takes images of only one size, or the tiles are too small for it.
        """
        from vaegan.applications.native_size import check_takes_any_size, check_tile_side, get_tile_side

        if not self.native_size:
            return None
        side = get_tile_side(self.tile_side)
        check_tile_side(check_takes_any_size(model, f"--native-size: {self.run}"), side, "--tile")
        return side or 0


def _is_positive(value: object) -> bool:
    """Return whether a value is a finite number above 0."""
    return type(value) is not bool and isinstance(value, Real) and 0 < float(value) < float("inf")
