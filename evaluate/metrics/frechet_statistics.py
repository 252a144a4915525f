"""Statistics of a set of images in files, as pytorch-fid has them, and the Fréchet distance from them.

Such a file is an `.npz` of `mu`, the mean of d features, shape (d,), and `sigma`, their unbiased covariance, shape
(d, d). Ours hold the name of the network too, which pytorch-fid passes over.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaegan.errors import Failure, UserError
from vaegan.io import open_regular_file, replace_file
from vaegan.text import get_reason, shorten

from .feature_extractors import Extractor
from .frechet import (
    Gaussian,
    compute_mean_and_covariance,
    compute_moments,
    factor_covariance,
    fit_gaussian,
    frechet,
)
from .metric import ImagePairs, Metric, MetricResult, Sums, describe_too_few

MEAN, COVARIANCE, NETWORK = "mu", "sigma", "network"
"""Names of the arrays in a file."""
MAX_ASYMMETRY = 1e-6
"""Largest difference of a covariance from its transpose, in units of its largest variance."""


class StatisticsDistance(Metric[ImagePairs]):
    """The Fréchet distance of a set of images from another one, of which there are statistics alone.

    Args:
        extractor: Network of the features.
        file: The statistics.

    Raises:
        UserError: The file is damaged, or its statistics are of another network.
    """

    def __init__(self, extractor: Extractor, file: Path) -> None:
        self.extractor, self.file = extractor, file
        self.real = read_statistics(file, extractor.protocol)
        self.protocol = extractor.protocol | {"frechet": {"covariance": "unbiased", "real": "statistics of a file"}}

    def measure_set(self, name: str, images: Tensor, start: int) -> Sums:
        """Return the sums of the features of the images of a set.

        Raises:
            UserError: The statistics are of features of another size.
        """
        features = self.extractor(images)
        if len(self.real.mean) != features.shape[1]:
            problem = f"of {len(self.real.mean)} features, and those of --features are {features.shape[1]}"
            raise UserError(f"{self.file}: {problem}; name the network that they are of")
        return {name: compute_moments(features)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the distance of each set, or why it is left out."""
        result = MetricResult({})
        for name, moments in sums.items():
            if (count := int(moments["count"])) < 2:
                result.left_out[f"{name}/frechet"] = describe_too_few(count, 2)
            else:
                key = f"{name}/{self.extractor.get_metric_name('fd')}"
                result.metrics[key] = frechet(self.real, fit_gaussian(moments))
        return result


def is_statistics_file(path: Path) -> bool:
    """Return whether a path is an `.npz` file that holds a mean and a covariance."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with open_regular_file(path) as file, np.load(file, allow_pickle=False) as archive:
            return {MEAN, COVARIANCE} <= {*archive.files}
    except Exception:  # the reader of images reports it
        return False


def read_statistics(path: Path, protocol: Mapping[str, Any]) -> Gaussian:
    """Read the statistics of a file; nothing is unpickled.

    Args:
        path: The file.
        protocol: Protocol of the network of the features.

    Raises:
        UserError: The file holds no mean and covariance of finite numbers, or those of another network.
    """
    try:
        with open_regular_file(path) as file, np.load(file, allow_pickle=False) as archive:
            values = [torch.from_numpy(np.array(archive[name], dtype=np.float64)) for name in (MEAN, COVARIANCE)]
            network = str(archive[NETWORK]) if NETWORK in archive.files else None
    except Exception as error:  # torn archives make their reader raise nearly anything
        raise UserError(f"{path}: cannot be read as statistics: {get_reason(error)}") from None
    mean, covariance = values
    if mean.ndim != 1 or not len(mean) or covariance.shape != 2 * mean.shape:
        shapes = f"{MEAN} of shape {tuple(mean.shape)} and {COVARIANCE} of {tuple(covariance.shape)}"
        raise UserError(f"{path}: {shapes}; give (d,) and (d, d), as pytorch-fid writes them")
    is_finite = mean.isfinite().all() and covariance.isfinite().all()
    variances = covariance.diagonal()
    if not is_finite or (variances < 0).any() or (
        (covariance - covariance.mT).abs().max() > MAX_ASYMMETRY * variances.max()
    ):  # fmt: skip
        raise UserError(f"{path}: {COVARIANCE} is no covariance of finite numbers; write the statistics again")
    if network is not None and network != (expected := describe_network(protocol)):
        raise UserError(f"{path}: statistics of {shorten(network)}, not of {expected}; give --features accordingly")
    return factor_covariance(mean, (covariance + covariance.mT) / 2)


def write_statistics(path: Path, moments: Sums, protocol: Mapping[str, Any]) -> None:
    """Write mean and covariance, float64, of features by the totals of their `compute_moments`.

    Args:
        path: The file, which is replaced.
        moments: Totals of the features.
        protocol: Protocol of the network of the features.

    Raises:
        Failure: The file cannot be written.
    """
    mean, covariance = compute_mean_and_covariance(moments)
    arrays = {MEAN: mean.numpy(), COVARIANCE: covariance.numpy(), NETWORK: np.array(describe_network(protocol))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise Failure(f"{path}: {get_reason(error)}") from None


def describe_network(protocol: Mapping[str, Any]) -> str:
    """Return the name of the network of features and the hash of its weights."""
    return f"{protocol['network']} ({protocol['weights']})"
