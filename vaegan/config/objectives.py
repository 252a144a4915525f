"""The terms of the loss in the `model` section that several families share: likelihood, KL divergence and LPIPS."""

from typing import Literal

from pydantic import model_validator

from .section import Positive, Section, Steps, Weight


class KLConfig(Section):
    """KL divergence of the posteriors from the prior as a term of the loss."""

    beta: Weight = 1.0
    """Weight of the KL divergence (Higgins et al. 2017); 1 is the ELBO."""
    beta_warmup_steps: Steps = 0
    """Steps over which beta rises linearly from 0; 0: no warm-up."""
    free_bits: Weight = 0.0
    """Nats of each latent dimension of each image that the KL term leaves free (Kingma et al. 2016, per sample)."""


class ELBOConfig(KLConfig):
    """Evidence lower bound as a term of the loss: KL divergence and likelihood (Kingma & Welling 2014, eq. 3)."""

    family: str
    """Kind of model. It is declared here for the order of the keys; each family overrides it with its own name."""
    likelihood: Literal["gaussian", "laplace", "bernoulli"] = "gaussian"
    """Observation model p(x | z): `gaussian` is the squared, `laplace` the absolute error, `bernoulli` the
    cross-entropy of intensities in [0, 1], which is no distribution of 8-bit pixels and has no ELBO of them."""
    scale: Positive = 0.2
    """Standard deviation (gaussian) or scale b (laplace) of p(x | z), in units of the [-1, 1] pixel range; bernoulli
    has none. A smaller scale gives reconstruction more weight against the KL divergence."""
    learned_scale: bool = False
    """gaussian, laplace: learn the scale, one for all pixels, starting from `scale` (Rybkin et al. 2021)."""

    @model_validator(mode="after")
    def _check_scale(self) -> "ELBOConfig":
        if self.learned_scale and self.likelihood == "bernoulli":
            raise ValueError("model.learned_scale: bernoulli has no scale; leave it out, or take gaussian or laplace")
        return self


class PerceptualConfig(Section):
    """LPIPS as a term of the loss."""

    perceptual: Weight = 0.0
    """Weight of the LPIPS distance of an image and its reconstruction (Zhang et al. 2018), in nats per pixel value."""
    perceptual_network: Literal["vgg", "squeeze", "random"] = "vgg"
    """Network of the LPIPS term, never that of the metric; `random` is AlexNet without training, which needs no file of
    weights."""
