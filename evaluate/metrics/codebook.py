"""How a codebook is used, and what a grid of its entries costs."""

import math
from typing import Any

import torch

from vaegan.losses.quantisation import perplexity, usage
from vaegan.models.pixelcnn import PixelCNN
from vaegan.models.vqvae import VQVAE

from .accumulate import Sums, concatenate_in_order, make_rows
from .metric import ImagePairs, Metric, MetricResult


class Codebook(Metric):
    """Perplexity and usage of the entries over all places of all images, and the bits of an image's code.

    The rate is that of the prior: of the uniform one the same for each image, of a PixelCNN its surprise. It is what
    the code of an image costs, as the divergence from the prior is of a VAE's.

    Args:
        entries: K.
    """

    def __init__(self, entries: int) -> None:
        self.entries = entries

    def get_protocol(self) -> dict[str, Any]:
        """The codebook."""
        return {"entries": self.entries}

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """How often each entry stands for a place, and the bits of each image's code."""
        model = pairs.model
        assert isinstance(model, VQVAE | PixelCNN)
        indices = model.encode_indices(pairs.real)
        nats = torch.full((len(indices),), indices[0].numel() * math.log(self.entries), dtype=torch.float64)
        if isinstance(model, PixelCNN):
            nats = model.prior_nll(indices, pairs.labels).double()
        counts = torch.bincount(indices.flatten(), minlength=self.entries)
        return {"counts": counts.double(), "bits": make_rows(pairs.start, nats / math.log(2))}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Perplexity from 1 to K, share of the entries that are used, bits per image."""
        bits = concatenate_in_order(sums["bits"])
        figures = {"codebook/perplexity": perplexity(sums["counts"]), "codebook/usage": usage(sums["counts"])}
        return MetricResult(figures | {"rate": bits.mean().item()})
