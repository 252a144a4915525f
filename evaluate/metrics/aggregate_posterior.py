"""How far the codes of real images are, as a set, from the prior."""

from typing import Any

from vaegan.losses.aggregate_posterior import frechet_standard_normal, mmd_imq
from vaegan.randomness import draw_normal

from .accumulate import Sums, concatenate_in_order, make_rows
from .metric import ImagePairs, Metric, MetricResult

MAX_KERNEL_CODES = 2048
"""Codes that the kernel is taken of, at even distances, since it grows with their square."""


class AggregatePosterior(Metric):
    """The distance of the aggregate posterior from N(0, I), which is what samples of the prior suffer from.

    MMD^2 with the inverse multiquadric kernel, and the Frechet distance of Gaussians, of one draw of each image's
    posterior.

    Args:
        seed: Root of the prior's codes.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def get_protocol(self) -> dict[str, Any]:
        """The kernel."""
        return {"kernel": "inverse multiquadric", "most": MAX_KERNEL_CODES, "posterior_samples": 1}

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """A draw of each image's posterior."""
        return {"codes": make_rows(pairs.start, pairs.codes)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Without unit; nothing where there is one image."""
        codes = concatenate_in_order(sums["codes"])
        if len(codes) < 2:
            return MetricResult({})
        some = codes[:: -(-len(codes) // MAX_KERNEL_CODES)]
        prior = draw_normal((len(some), some.shape[1]), self.seed, "gap")
        frechet = frechet_standard_normal(codes).item()
        return MetricResult({"gap/mmd2": mmd_imq(some, prior).item(), "gap/frechet": frechet})
