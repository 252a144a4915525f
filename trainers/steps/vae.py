"""The VAE's training step: the negative evidence lower bound (Kingma & Welling 2014)."""

import torch.nn.functional as F
from torch import Tensor

from vaegan.config.models import VAEFamilyConfig
from vaegan.config.objectives import ELBOConfig, KLConfig
from vaegan.losses.elbo import NLL_WITH_SCALE, apply_free_bits, bernoulli_nll, kl_standard_normal
from vaegan.models import Posterior
from vaegan.models.vae import VAEOutput
from vaegan.models.vaegan import VAEGANOutput

from .base import Backward, Networks, StepInput, StepOutput, Term, TrainingStep, log_terms, sum_terms
from .perceptual import check_perceptual_network, get_perceptual_terms


class VAEStep(TrainingStep[VAEFamilyConfig]):
    """Minimise -log p(x | z) + beta KL(q(z | x) || p(z)), a mean over images and pixel values, and LPIPS if wanted."""

    code_noise = ("posterior",)

    def check_inputs(self) -> None:
        """Check that the weights of the perceptual term's network exist.

        Raises:
            UserError: `model.perceptual` is above 0, and the file of weights is missing or damaged.
        """
        check_perceptual_network(self.model_config)

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Encode, sample and decode the images."""
        out = networks["autoencoder"](batch.images, batch.noise["posterior"], batch.autocast_dtype, batch.labels)
        elbo_terms = get_negative_elbo_terms(self.model_config, batch, out)
        negative_elbo = Term(sum_terms(elbo_terms).mean(), divisor=batch.images[0].numel(), logged=False)
        terms = {"negative_elbo": negative_elbo}
        terms |= get_perceptual_terms(self.model_config, batch.images, out.reconstruction)
        backward(sum_terms(terms))
        scalars = {**log_negative_elbo(elbo_terms, batch, out), **log_terms(terms)}
        return StepOutput(scalars, codes=out.codes.detach())


def get_negative_elbo_terms(config: ELBOConfig, batch: StepInput, out: VAEOutput | VAEGANOutput) -> dict[str, Term]:
    """Return the terms of the negative ELBO, in nats per image, each of shape (N,)."""
    return {
        "reconstruction": Term(compute_nll(config, batch.images, out)),
        "kl": get_kl_term(config, batch.step, out.posterior),
    }


def compute_nll(config: ELBOConfig, images: Tensor, out: VAEOutput | VAEGANOutput) -> Tensor:
    """Compute -log p(x | z) of the images in nats, shape (N,)."""
    if config.likelihood == "bernoulli":
        return bernoulli_nll(images, out.pre_tanh)
    scale = config.scale if out.scale is None else out.scale
    return NLL_WITH_SCALE[config.likelihood](images, out.reconstruction, scale)


def get_kl_term(config: KLConfig, step: int, posterior: Posterior) -> Term:
    """Return KL(q(z | x) || p(z)) with free bits, shape (N,), weighted by beta with its warm-up; the KL is logged."""
    kl = kl_standard_normal(posterior.mean, posterior.log_variance)
    beta = config.beta * min(1.0, (step + 1) / max(1, config.beta_warmup_steps))
    return Term(apply_free_bits(kl, config.free_bits).sum(1), beta, logged=kl.sum(1))


def log_negative_elbo(terms: dict[str, Term], batch: StepInput, out: VAEOutput | VAEGANOutput) -> dict[str, Tensor]:
    """Return the scalars that every VAE logs.

    Returns:
        `loss/reconstruction`, `loss/kl` and `loss/negative_elbo` in nats per image (the last with beta = 1; from a
        density or Bernoulli's cross-entropy, not the bound of 8-bit images that an evaluation computes);
        `reconstruction/mse`, the squared error of a value in units of [-1, 1]; and the `scale`, if it is learned.
    """
    scalars = log_terms(terms)
    scalars["loss/negative_elbo"] = scalars["loss/reconstruction"] + scalars["loss/kl"]
    scalars["reconstruction/mse"] = F.mse_loss(out.reconstruction.detach(), batch.images)
    if out.scale is not None:
        scalars["scale"] = out.scale.detach()
    return scalars
