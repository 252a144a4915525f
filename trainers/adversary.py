"""The discriminator's side of the adversarial families, and what is steered by what it has said of the steps before."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.models import AdversarialConfig, AdversaryConfig
from vaegan.config.schema import Config
from vaegan.losses.adversarial import (
    REAL,
    confidence,
    discriminator_loss,
    gradient_penalty,
    lecam_penalty,
    predicted_counts,
    realness,
)
from vaegan.losses.augmentation import DRAWS, augment
from vaegan.models import build_model
from vaegan.models.autoencoder import repeated
from vaegan.models.discriminator import build_discriminator
from vaegan.networks import Judgement

from .figures import CONFUSION
from .step import Batch, Report, family_config

MEMORY = 0.99
"""What LeCam's averages keep at each step (Tseng et al. 2021, section 4)."""


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder and the discriminator."""
    model, shape = family_config(config, AdversaryConfig), config.data.image_shape
    return {
        "autoencoder": build_model(config.model, shape, config.seed),
        "discriminator": build_discriminator(model, shape, config.seed),
    }


def noise(config: AdversarialConfig) -> Mapping[str, tuple[int, ...]]:
    """What an image and its fakes are augmented by."""
    return {"augmentation": (DRAWS,)} if config.augment or config.augment_target is not None else {}


def controls(config: AdversarialConfig) -> dict[str, Tensor]:
    """What is steered, at its beginning."""
    found = {}
    if config.augment_target is not None:
        found["augment"] = torch.tensor(config.augment, dtype=torch.float64)
    if config.lecam:
        found |= {"real": torch.zeros((), dtype=torch.float64), "fake": torch.zeros((), dtype=torch.float64)}
    return found


def follow(
    config: AdversarialConfig, images: int, controls: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> None:
    """Move what is steered.

    Args:
        config: The game.
        images: Real images of the step.
        controls: Moved in place.
        totals: What the step's `judged` summed up to.
    """
    if config.augment_target is not None:
        sense = (totals["confidence"] / images - config.augment_target).sign()
        controls["augment"].add_(sense * images / config.augment_images).clamp_(0, 1)
    if config.lecam:
        for kind in ("real", "fake"):
            controls[kind].lerp_(totals[kind] / images, 1 - MEMORY)


def judged(
    config: AdversarialConfig, discriminator: nn.Module, batch: Batch, fakes: Sequence[Tensor]
) -> tuple[Tensor, Judgement, Report]:
    """What the discriminator minimises: the game, LeCam's penalty, and lazily R1 at real images and R2 at fakes.

    The penalties are of `realness`; that is r of a relativistic game of three, whose p has none. An auxiliary head adds
    its surprise at the class of real images, and at that of fakes in the mean of their kinds.

    Args:
        config: The game.
        discriminator: Called once, for images of every kind together.
        batch: The real images.
        fakes: As many of each kind, detached.

    Returns:
        The loss; what was said of the real images, without a graph; losses, confusion counts, and sums for `follow`.
    """
    count, due = len(batch.images), penalised(config, batch.step)
    images = torch.cat([batch.images, *fakes]).requires_grad_(due)
    labels = repeated(batch.labels, 1 + len(fakes))
    judgement = discriminator(augmented(config, batch, images), arithmetic(config, batch), labels)
    scores = judgement.scores.split(count)
    loss = discriminator_loss(config.loss, scores).mean()
    scalars = {"loss/discriminator": loss.detach()}
    if judgement.classes is not None:
        at_real, *at_fakes = class_surprise(judgement, batch)
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
        sums["confidence"] = confidence(config.loss, [each.detach() for each in scores]).double().sum()
        scalars["discriminator/augmentation"] = batch.controls["augment"]
    if config.lecam:
        sums |= {"real": real.detach().double().sum(), "fake": torch.stack(fake).detach().double().mean(0).sum()}
    counts = torch.stack([predicted_counts(each.detach()) for each in scores])
    known = Judgement(scores[REAL].detach(), judgement.features[:count].detach())
    return loss, known, Report(scalars, {CONFUSION: counts}, sums=sums)


def class_surprise(judgement: Judgement, batch: Batch) -> Tensor:
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


def penalised(config: AdversarialConfig, step: int) -> bool:
    """Whether a step has a gradient penalty."""
    return bool(config.r1 or config.r2) and step % config.penalty_every == 0


def arithmetic(config: AdversarialConfig, batch: Batch) -> torch.dtype | None:
    """The discriminator's autocast type; None, as a penalty needs, in all its forwards of a step that has one."""
    return None if penalised(config, batch.step) else batch.arithmetic


def augmented(config: AdversarialConfig, batch: Batch, images: Tensor) -> Tensor:
    """Images as the discriminator sees them: of every kind, the one in the same place is changed in the same way.

    Args:
        config: The game.
        batch: The real images.
        images: As many of each kind, shape (k N, C, S, S).
    """
    if not noise(config):
        return images
    drawn = batch.noise["augmentation"].repeat(len(images) // len(batch.images), 1)
    return augment(images, drawn, batch.controls.get("augment", config.augment))


def share(config: AdversarialConfig, step: int) -> float:
    """Share of its weight that the adversarial term has: 0 in the discriminator's warm-up, then a ramp up to 1."""
    return min(1.0, max(0, step + 1 - config.warmup_steps) / max(1, config.ramp_steps))
