"""The discriminator's side of the adversarial families, and what is steered by what it has said of the steps before."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.models import AdversarialConfig, AdversaryConfig
from vaegan.config.schema import Config
from vaegan.losses.adversarial import (
    REAL,
    ada_overfitting_heuristic,
    count_predictions,
    discriminator_loss,
    gradient_penalty,
    lecam_penalty,
    realness,
)
from vaegan.losses.augmentation import DRAWS_PER_IMAGE, augment
from vaegan.models import build_model
from vaegan.models.autoencoder import repeat_labels
from vaegan.models.discriminator import build_discriminator
from vaegan.networks.discriminator import DiscriminatorOutput

from ..log.scalars import CONFUSION_KEY
from .base import Batch, StepOutput, family_config

LECAM_DECAY = 0.99
"""What LeCam's averages keep at each step (Tseng et al. 2021, section 4)."""


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder and the discriminator."""
    model, shape = family_config(config, AdversaryConfig), config.data.image_shape
    return {
        "autoencoder": build_model(config.model, shape, config.seed),
        "discriminator": build_discriminator(model, shape, config.seed),
    }


def get_noise_shapes(config: AdversarialConfig) -> Mapping[str, tuple[int, ...]]:
    """What an image and its fakes are augmented by."""
    return {"augmentation": (DRAWS_PER_IMAGE,)} if config.augment or config.augment_target is not None else {}


def init_adaptive_state(config: AdversarialConfig) -> dict[str, Tensor]:
    """What is steered, at its beginning."""
    found = {}
    if config.augment_target is not None:
        found["augment"] = torch.tensor(config.augment, dtype=torch.float64)
    if config.lecam:
        found |= {"real": torch.zeros((), dtype=torch.float64), "fake": torch.zeros((), dtype=torch.float64)}
    return found


def update_adaptive_state(
    config: AdversarialConfig, images: int, controls: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> None:
    """Move what is steered.

    Args:
        config: The game.
        images: Real images of the step.
        controls: Moved in place.
        totals: What the step's `compute_discriminator_loss` summed up to.
    """
    if config.augment_target is not None:
        sense = (totals["confidence"] / images - config.augment_target).sign()
        controls["augment"].add_(sense * images / config.augment_images).clamp_(0, 1)
    if config.lecam:
        for kind in ("real", "fake"):
            controls[kind].lerp_(totals[kind] / images, 1 - LECAM_DECAY)


def compute_discriminator_loss(
    config: AdversarialConfig, discriminator: nn.Module, batch: Batch, fakes: Sequence[Tensor]
) -> tuple[Tensor, DiscriminatorOutput, StepOutput]:
    """What the discriminator minimises: the game, LeCam's penalty, and lazily R1 at real images and R2 at fakes.

    The penalties are of `realness`; that is r of a relativistic game of three, whose p has none. An auxiliary head adds
    its surprise at the class of real images, and at that of fakes in the mean of their kinds.

    Args:
        config: The game.
        discriminator: Called once, for images of every kind together.
        batch: The real images.
        fakes: As many of each kind, detached.

    Returns:
        The loss; what was said of the real images, without a graph; losses, confusion counts, and sums for `update_adaptive_state`.
    """
    count, due = len(batch.images), has_penalty(config, batch.step)
    images = torch.cat([batch.images, *fakes]).requires_grad_(due)
    labels = repeat_labels(batch.labels, 1 + len(fakes))
    judgement = discriminator(augment_images(config, batch, images), get_autocast_dtype(config, batch), labels)
    scores = judgement.scores.split(count)
    loss = discriminator_loss(config.loss, scores).mean()
    scalars = {"loss/discriminator": loss.detach()}
    if judgement.classes is not None:
        at_real, *at_fakes = auxiliary_nll(judgement, batch)
        auxiliary = (at_real + torch.stack(at_fakes).mean(0)).mean()
        loss = loss + auxiliary
        scalars["loss/auxiliary"] = auxiliary.detach()
    every = realness(judgement.scores)
    real, *fake = every.split(count)
    if due:
        at_real, *at_fakes = gradient_penalty(every, images).split(count)
        for name, weight, penalty in (("r1", config.r1, at_real), ("r2", config.r2, torch.stack(at_fakes))):
            if weight:
                loss = loss + weight * config.penalty_every * penalty.mean()
                scalars[f"loss/{name}"] = penalty.detach().mean()
    if config.lecam:
        past = batch.controls["real"], batch.controls["fake"]
        penalty = torch.stack([lecam_penalty(real, each, *past) for each in fake]).mean()
        loss = loss + config.lecam * penalty
        scalars["loss/lecam"] = penalty.detach()
    sums = {}
    if config.augment_target is not None:
        sums["confidence"] = ada_overfitting_heuristic(config.loss, [each.detach() for each in scores]).double().sum()
        scalars["discriminator/augmentation"] = batch.controls["augment"]
    if config.lecam:
        sums |= {"real": real.detach().double().sum(), "fake": torch.stack(fake).detach().double().mean(0).sum()}
    counts = torch.stack([count_predictions(each.detach()) for each in scores])
    known = DiscriminatorOutput(scores[REAL].detach(), judgement.features[:count].detach())
    return loss, known, StepOutput(scalars, {CONFUSION_KEY: counts}, sums=sums)


def auxiliary_nll(judgement: DiscriminatorOutput, batch: Batch) -> Tensor:
    """-log p(y | image) by the auxiliary head (Odena et al. 2017, eq. 3), 0 where there is none.

    Every image has the class of the real one in its place, whether it was drawn, reconstructed or generated.

    Args:
        judgement: Of N images of each of some kinds.
        batch: The N real ones.

    Returns:
        Nats, shape (kinds, N).
    """
    count = len(batch.images)
    kinds = len(judgement.scores) // count
    if judgement.classes is None:
        return judgement.scores.new_zeros(kinds, count)
    assert batch.labels is not None
    return F.cross_entropy(judgement.classes, batch.labels.repeat(kinds), reduction="none").view(kinds, count)


def has_penalty(config: AdversarialConfig, step: int) -> bool:
    """Whether a step has a gradient penalty."""
    return bool(config.r1 or config.r2) and step % config.penalty_every == 0


def get_autocast_dtype(config: AdversarialConfig, batch: Batch) -> torch.dtype | None:
    """The discriminator's autocast type; None, as a penalty needs, in all its forwards of a step that has one."""
    return None if has_penalty(config, batch.step) else batch.autocast_dtype


def augment_images(config: AdversarialConfig, batch: Batch, images: Tensor) -> Tensor:
    """Images as the discriminator sees them: of every kind, the one in the same place is changed in the same way.

    Args:
        config: The game.
        batch: The real images.
        images: As many of each kind, shape (k N, C, S, S).
    """
    if not get_noise_shapes(config):
        return images
    drawn = batch.noise["augmentation"].repeat(len(images) // len(batch.images), 1)
    return augment(images, drawn, batch.controls.get("augment", config.augment))


def get_ramp(config: AdversarialConfig, step: int) -> float:
    """Share of its weight that the adversarial term has: 0 in the discriminator's warm-up, then a ramp up to 1."""
    return min(1.0, max(0, step + 1 - config.warmup_steps) / max(1, config.ramp_steps))
