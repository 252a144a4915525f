"""Lower bounds of the log-probability of 8-bit images, true code lengths."""

import math
from typing import Any

import torch
from torch import Tensor

from vaegan.config.objectives import ELBOConfig
from vaegan.losses.discrete_likelihood import log_probability
from vaegan.losses.elbo import kl_standard_normal
from vaegan.models import Posterior

from .metric import Metric, MetricResult, ModelPairs, Sums, concatenate_in_order, make_rows


class RateMetric(Metric[ModelPairs]):
    """Mean over the images of KL(q(z | x) || N(0, I)) / log 2, where p(x | z) is no distribution of 8-bit images."""

    def __init__(self) -> None:
        self.protocol: dict[str, Any] = {"likelihood": None}

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the divergence of each image's posterior from the prior."""
        return {"divergence": make_rows(pairs.start, compute_divergence(pairs.posterior))}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the mean bits of an image's code."""
        return MetricResult({"rate": concatenate_in_order(sums["divergence"]).mean().item() / math.log(2)})


class ELBOMetric(RateMetric):
    """Mean over the images of log P(x | z) - KL(q(z | x) || N(0, I)) for one z from q(z | x), and the `RateMetric`.

    The bound of the model with beta = 1 and without free bits, whatever it was trained with, and
    bits/dim = -ELBO / (values per image * log 2).

    Args:
        config: Config of the model, with the scale that it has learned.
        values: C S S, pixels of an image times its channels.
    """

    def __init__(self, config: ELBOConfig, values: int) -> None:
        self.config, self.values = config, values
        self.protocol = {**get_likelihood_protocol(config), "posterior_samples": 1}

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the bound of each image, from one draw of its posterior, and its divergence."""
        config = self.config
        log_likelihood = log_probability(pairs.pixels, pairs.likelihood_mean, config.likelihood, config.scale)
        bounds = log_likelihood.flatten(1).sum(1) - compute_divergence(pairs.posterior)
        return {**super().measure_pairs(pairs), "values": make_rows(pairs.start, bounds)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the nats per image, the bits per value of an 8-bit image, and the bits of its code."""
        result = make_bound_result("elbo", "bits_per_dim", concatenate_in_order(sums["values"]), self.values)
        result.metrics |= super().compute_result(sums).metrics
        return result


class ImportanceWeightedMetric(Metric[ModelPairs]):
    """Mean over the images of log 1/K sum P(x | z_k) N(z_k; 0, I) / q(z_k | x), z_k from q(z | x).

    A bound that is no lower than the `ELBOMetric` and rises to log P(x) with K (Burda et al. 2016, eq. 8).

    Args:
        config: Config of the model, with the scale that it has learned.
        values: C S S, pixels of an image times its channels.
        draws: K, draws of each image's posterior.
    """

    def __init__(self, config: ELBOConfig, values: int, draws: int) -> None:
        self.config, self.values, self.draws = config, values, draws
        self.protocol = {**get_likelihood_protocol(config), "posterior_samples": draws}

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the bound of each image; the noise of a draw is a function of the seed, the image's index and k."""
        logs = torch.stack([self._log_weight(pairs, draw) for draw in range(self.draws)])
        return {"values": make_rows(pairs.start, logs.logsumexp(0) - math.log(self.draws))}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the nats per image and the bits per value of an 8-bit image."""
        return make_bound_result("iwae", "iwae_bits_per_dim", concatenate_in_order(sums["values"]), self.values)

    def _log_weight(self, pairs: ModelPairs, draw: int) -> Tensor:
        noise = pairs.draw_noise("importance", draw)
        codes = pairs.posterior.sample(noise.to(pairs.posterior.mean))
        mean = pairs.decode(codes)
        log_likelihood = log_probability(pairs.pixels, mean, self.config.likelihood, self.config.scale)
        log_variance = pairs.posterior.log_variance.double()
        # log N(z; 0, I) - log q(z | x), in which the terms log(2 pi) / 2 cancel
        log_ratio = 0.5 * (noise.double().square().to(log_variance) + log_variance - codes.double().square())
        return log_likelihood.flatten(1).sum(1) + log_ratio.sum(1)


def get_likelihood_protocol(config: ELBOConfig) -> dict[str, Any]:
    """Return the protocol of p(x | z)."""
    protocol = {"likelihood": f"{config.likelihood}, discretised to 256 levels", "scale": config.scale}
    return protocol | ({"learned_scale": True} if config.learned_scale else {})


def compute_divergence(posterior: Posterior) -> Tensor:
    """Compute KL(q(z | x) || N(0, I)) of each image, in nats, float64, shape (N,)."""
    return kl_standard_normal(posterior.mean.double(), posterior.log_variance.double()).sum(1)


def make_bound_result(name: str, bits: str, values: Tensor, size: int) -> MetricResult:
    """Return the mean of the images' bounds (N,), in nats and as bits for each of an image's ``size`` values."""
    mean = values.mean().item()
    return MetricResult({name: mean, bits: -mean / (size * math.log(2))}, scores={name: values})
