"""A run as the explorer holds it: its model, the axes of its codes, and what each control of the page computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vaegan.applications.attributes import Attribute, Method, shift_codes
from vaegan.applications.code_prior import get_code_prior
from vaegan.applications.completion import complete_images
from vaegan.applications.encoding import check_continuous_codes, encode_images
from vaegan.applications.traversals import choose_typical_code
from vaegan.config.data import DataVersion, Fit
from vaegan.data import Images, UnreadableImageError, read_image, silence_pillow
from vaegan.data.image_file import check_body
from vaegan.errors import UserError
from vaegan.images import to_uint8
from vaegan.models import VQVAE, Autoencoder, Flow, PixelCNN
from vaegan.models.autoencoder import Sampler
from vaegan.models.density import Density
from vaegan.progress import ProgressCallback, ignore_progress

from .axes import CodeAxes, find_axes

MAX_CODES = 2000
"""Most training images whose codes order the axes, evenly chosen, as in `vaegan traverse`."""
MAX_CODE_VALUES = 32_000_000
"""Most values of all their codes, so that large grids fit into memory."""
MIN_CODES = 2
"""Fewest training images."""
SEARCH_RESTARTS = 2
"""Starts of the search for the most probable code of a completion; half of those of `vaegan inpaint`."""


@dataclass(frozen=True, eq=False)
class ExploredRun:
    """The model of a run, with what the explorer knows of its codes."""

    name: str
    """Name of the run on the page."""
    model: Autoencoder
    """The model, in evaluation mode and without gradients."""
    decoding: tuple[DataVersion, Fit]
    """The `data.version` and the `data.fit` by which images are read."""
    start: Tensor
    """Code of a typical training image, at which a person starts, shape (d,)."""
    axes: CodeAxes | None
    """Axes of its codes; None: codes are entries of a codebook, which have no order to step through."""
    class_names: tuple[str, ...] = ()
    """Names of the classes of a conditional model."""
    density: Density | None = None
    """Density in the place of the prior."""

    @property
    def can_draw(self) -> bool:
        """Whether samples can be drawn, from a prior or a density."""
        return self.density is not None or self.model.has_prior

    @property
    def can_complete(self) -> bool:
        """Whether images can be completed, for which codes need a gradient and a prior of known density."""
        return self.axes is not None and self.can_draw and not isinstance(self.model, Flow)

    def _get_label(self, label: int | None) -> int | None:
        return None if self.model.classes is None else label

    def read(self, file: Path) -> Tensor:
        """Read an image file as the model takes it, fitted as the images of its training were.

        Returns:
            uint8, shape (C, S, S).

        Raises:
            UserError: It is no image.
        """
        (channels, side, _), (version, fit) = self.model.image_shape, self.decoding
        try:
            with silence_pillow():
                pixels = read_image(file, side, channels, version, fit=fit)
                if version > 1:
                    check_body(file)
        except UnreadableImageError as error:
            raise UserError(f"{file.name}: {error.reason}") from None
        return torch.tensor(pixels)  # Pillow's array cannot be written

    @torch.no_grad()
    def encode(self, pixels: Tensor, label: int | None = None) -> Tensor:
        """Return the posterior mean of an image.

        Args:
            pixels: uint8, shape (C, S, S).
            label: Its class; ignored if the model is unconditional.

        Returns:
            The code, shape (d,).
        """
        mean: Tensor = self.model.encode(pixels[None], self._get_label(label)).mean[0]
        return mean

    @torch.no_grad()
    def decode(self, codes: Tensor, label: int | None = None) -> Tensor:
        """Decode codes (N, d) of one class to images, uint8, shape (N, C, S, S)."""
        return to_uint8(self.model.decode(codes, self._get_label(label))).cpu()

    def draw_codes(
        self, start: int, stop: int, seed: int, label: int | None = None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Draw the codes of the samples ``start`` to ``stop - 1``, those of `vaegan sample`, shape (n, d).

        Args:
            start: Index of the first sample.
            stop: Index after the last one.
            seed: Root of the codes.
            label: Class of all of them; None: the classes in turn.
            progress: Called with (steps done, steps in all) where codes are drawn in several steps.

        Raises:
            UserError: The family has no prior and there is no density.
        """
        sampler = Sampler(self.model, seed, self.density)
        with torch.no_grad():
            labels = sampler.get_labels(start, stop, self._get_label(label))
            return sampler.draw_codes(start, stop, labels, progress)

    def walk(self, first: Tensor, second: Tensor, steps: int) -> Tensor:
        """Return codes on the straight line from one code (d,) to another, shape (steps, d), as `vaegan interpolate`.

        Raises:
            UserError: Codes are entries of a codebook.
        """
        check_continuous_codes(self.model)
        weights = torch.linspace(0, 1, steps).to(first)
        return torch.stack([torch.lerp(first, second, weight) for weight in weights])

    def complete(
        self, pixels: Tensor, holes: Tensor, label: int | None = None, *, answers: int, seed: int, steps: int,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Fill the holes of an image by the answers of `complete_images`, uint8, shape (answers, C, S, S).

        Args:
            pixels: The image, uint8, shape (C, S, S).
            holes: Whether a pixel is missing, bool, shape (S, S).
            label: Class of the image; ignored if the model is unconditional.
            answers: The most probable answer, and draws.
            seed: Root of the noise.
            steps: Steps of the search.
            progress: Called with (steps done, steps in all).

        Raises:
            UserError: Nothing or everything is missing, or the model has no prior of continuous codes.
        """
        if not holes.any():
            raise UserError("nothing is painted; paint what is to be filled")
        completed, _ = complete_images(
            self.model, pixels[None], holes, prior=get_code_prior(self.model, self.density),
            labels=self._get_label(label), answers=answers, seed=seed, restarts=SEARCH_RESTARTS, steps=steps,
            progress=progress,
        )  # fmt: skip
        return completed[:, 0]


def shift_along(
    code: Tensor, attributes: Sequence[Attribute], strengths: Sequence[float], method: Method = "mean"
) -> Tensor:
    """Move a code along learned directions, as `vaegan edit` does: (d,) => (d,).

    Args:
        code: The code.
        attributes: The directions.
        strengths: How far to move along each; 1 leads from class to class.
        method: The direction of each attribute that is taken.
    """
    changes = [
        (attribute.directions[method], strength) for attribute, strength in zip(attributes, strengths, strict=True)
    ]
    return shift_codes(code[None], changes)[0]


def count_codes(model: Autoencoder) -> int:
    """Return how many training images order the axes of a model: fewer where its codes are large."""
    return max(MIN_CODES, min(MAX_CODES, MAX_CODE_VALUES // model.code_size))


def explore_run(
    name: str, model: Autoencoder, decoding: tuple[DataVersion, Fit], images: Images, axes_count: int,
    class_names: tuple[str, ...] = (), density: Density | None = None, progress: ProgressCallback = ignore_progress,
) -> ExploredRun:  # fmt: skip
    """Encode training images of a model and find the axes of its codes.

    Args:
        name: Name of the run on the page.
        model: The model.
        decoding: The `data.version` and the `data.fit` of the run.
        images: The images that it was trained on.
        axes_count: Most axes.
        class_names: Names of the classes of a conditional model.
        density: Density in the place of the prior.
        progress: Called with (images done, images in all).

    Raises:
        UserError: There are fewer than two images, or no axis carries information.
        Failure: An image cannot be read.
    """
    posterior = encode_images(model, images, images.select_evenly(count_codes(model)), progress)
    start = choose_typical_code(posterior.mean).to(next(model.parameters()))
    axes = None
    if not isinstance(model, VQVAE | PixelCNN):
        try:
            axes = find_axes(posterior, len(model.code_shape) > 1, axes_count)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
    return ExploredRun(name, model, decoding, start, axes, class_names, density)
