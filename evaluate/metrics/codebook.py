"""Usage of a codebook, and the rate of a grid of its entries."""

import math

import torch

from vaegan.losses.quantisation import count_assigned_vectors, perplexity, usage
from vaegan.models.pixelcnn import PixelCNN
from vaegan.models.vqvae import VQVAE

from .metric import Metric, MetricResult, ModelPairs, Sums, concatenate_in_order, make_rows


class Codebook(Metric[ModelPairs]):
    """Perplexity and usage of the entries over all positions of all images, and the rate, the bits of an image's code.

    The rate is the negative log-likelihood of the code under the prior: the uniform prior, for which it is the same for
    each image, or a PixelCNN. It is the cost of an image's code, as the divergence from the prior is for a VAE.

    Args:
        entries: K, the number of entries.
    """

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.protocol = {"entries": entries}

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return how often each entry is used, and the bits of each image's code."""
        model = pairs.model
        assert isinstance(model, VQVAE | PixelCNN)
        indices = model.encode_indices(pairs.real)
        nats = torch.full((len(indices),), indices[0].numel() * math.log(self.entries), dtype=torch.float64)
        if isinstance(model, PixelCNN):
            nats = model.prior_nll(indices, pairs.labels).double()
        counts = count_assigned_vectors(indices.flatten(), self.entries)
        return {"counts": counts, "bits": make_rows(pairs.start, nats / math.log(2))}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the perplexity, from 1 to K, the fraction of the entries that are used, and the bits per image."""
        bits = concatenate_in_order(sums["bits"])
        metrics = {"codebook/perplexity": perplexity(sums["counts"]), "codebook/usage": usage(sums["counts"])}
        return MetricResult(metrics | {"rate": bits.mean().item()})
