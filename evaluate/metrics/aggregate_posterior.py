"""Distance of the aggregate posterior, the distribution of the codes of real images, from the prior."""

from vaegan.losses.aggregate_posterior import frechet_standard_normal, mmd_imq
from vaegan.randomness import draw_normal

from .metric import Metric, MetricResult, ModelPairs, Sums, concatenate_in_order, describe_too_few, make_rows

MAX_KERNEL_CODES = 2048
"""Largest number of codes that the kernel is computed of, at even distances, since its cost grows with their square."""


class AggregatePosterior(Metric[ModelPairs]):
    """The distance of the aggregate posterior from N(0, I), which is what samples of the prior suffer from.

    MMD^2 with the inverse multiquadric kernel, and the Frechet distance of Gaussians, of one draw of each image's
    posterior.

    Args:
        seed: Root of the prior's codes.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.protocol = {"kernel": "inverse multiquadric", "most": MAX_KERNEL_CODES, "posterior_samples": 1}

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return one draw of each image's posterior."""
        return {"codes": make_rows(pairs.start, pairs.codes)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return MMD^2 and Frechet distance, without unit; nothing but the reason if there is one image only."""
        codes = concatenate_in_order(sums["codes"])
        if len(codes) < 2:
            return MetricResult({}, left_out={"gap": describe_too_few(len(codes), 2)})
        subset = codes[:: -(-len(codes) // MAX_KERNEL_CODES)]
        prior_codes = draw_normal((len(subset), subset.shape[1]), self.seed, "gap")
        frechet = frechet_standard_normal(codes).item()
        return MetricResult({"gap/mmd2": mmd_imq(subset, prior_codes).item(), "gap/frechet": frechet})
