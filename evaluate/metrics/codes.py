"""How far the codes of real images are, as a set, from the prior."""

from typing import Any

from vaegan.losses.divergence import frechet_standard_normal, mmd_imq
from vaegan.randomness import normal

from .metric import Metric, Pairs, Result
from .sums import Sums, in_order, rows

MOST = 2048
"""Codes that the kernel is taken of, at even distances, since it grows with their square."""


class Gap(Metric):
    """The distance of the aggregate posterior from N(0, I), which is what samples of the prior suffer from.

    MMD^2 with the inverse multiquadric kernel, and the Frechet distance of Gaussians, of one draw of each image's
    posterior.

    Args:
        seed: Root of the prior's codes.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def protocol(self) -> dict[str, Any]:
        """The kernel."""
        return {"kernel": "inverse multiquadric", "most": MOST, "posterior_samples": 1}

    def pairs(self, pairs: Pairs) -> Sums:
        """A draw of each image's posterior."""
        return {"codes": rows(pairs.start, pairs.codes)}

    def result(self, sums: Sums) -> Result:
        """Without unit; nothing where there is one image."""
        codes = in_order(sums["codes"])
        if len(codes) < 2:
            return Result({})
        some = codes[:: -(-len(codes) // MOST)]
        prior = normal((len(some), some.shape[1]), self.seed, "gap")
        frechet = frechet_standard_normal(codes).item()
        return Result({"gap/mmd2": mmd_imq(some, prior).item(), "gap/frechet": frechet})
