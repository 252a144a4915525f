"""The discriminator's side of an adversarial training step, which VAE-GAN and GAN-VAE share."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.adversarial import AdversarialLossConfig, DiscriminatorConfig
from vaegan.config.models import GANVAEFamilyConfig, VAEGANFamilyConfig
from vaegan.config.schema import get_value_at_step
from vaegan.losses import adversarial as losses
from vaegan.losses.augmentation import DRAWS_PER_IMAGE, augment
from vaegan.models.autoencoder import repeat_labels
from vaegan.networks.discriminator import DiscriminatorOutput

from .base import CONFUSION_KEY, Networks, StepInput, StepOutput, Term, log_terms, sum_terms
from .gan import GANStep

FamilyConfig = TypeVar("FamilyConfig", VAEGANFamilyConfig, GANVAEFamilyConfig)

LECAM_DECAY = 0.99
"""Decay per step of LeCam's averages (Tseng et al. 2021, section 4)."""


class DiscriminatorLoss(NamedTuple):
    """The discriminator's loss of a micro-batch."""

    loss: Tensor
    """A scalar with its graph."""
    real: DiscriminatorOutput
    """Detached scores and features of the N real images."""
    output: StepOutput
    """Losses, confusion counts, and the sums that `AdversarialStep.after_update` needs."""


class AdversarialStep(GANStep[FamilyConfig]):
    """Training step of a family with a `model.adversarial` section: the discriminator's side."""

    @property
    def loss_config(self) -> AdversarialLossConfig:
        """The adversarial loss, its weights and its options."""
        return self.model_config.adversarial

    @property
    def augments(self) -> bool:
        """True if the images that the discriminator sees are augmented."""
        return bool(self.loss_config.augment) or self.loss_config.augment_target is not None

    def get_noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the noise of codes, of an augmentation (of an image and its fakes), and of signs."""
        shapes: dict[str, tuple[int, ...]] = {"augmentation": (DRAWS_PER_IMAGE,)} if self.augments else {}
        patches = self.model_config.discriminator.get_score_shape(self.config.data.image_shape)
        if patches and (self.loss_config.r1 or self.loss_config.r2):
            shapes["patches"] = patches
        return super().get_noise_shapes() | shapes

    def init_adaptive_state(self) -> dict[str, Tensor]:
        """Return ADA's augmentation probability and LeCam's averages of real and fake scores, those that are on."""
        state = {}
        if self.loss_config.augment_target is not None:
            state["augment"] = torch.tensor(self.loss_config.augment, dtype=torch.float64)
        if self.loss_config.lecam:
            state |= {name: torch.zeros((), dtype=torch.float64) for name in ("real", "fake")}
        return state

    def after_update(
        self, networks: Networks, adaptive_state: Mapping[str, Tensor], totals: Mapping[str, Tensor]
    ) -> None:
        """Adapt the augmentation probability (Karras et al. 2020, section 3.1) and LeCam's averages, in place."""
        config, batch_size = self.loss_config, self.config.train.batch_size
        if config.augment_target is not None:
            direction = (totals["ada_heuristic"] / batch_size - config.augment_target).sign()
            adaptive_state["augment"].add_(direction * batch_size / config.augment_images).clamp_(0, 1)
        if config.lecam:
            for name in ("real", "fake"):
                adaptive_state[name].lerp_(totals[f"lecam_{name}"] / batch_size, 1 - LECAM_DECAY)

    def compute_discriminator_loss(
        self, discriminator: nn.Module, batch: StepInput, fakes: Sequence[Tensor]
    ) -> DiscriminatorLoss:
        """Compute what the discriminator minimises: adversarial loss, auxiliary loss, R1, R2 and LeCam's penalty.

        Penalties are taken on `realness`; with two relativistic scores (r, p) that is r, and p has no penalty. R1 and
        R2 are lazy and weighted by the steps between them. An auxiliary head adds its cross-entropy on real images, and
        on fakes the mean over their origins.

        Args:
            discriminator: Called once, with the images of all origins.
            batch: The N real images.
            fakes: Detached images, shape (N, C, S, S), of each fake origin.
        """
        config, count = self.loss_config, len(batch.images)
        penalised, others = self.divide_by_penalty(batch.step, [batch.images, *fakes])
        labels = repeat_labels(batch.labels, 1 + len(fakes))
        seen, penalised_seen = (
            images if images is None else self.augment_images(batch, images) for images in (others, penalised)
        )
        output = discriminator(seen, batch.autocast_dtype, labels, penalised_seen)
        scores = output.scores.split(count)

        terms = {"discriminator": Term(losses.discriminator_loss(config.loss, scores).mean())}
        if output.class_logits is not None:
            nll_real, *nll_fakes = auxiliary_nll(output, batch)
            terms["auxiliary"] = Term((nll_real + torch.stack(nll_fakes).mean(0)).mean())
        all_realness = losses.realness(output.scores)
        real, *fake = all_realness.split(count)
        if penalised is not None:
            realness = losses.compute_realness_map(output.scores[: len(penalised)])
            signs = get_signs(batch, len(penalised) // count)
            packing = self.model_config.discriminator.packing
            penalties = losses.gradient_penalty(realness, penalised, signs, packing).split(count)
            gamma_r1, gamma_r2 = (get_value_at_step(self.config.train, r, batch.step) for r in (config.r1, config.r2))
            if config.r1:
                terms["r1"] = Term(penalties[losses.REAL].mean(), gamma_r1 * config.penalty_every)
            if config.r2:
                terms["r2"] = Term(torch.stack(penalties[1:]).mean(), gamma_r2 * config.penalty_every)
        if config.lecam:
            averages = batch.adaptive_state["real"], batch.adaptive_state["fake"]
            penalties = torch.stack([losses.lecam_penalty(real, values, *averages) for values in fake])
            terms["lecam"] = Term(penalties.mean(), config.lecam)

        scalars, sums, detached = log_terms(terms), {}, output.scores.detach().split(count)
        scalars |= log_scales(
            self.model_config.discriminator, detached, lambda values: losses.discriminator_loss(config.loss, values)
        )
        if config.augment_target is not None:
            heuristic = losses.ada_overfitting_heuristic(config.loss, detached)
            sums["ada_heuristic"] = heuristic.double().sum()
            scalars["discriminator/augmentation"] = batch.adaptive_state["augment"]
        if config.lecam:
            sums |= {
                "lecam_real": real.detach().double().sum(),
                "lecam_fake": torch.stack(fake).detach().double().mean(0).sum(),
            }
        pooled = tuple(means[:count].detach() for means in output.pooled)
        real_output = DiscriminatorOutput(detached[losses.REAL], output.features[:count].detach(), pooled=pooled)
        counts = count_confusion(self.model_config.discriminator, detached)
        return DiscriminatorLoss(sum_terms(terms), real_output, StepOutput(scalars, counts, sums=sums))

    def divide_by_penalty(self, step: int, images: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
        """Divide the images into those that a gradient penalty of a step differentiates, and the others.

        Args:
            step: Number of optimizer steps before this one.
            images: Images of each origin, the real ones first, each of shape (N, C, S, S).

        Returns:
            The real images under R1, all of them under R2, in one batch that requires a gradient, or None in a step
            without a penalty; and the others in one batch, or None if there are none.
        """
        config = self.loss_config
        if not (config.r1 or config.r2) or step % config.penalty_every:
            return None, torch.cat(list(images))
        origins = len(images) if config.r2 else 1
        others = torch.cat(list(images[origins:])) if images[origins:] else None
        return torch.cat(list(images[:origins])).detach().requires_grad_(), others

    def augment_images(self, batch: StepInput, images: Tensor) -> Tensor:
        """Augment images (k N, C, S, S) of k origins for the discriminator; position i gets the same draw in each."""
        if not self.augments:
            return images
        noise = batch.noise["augmentation"].repeat(len(images) // len(batch.images), 1)
        return augment(images, noise, batch.adaptive_state.get("augment", self.loss_config.augment))

    def get_adversarial_weight(self, step: int) -> float:
        """Return the weight of the adversarial term: 0 in the warm-up, then a linear ramp up to `weight`."""
        config = self.loss_config
        ramp = min(1.0, max(0, step + 1 - config.warmup_steps) / max(1, config.ramp_steps))
        return get_value_at_step(self.config.train, config.weight, step) * ramp


def count_confusion(config: DiscriminatorConfig, scores: Sequence[Tensor]) -> dict[str, Tensor]:
    """Count the predicted classes of images of each origin, in all and for each scale, under the keys of the log."""

    def count(values: Sequence[Tensor]) -> Tensor:
        return torch.stack([losses.count_predictions(each.detach()) for each in values])

    counts = {f"{CONFUSION_KEY}/{name}": count(values) for name, values in divide_by_scale(config, scores).items()}
    return {CONFUSION_KEY: count(scores), **counts}


def log_scales(
    config: DiscriminatorConfig, scores: Sequence[Tensor], compute_loss: Callable[[Sequence[Tensor]], Tensor]
) -> dict[str, Tensor]:
    """Return the mean loss of each scale's discriminator, detached, under ``loss/discriminator/NAME``.

    Args:
        config: The discriminator.
        scores: Scores of the images of each origin.
        compute_loss: Computes the loss of each image from such scores.
    """
    of_scales = divide_by_scale(config, [values.detach() for values in scores])
    return {f"loss/discriminator/{name}": compute_loss(values).mean() for name, values in of_scales.items()}


def divide_by_scale(config: DiscriminatorConfig, scores: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Return the scores (N, k, h, w) of each origin by the name of the scale; {}: one discriminator sees the images.

    Args:
        config: The discriminator.
        scores: Scores of each origin, shape (N, k, scales, h, w).
    """
    if config.scales == (1,):
        return {}
    return {f"scale_{scale}": [values[:, :, index] for values in scores] for index, scale in enumerate(config.scales)}


def get_signs(batch: StepInput, origins: int) -> Tensor | None:
    """Return a sign for each patch of images of k origins, the same for each origin, (k N, ...); None: no patches."""
    noise = batch.noise.get("patches")
    return None if noise is None else torch.cat([torch.where(noise < 0, -1.0, 1.0).to(noise)] * origins)


def auxiliary_nll(output: DiscriminatorOutput, batch: StepInput) -> Tensor:
    """Compute -log p(y | image) of the auxiliary head (Odena et al. 2017, eq. 3), 0 without one.

    Images of every origin have the class of the real image in their position.

    Args:
        output: Discriminator output of N images of each of k origins.
        batch: The N real images.

    Returns:
        Nats, shape (k, N).
    """
    count = len(batch.images)
    origins = len(output.scores) // count
    if output.class_logits is None:
        return output.scores.new_zeros(origins, count)
    assert batch.labels is not None
    return F.cross_entropy(output.class_logits, batch.labels.repeat(origins), reduction="none").view(origins, count)
