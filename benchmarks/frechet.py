"""Measure the seconds of the Fréchet distance of two sets, here and in other packages.

    python benchmarks/frechet.py --size 2048 --count 5000 --rounds 3

All implementations take turns inside one process and get the same mean and covariance, so only the ratios of their
times are meaningful. Drawing and summing the features, the same work for all, is not timed. The table also has the
difference of each distance from that of vaegan, and the distance of a set from itself, which should be 0, both relative
to the trace of the covariance.
Recorded results: benchmarks/README.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from torch import Tensor
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid

from vaegan.cli.console import Console
from vaegan.evaluate.metrics.frechet import compute_moments, fit_gaussian, frechet
from vaegan.evaluate.metrics.metric import Sums
from vaegan.randomness import draw_normal

Moments = tuple[Tensor, Tensor]
"""Mean (d,) and covariance (d, d) in float64."""


def draw_features(count: int, size: int, name: str) -> Tensor:
    """Draw correlated features (count, size) whose variances span four orders of magnitude, about as Inception's do."""
    scale = torch.logspace(0, -2, size)
    mixing = draw_normal((size, size), 0, "mixing") / size**0.5
    return (draw_normal((count, size), 0, name) * scale) @ mixing + 0.1 * draw_normal((size,), 0, "shift", name)


def compute_mean_and_covariance(sums: Sums) -> Moments:
    """Return the mean and the unbiased covariance of features by their `compute_moments`."""
    count = sums["count"]
    mean = sums["total"] / count
    return mean, (sums["products"] - count * torch.outer(mean, mean)) / (count - 1)


def compute_with_vaegan(one: Sums, other: Sums) -> float:
    """Compute the distance from the sums, including the factors of the covariances."""
    return frechet(fit_gaussian(one), fit_gaussian(other))


def compute_with_eigenvalues(one: Sums, other: Sums) -> float:
    """Compute the distance from Cholesky's factor F1 and the roots of the eigenvalues of F1' C2 F1."""
    mean_1, covariance_1 = compute_mean_and_covariance(one)
    mean_2, covariance_2 = compute_mean_and_covariance(other)
    factor = torch.linalg.cholesky(covariance_1)
    cross_trace = torch.linalg.eigvalsh(factor.mT @ covariance_2 @ factor).clamp(min=0).sqrt().sum()
    distance = (mean_1 - mean_2).square().sum() + covariance_1.trace() + covariance_2.trace() - 2 * cross_trace
    return distance.item()


def wrap_numpy(function: Callable[..., float]) -> Callable[[Sums, Sums], float]:
    """Return the distance of sums by a function of the means and covariances as NumPy's arrays."""

    def compute_distance(one: Sums, other: Sums) -> float:
        arrays = (moment.numpy() for sums in (one, other) for moment in compute_mean_and_covariance(sums))
        return float(function(*arrays))

    return compute_distance


def compute_with_fidelity(mean_1: object, covariance_1: object, mean_2: object, covariance_2: object) -> float:
    """Compute the distance of two means and covariances, NumPy's arrays, with torch-fidelity."""
    one, other = {"mu": mean_1, "sigma": covariance_1}, {"mu": mean_2, "sigma": covariance_2}
    return float(fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"])


def compute_with_torchmetrics(one: Sums, other: Sums) -> float:
    """Compute the distance with torchmetrics, from the eigenvalues of C1 C2, which is not symmetric."""
    return _compute_fid(*compute_mean_and_covariance(one), *compute_mean_and_covariance(other)).item()


IMPLEMENTATIONS: dict[str, Callable[[Sums, Sums], float]] = {
    "vaegan": compute_with_vaegan,
    "Cholesky and eigvalsh": compute_with_eigenvalues,
    "torchmetrics": compute_with_torchmetrics,
    "torch-fidelity": wrap_numpy(compute_with_fidelity),
    "pytorch-fid": wrap_numpy(calculate_frechet_distance),
}
"""Functions that compute the distance from the `compute_moments` of two sets, by name."""


def main() -> None:
    """Time every implementation and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="numbers of each feature, d")
    parser.add_argument("--count", type=int, default=5000, help="features in each set")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    one, other = (compute_moments(draw_features(arguments.count, arguments.size, name)) for name in ("one", "other"))
    trace = compute_mean_and_covariance(one)[1].trace().item()
    seconds: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    distances, self_distances = {}, {}
    for _ in range(arguments.rounds):
        for name, compute_distance in IMPLEMENTATIONS.items():
            start = time.perf_counter()
            distances[name] = compute_distance(one, other)
            seconds[name].append(time.perf_counter() - start)
            self_distances[name] = compute_distance(one, one)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [
        [name, f"{median:.2f}", f"{median / medians['vaegan']:.2f}",
         f"{abs(distances[name] - distances['vaegan']) / trace:.1e}", f"{self_distances[name] / trace:.1e}"]
        for name, median in medians.items()
    ]  # fmt: skip
    console = Console()
    console.table(["", "seconds", "of vaegan's", "difference / trace", "same set / trace"], rows)
    console.say(f"{arguments.count:,} features of {arguments.size:,} numbers, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
