"""The VAE's training step: the negative evidence lower bound."""

from collections.abc import Mapping

from torch import Tensor, nn

from vaegan.config.models import VAEConfig, VariationalConfig
from vaegan.config.schema import Config
from vaegan.losses.divergence import apply_free_bits, kl_standard_normal
from vaegan.losses.likelihood import NEGATIVE_LOG_DENSITY, bernoulli_nll
from vaegan.models import Posterior, build_model
from vaegan.models.vae import VAEOutput
from vaegan.models.vaegan import VAEGANOutput

from .base import Backward, Batch, Networks, StepOutput, family_config


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder alone."""
    return {"autoencoder": build_model(config.model, config.data.image_shape, config.seed)}


def get_noise_shapes(config: Config) -> Mapping[str, tuple[int, ...]]:
    """What draws a code from each image's posterior."""
    return {"posterior": (family_config(config, VAEConfig).latent_size,)}


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """-log p(x | z) + beta KL(q(z | x) || p(z)), per pixel value."""
    model = family_config(config, VAEConfig)
    out = networks["autoencoder"](batch.images, batch.noise["posterior"], batch.autocast_dtype, batch.labels)
    loss, scalars = negative_elbo(model, batch, out)
    backward(loss)
    return StepOutput(scalars, codes=out.codes.detach())


def negative_elbo(model: VAEConfig, batch: Batch, out: VAEOutput | VAEGANOutput) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted bound of a micro-batch, and what to log of it.

    Returns:
        -log p(x | z) + beta KL, a mean over images and pixel values so that its size does not depend on theirs;
        and `loss/reconstruction`, `loss/kl` and `loss/negative_elbo` in nats per image (the last with beta = 1;
        by a density or by Bernoulli's cross-entropy, not the discrete bound that the evaluation gives);
        `reconstruction/mse`, the squared error of a value in units of [-1, 1]; and the `scale`, if it is learned.
    """
    likelihood = negative_log_likelihood(model, batch.images, out)
    divergence, kl = weighted_divergence(model, batch, out.posterior)
    loss = (likelihood + divergence).mean() / batch.images[0].numel()
    nll = likelihood.detach().mean()
    scalars = {"loss/reconstruction": nll, "loss/kl": kl, "loss/negative_elbo": nll + kl}
    scalars["reconstruction/mse"] = (batch.images - out.reconstruction.detach()).square().mean()
    if out.scale is not None:
        scalars["scale"] = out.scale.detach()
    return loss, scalars


def negative_log_likelihood(model: VAEConfig, images: Tensor, out: VAEOutput | VAEGANOutput) -> Tensor:
    """-log p(x | z) of the images, shape (N,)."""
    if model.likelihood == "bernoulli":
        return bernoulli_nll(images, out.pre_tanh)
    scale = model.scale if out.scale is None else out.scale
    return NEGATIVE_LOG_DENSITY[model.likelihood](images, out.reconstruction, scale)


def weighted_divergence(model: VariationalConfig, batch: Batch, posterior: Posterior) -> tuple[Tensor, Tensor]:
    """beta KL(q(z | x) || p(z)) of each image, with warm-up and free bits, shape (N,); and the mean KL to log."""
    divergence = kl_standard_normal(posterior.mean, posterior.log_variance)
    beta = model.beta * min(1.0, (batch.step + 1) / max(1, model.beta_warmup_steps))
    return beta * apply_free_bits(divergence, model.free_bits).sum(1), divergence.detach().sum(1).mean()
