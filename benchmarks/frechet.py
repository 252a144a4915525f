"""Seconds of the Fréchet distance of two sets, beside the packages that others use.

    python benchmarks/frechet.py --size 2048 --count 5000 --rounds 3

All take turns inside one process and get the same mean and covariance, so that only their ratios are to be read; how
features are made and summed up, which is the same work for all, is not counted. Beside the time stands by how much
each distance differs from ours, relative to the trace, and what each makes of twice the same set, where it is 0.
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


def features(count: int, size: int, name: str) -> Tensor:
    """Correlated features whose variances fall over four orders of magnitude, about as Inception's do."""
    scale = torch.logspace(0, -2, size)
    mixing = draw_normal((size, size), 0, "mixing") / size**0.5
    return (draw_normal((count, size), 0, name) * scale) @ mixing + 0.1 * draw_normal((size,), 0, "shift", name)


def mean_and_covariance(sums: Sums) -> Moments:
    """What the packages want."""
    count = sums["count"]
    mean = sums["total"] / count
    return mean, (sums["products"] - count * torch.outer(mean, mean)) / (count - 1)


def ours(one: Sums, other: Sums) -> float:
    """From sums to distance, factors included."""
    return frechet(fit_gaussian(one), fit_gaussian(other))


def by_eigenvalues(one: Sums, other: Sums) -> float:
    """The textbook's shorter way: Cholesky's factor, and the roots of the eigenvalues of F1' C2 F1."""
    (mean, first), (shifted, second) = mean_and_covariance(one), mean_and_covariance(other)
    factor = torch.linalg.cholesky(first)
    shared = torch.linalg.eigvalsh(factor.mT @ second @ factor).clamp(min=0).sqrt().sum()
    return ((mean - shifted).square().sum() + first.trace() + second.trace() - 2 * shared).item()


def of_numpy(function: Callable[..., float]) -> Callable[[Sums, Sums], float]:
    """A package that takes NumPy's arrays."""

    def distance(one: Sums, other: Sums) -> float:
        given = (part.numpy() for sums in (one, other) for part in mean_and_covariance(sums))
        return float(function(*given))

    return distance


def of_fidelity(mean: object, covariance: object, other_mean: object, other: object) -> float:
    """torch-fidelity."""
    one, two = {"mu": mean, "sigma": covariance}, {"mu": other_mean, "sigma": other}
    return float(fid_statistics_to_metric(one, two, verbose=False)["frechet_inception_distance"])


def of_torchmetrics(one: Sums, other: Sums) -> float:
    """torchmetrics, which takes eigenvalues of C1 C2 without symmetry."""
    return _compute_fid(*mean_and_covariance(one), *mean_and_covariance(other)).item()


WAYS: dict[str, Callable[[Sums, Sums], float]] = {
    "vaegan": ours,
    "Cholesky and eigvalsh": by_eigenvalues,
    "torchmetrics": of_torchmetrics,
    "torch-fidelity": of_numpy(of_fidelity),
    "pytorch-fid": of_numpy(calculate_frechet_distance),
}


def main() -> None:
    """Take the times and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="numbers of each feature, d")
    parser.add_argument("--count", type=int, default=5000, help="features in each set")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    one, other = (compute_moments(features(asked.count, asked.size, name)) for name in ("one", "other"))
    trace = mean_and_covariance(one)[1].trace().item()
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    found, same = {}, {}
    for _ in range(asked.rounds):
        for name, way in WAYS.items():
            start = time.perf_counter()
            found[name] = way(one, other)
            seconds[name].append(time.perf_counter() - start)
            same[name] = way(one, one)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [
        [name, f"{median:.2f}", f"{median / medians['vaegan']:.2f}",
         f"{abs(found[name] - found['vaegan']) / trace:.1e}", f"{same[name] / trace:.1e}"]
        for name, median in medians.items()
    ]  # fmt: skip
    console = Console()
    console.table(["", "seconds", "of ours", "difference / trace", "same set / trace"], rows)
    console.say(f"{asked.count:,} features of {asked.size:,} numbers, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
