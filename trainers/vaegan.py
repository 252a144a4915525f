"""The VAE-GAN's training step, two-way (Larsen et al. 2016) and three-way.

Both networks' gradients are taken at the same parameters, so that the step is a function of the batch alone,
however it is divided.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vaegan.config.models import VAEGANConfig
from vaegan.config.schema import Config
from vaegan.losses.adversarial import (
    DISCRIMINATOR_WEIGHTS,
    GENERATED,
    REAL,
    RECONSTRUCTED,
    classification_loss,
    feature_distance,
    predicted_counts,
    r1_penalty,
    realness,
)
from vaegan.models import build_model
from vaegan.models.vaegan import build_discriminator

from . import vae
from .step import Backward, Batch, Networks, Report, family_config, frozen
from .vae import negative_elbo


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder and the discriminator."""
    model = family_config(config, VAEGANConfig)
    shape = config.data.image_shape
    return {
        "autoencoder": build_model(model, shape, config.seed),
        "discriminator": build_discriminator(model, shape, config.seed),
    }


def noise(config: Config) -> Mapping[str, tuple[int, ...]]:
    """The VAE's, and the code of one generated image for each real one."""
    return {**vae.noise(config), "prior": (family_config(config, VAEGANConfig).latent_size,)}


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
    """One forward of the autoencoder; the discriminator's gradient, then the autoencoder's."""
    model = family_config(config, VAEGANConfig)
    discriminator = networks["discriminator"]
    images = batch.images
    out = networks["autoencoder"](images, batch.noise["posterior"], batch.noise["prior"], batch.arithmetic)

    loss, features, report = discriminator_loss(
        model, discriminator, batch, out.reconstruction.detach(), out.generated.detach()
    )
    backward(loss)

    with frozen(discriminator):
        elbo, scalars = negative_elbo(model, batch, out)
        autocast = arithmetic(model, batch)
        logits, similarity = judge(discriminator, autocast, out.reconstruction, out.judged, out.generated, features)
        adversarial = torch.stack([classification_loss(fake, REAL) for fake in logits]).mean()
        backward(elbo + model.adversarial.similarity * similarity + model.adversarial.weight * adversarial)

    scalars |= {"loss/adversarial": adversarial.detach(), "loss/similarity": similarity.detach()}
    return Report({**scalars, **report.scalars}, report.counts, out.codes.detach())


def penalised(model: VAEGANConfig, step: int) -> bool:
    """Whether a step has a gradient penalty."""
    return model.adversarial.r1 > 0 and step % model.adversarial.r1_every == 0


def arithmetic(model: VAEGANConfig, batch: Batch) -> torch.dtype | None:
    """The discriminator's autocast type; None, as a penalty needs, in all its forwards of a step that has one."""
    return None if penalised(model, batch.step) else batch.arithmetic


def discriminator_loss(
    model: VAEGANConfig, discriminator: nn.Module, batch: Batch, reconstruction: Tensor, generated: Tensor
) -> tuple[Tensor, Tensor, Report]:
    """What the discriminator minimises: the classification of the three origins, and lazily R1 at real images.

    Args:
        model: The run's `model` section.
        discriminator: Called once, for all three origins together.
        batch: The real images.
        reconstruction: Theirs, detached.
        generated: As many, detached.

    Returns:
        The loss; the features of the real images, without a graph; losses and confusion counts to log.
    """
    weights = DISCRIMINATOR_WEIGHTS[model.discriminator.classes]
    due = penalised(model, batch.step)
    images = batch.images.detach().requires_grad_(due)
    judgement = discriminator(torch.cat([images, reconstruction, generated]), arithmetic(model, batch))
    logits = judgement.logits.chunk(3)
    parts = [classification_loss(logits[origin], origin).mean() for origin in (REAL, RECONSTRUCTED, GENERATED)]
    loss = sum((weight * part for weight, part in zip(weights, parts, strict=True)), torch.zeros_like(parts[0]))
    scalars = {"loss/discriminator": loss.detach()}
    if due:
        penalty = r1_penalty(realness(logits[REAL]), images).mean()
        loss = loss + model.adversarial.r1 * model.adversarial.r1_every * penalty
        scalars["loss/r1"] = penalty.detach()
    confusion = torch.stack([predicted_counts(part.detach()) for part in logits])
    return loss, judgement.features[: len(images)].detach(), Report(scalars, {"discriminator/confusion": confusion})


def judge(
    discriminator: nn.Module,
    autocast: torch.dtype | None,
    reconstruction: Tensor,
    judged: Tensor,
    generated: Tensor,
    real: Tensor,
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """How the frozen discriminator sees the fakes, with a graph to whoever made them.

    Args:
        discriminator: Frozen.
        autocast: As `arithmetic`.
        reconstruction: Whose features are compared with the real ones.
        judged: Whose class matters; in the three-way game the same tensor.
        generated: Images from the prior.
        real: Features of the real images.

    Returns:
        The logits of the judged reconstructions and of the generated images; the learned similarity, a scalar.
    """
    fakes = [reconstruction, generated] + ([judged] if judged is not reconstruction else [])
    judgement = discriminator(torch.cat(fakes), autocast)
    logits = judgement.logits.split(len(reconstruction))
    features = judgement.features[: len(reconstruction)]
    return (logits[2 if len(fakes) == 3 else 0], logits[1]), feature_distance(real, features).mean()
