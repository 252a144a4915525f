"""The VAE's training step: the negative evidence lower bound."""

from collections.abc import Mapping

from torch import Tensor, nn

from vaegan.config.models import VAEConfig
from vaegan.config.schema import Config
from vaegan.losses.divergence import kl_standard_normal, with_free_bits
from vaegan.losses.likelihood import NEGATIVE_LOG_LIKELIHOOD
from vaegan.models import Posterior, build_model

from .step import Backward, Batch, Networks, Report, family_config


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder alone."""
    return {"autoencoder": build_model(config.model, config.data.image_shape, config.seed)}


def noise(config: Config) -> Mapping[str, tuple[int, ...]]:
    """What draws a code from each image's posterior."""
    return {"posterior": (family_config(config, VAEConfig).latent_size,)}


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
    """-log p(x | z) + beta KL(q(z | x) || p(z)), per pixel value."""
    model = family_config(config, VAEConfig)
    out = networks["autoencoder"](batch.images, batch.noise["posterior"], batch.arithmetic)
    loss, scalars = negative_elbo(model, batch, out.reconstruction, out.posterior)
    backward(loss)
    return Report(scalars, codes=out.codes.detach())


def negative_elbo(
    model: VAEConfig, batch: Batch, reconstruction: Tensor, posterior: Posterior
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted bound of a micro-batch, and what to log of it.

    Returns:
        -log p(x | z) + beta KL, a mean over images and pixel values so that its size does not depend on theirs;
        and `loss/reconstruction`, `loss/kl` and `loss/negative_elbo` in nats per image (the last with beta = 1;
        a density, not the discrete bound that the evaluation gives); and `reconstruction/mse`, the squared error of a
        value in units of [-1, 1].
    """
    likelihood = NEGATIVE_LOG_LIKELIHOOD[model.likelihood](batch.images, reconstruction, model.scale)
    divergence = kl_standard_normal(posterior.mean, posterior.log_variance)
    costly = with_free_bits(divergence, model.free_bits).sum(1)
    beta = model.beta * min(1.0, (batch.step + 1) / max(1, model.beta_warmup_steps))
    loss = (likelihood + beta * costly).mean() / batch.images[0].numel()
    kl = divergence.detach().sum(1).mean()
    nll = likelihood.detach().mean()
    scalars = {"loss/reconstruction": nll, "loss/kl": kl, "loss/negative_elbo": nll + kl}
    scalars["reconstruction/mse"] = (batch.images - reconstruction.detach()).square().mean()
    return loss, scalars
