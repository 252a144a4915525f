"""The base of the families whose encoder gives a Gaussian posterior."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaegan.config.models import GaussianConfig
from vaegan.config.objectives import ELBOConfig, KLConfig
from vaegan.networks.given import GivenNetworks
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import draw_normal

from .continuous import ContinuousAutoencoder
from .density import MAX_CODE_SIZE
from .posterior import Posterior, split_parameters

MIN_PRIOR_BETA = 1.0
"""Smallest `model.beta`, that of the ELBO, at which codes that are a grid are expected near N(0, I)."""


class Scale(nn.Module):
    """A positive scalar that is learned by its logarithm."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self) -> Tensor:
        """Return the scalar."""
        return self.logarithm.exp()


class GaussianAutoencoder(ContinuousAutoencoder):
    """q(z | x) = N(mean(x), diag variance(x)), p(z) = N(0, I); of a conditional model q(z | x, y) and G(z, y).

    Args:
        config: The `model` section of a run's config; None: the settings alone.
        image_shape: (C, S, S) of the images, S a multiple of 4.
        seed: Root of the initial weights.
        networks: Modules that take the place of `encoder` and `decoder`, by these names; see `vaegan.networks.given`.
        settings: Settings of `GaussianConfig` by name, which replace those of `config`.

    Raises:
        UserError: `image_shape` is missing or is no such shape, or a setting is wrong.
    """

    config: GaussianConfig
    code_parameters = 2

    def __init__(
        self,
        config: GaussianConfig | None = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        *,
        networks: GivenNetworks | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(config, image_shape, seed, networks=networks, **settings)
        elbo = self.config if isinstance(self.config, ELBOConfig) else None
        self.scale = Scale(elbo.scale) if elbo is not None and elbo.learned_scale else None

    @property
    def trained_config(self) -> GaussianConfig:
        """The config with the learned scale."""
        return self.config if self.scale is None else self.config.model_copy(update={"scale": self.scale().item()})

    def get_learned_scale(self) -> Tensor | None:
        """Return the learned scale of p(x | z), a scalar; None: it is the config's."""
        return None if self.scale is None else self.scale()

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """Return q(z | x), or q(z | x, y), with the log-variance clamped to [-30, 20]."""
        mean, log_variance = split_parameters(self.encoder(images, labels).to(images.dtype))
        return Posterior(mean.flatten(1), log_variance.flatten(1))

    def describe_weak_prior(self) -> str:
        """Return why samples from N(0, I) may be no images: of a grid the divergence has too little weight."""
        beta = self.config.beta if isinstance(self.config, KLConfig) else 1.0
        if not self.has_grid or beta >= MIN_PRIOR_BETA:
            return ""
        if self.code_size <= MAX_CODE_SIZE:
            remedy = "--density gaussian draws codes as the training images have them"
        else:
            remedy = "train a flow over its codes (family flow), or take a larger model.beta"
        return f"model.beta={beta:g} does not hold codes to N(0, I), so that samples from it may be no images; {remedy}"

    def draw_prior_codes(
        self, start: int, stop: int, seed: int, labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Draw the codes of indices ``start`` to ``stop - 1`` from N(0, I), shape (n, d)."""
        codes = torch.empty(max(0, stop - start), self.code_size)
        for row, index in enumerate(range(start, stop)):
            codes[row] = draw_normal((self.code_size,), seed, "codes", index)
        return codes.to(next(self.parameters()))
