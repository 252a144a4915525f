"""Axes of the space of codes, in the order of what they carry: dimensions of a vector, principal components of a grid.

An axis gives a code one coordinate. To move along it is to change this coordinate and no other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.applications.code_statistics import compute_code_statistics
from vaegan.errors import UserError
from vaegan.models import Posterior

PRIOR_REACH = 4.0
"""Ends of a dimension that N(0, 1) is the prior of, in its standard deviations."""
REACH_DEVIATIONS = 3.0
"""Ends of other axes, in standard deviations of the codes of training images from their mean."""


@dataclass(frozen=True, eq=False)
class CodeAxes:
    """K axes of codes of d values; that which carries most is the first."""

    kind: str
    """What the axes are and what orders them, in words."""
    names: tuple[str, ...]
    """Name of each axis, with what it carries."""
    low: Tensor
    """Least coordinate that is offered, shape (K,)."""
    high: Tensor
    """Largest coordinate that is offered, shape (K,)."""
    dimensions: Tensor | None = None
    """Dimension of the code that each axis is, int64, shape (K,); None: they are directions."""
    directions: Tensor | None = None
    """Orthonormal directions, shape (K, d); None: they are dimensions."""
    centre: Tensor | None = None
    """Code at which all coordinates along the directions are 0, shape (d,)."""

    def __len__(self) -> int:
        return len(self.names)

    def measure(self, code: Tensor) -> Tensor:
        """Return the coordinates of a code: (d,) => (K,)."""
        if self.dimensions is not None:
            return code[self.dimensions]
        assert self.directions is not None and self.centre is not None
        return self.directions.to(code) @ (code - self.centre.to(code))

    def move(self, code: Tensor, axis: int, coordinate: float) -> Tensor:
        """Return a code whose coordinate along one axis is ``coordinate``, the others being kept: (d,) => (d,).

        Args:
            code: The code.
            axis: Number of the axis, from 0.
            coordinate: The coordinate.
        """
        if self.dimensions is not None:
            moved = code.clone()
            moved[self.dimensions[axis]] = coordinate
            return moved
        assert self.directions is not None
        return code + (coordinate - self.measure(code)[axis]) * self.directions[axis].to(code)


def find_axes(posterior: Posterior, has_grid: bool, count: int) -> CodeAxes:
    """Find the axes of a model's codes from the posteriors of training images.

    Codes that are vectors have their active dimensions for axes: in the order of the KL divergence that each carries
    over the images, or, where the code is deterministic and has no prior, of its variance. Values of a grid stand for
    places of the image, none of which carries much, so that the axes of grids are principal components of the codes.

    Args:
        posterior: Posteriors of N >= 2 images, shape (N, d).
        has_grid: Whether codes are grids.
        count: Most axes.

    Raises:
        UserError: The codes of all images are the same.
    """
    return _find_components(posterior.mean, count) if has_grid else _find_dimensions(posterior, count)


def _find_dimensions(posterior: Posterior, count: int) -> CodeAxes:
    statistics = compute_code_statistics(posterior)
    dimensions = statistics.order[:count]
    if not len(dimensions):
        raise UserError("no dimension of its codes carries information; train it longer or with a smaller beta")
    information = statistics.information[dimensions].tolist()
    if statistics.kl is None:
        kind, unit = "dimensions in the order of their variance, as these codes have no prior N(0, 1)", ""
        deviation = REACH_DEVIATIONS * statistics.variance[dimensions].sqrt()
        low, high = statistics.mean[dimensions] - deviation, statistics.mean[dimensions] + deviation
    else:
        kind, unit = "dimensions in the order of the KL divergence that each carries", " nats"
        high = torch.full((len(dimensions),), PRIOR_REACH, dtype=torch.float64)
        low = -high
    names = (f"z{index} · {value:.2f}{unit}" for index, value in zip(dimensions.tolist(), information, strict=True))
    return CodeAxes(kind, tuple(names), low, high, dimensions=dimensions)


def _find_components(codes: Tensor, count: int) -> CodeAxes:
    """Return principal components of codes (N, d), by the eigenvectors of their N x N matrix of inner products."""
    codes = codes.double()
    centre = codes.mean(0)
    centred = codes - centre
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    count = min(count, int((values > 1e-9 * values.sum()).sum()))
    if not count:
        raise UserError("the codes of all training images are the same; train it longer")
    directions = (vectors[:, :count].T @ centred) / values[:count, None].sqrt()
    largest = directions.abs().argmax(1, keepdim=True)
    directions = directions * directions.gather(1, largest).sign()  # the sign of an eigenvector is arbitrary
    deviations = (values[:count] / len(codes)).sqrt()
    shares = (values[:count] / values.sum()).tolist()
    names = tuple(f"component {index + 1} · {100 * share:.1f} %" for index, share in enumerate(shares))
    kind = "principal components of the grids, in the order of their share of the variance"
    reach = REACH_DEVIATIONS * deviations
    return CodeAxes(kind, names, -reach, reach, directions=directions, centre=centre)
