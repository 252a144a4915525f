"""The discriminator, the adversarial loss and their settings in the `model` section."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vaegan.errors import UserError
from vaegan.losses import AdversarialLoss

from .architectures import Depth, ImageShape, NetworkKind, Width
from .classifier import ClassifierConfig
from .schedule import ScheduledWeight
from .section import FROM_PYTHON, INTEGER, Count, Positive, Probability, Section, Steps, Weight

Scale = Annotated[Literal[1, 2, 4, 8], INTEGER]


class DiscriminatorConfig(Section):
    """Discriminator, in which no score of an image depends on its neighbours in the batch."""

    network: NetworkKind | Literal["patch"] = "conv"
    """Kind of its layers: those of `model.network`, or `patch`, which scores each patch of an image instead of the
    whole (Isola et al. 2017, section 3.2.2)."""
    width: Width = 32
    """Channels at full resolution, doubled at each halving up to 8 times as many; mlp: units of each hidden layer."""
    depth: Depth = 1
    """Convolutions or blocks at each resolution; mlp: hidden layers; patch: halvings, 3 in the paper."""
    scales: Annotated[tuple[Scale, ...], FROM_PYTHON, Field(min_length=1)] = (1,)
    """patch: one discriminator for each number, which sees images whose sides are divided by it (means of squares of
    pixels); all of them have the same weight (Wang et al. 2018, section 3.2)."""
    packing: Annotated[Literal[1, 2], INTEGER] = 1
    """Images that are scored together. 2: images 2i and 2i + 1 of the batch, all real or all fake, are one image of
    twice the channels, in which a lack of variety can be seen (Lin et al. 2018, section 3)."""
    projected_layers: Annotated[tuple[Count, ...], FROM_PYTHON] = ()
    """Layers of a trained classifier, counted from the image. Each gets a further discriminator on its frozen features,
    with the same weight as the discriminator of the images (Sauer et al. 2021, section 3). []: there are none."""
    classifier: ClassifierConfig | None = None
    """Settings of the classifier of `projected_layers`; filled in from the run that `train.discriminator_features`
    names."""
    norm: Literal["none", "group"] = "none"
    """patch: `group` is GroupNorm before the activations; discriminators of other kinds have `none`."""
    spectral_norm: bool = False
    """Divide each weight by its largest singular value (Miyato et al. 2018)."""
    layer: Count | None = None
    """Layer whose features the learned similarity compares, counted from the image: a hidden layer of mlp, a resolution
    of the others; None: the last."""
    condition: Literal["none", "projection", "auxiliary"] = "projection"
    """Use of an image's class if `model.labels` is given. `projection`: <e_y, features> is
    added to the score of being real (Miyato & Koyama 2018, eq. 3); `auxiliary`: a further head predicts the class,
    whose cross-entropy the discriminator minimises on all images and the generator on its own (Odena et al. 2017,
    section 3); `none`: the class is not used."""

    @model_validator(mode="after")
    def _check_spectral_norm(self) -> "DiscriminatorConfig":
        if self.spectral_norm and self.network == "inverted_residual":
            problem = "the blocks of inverted_residual begin with weights of 0, which have no largest singular value"
            raise ValueError(f"model.discriminator.spectral_norm: {problem}; leave it out, or take another network")
        return self

    @model_validator(mode="after")
    def _check_patches(self) -> "DiscriminatorConfig":
        if self.norm != "none" and self.network != "patch":
            raise ValueError(
                f"model.discriminator.norm: {self.network} takes none; leave it out, or take network=patch"
            )
        if self.scales != (1,) and self.network != "patch":
            raise ValueError(f"model.discriminator.scales: {self.network} has one; leave it out, or take network=patch")
        if list(self.scales) != sorted(set(self.scales)):
            raise ValueError("model.discriminator.scales: not in rising order; sort them, each once")
        if self.condition == "auxiliary" and self.network == "patch":
            raise ValueError("model.discriminator.condition: auxiliary tells the class of an image, not of its patches")
        return self

    @model_validator(mode="after")
    def _check_projection(self) -> "DiscriminatorConfig":
        if not self.projected_layers:
            if self.classifier is not None:
                problem = "no layer of it is used; name some as projected_layers, or leave it out"
                raise ValueError(f"model.discriminator.classifier: {problem}")
            return self
        if list(self.projected_layers) != sorted(set(self.projected_layers)):
            raise ValueError("model.discriminator.projected_layers: not in rising order; sort them, each once")
        for key, is_other in (("network", self.network == "patch"), ("packing", self.packing > 1)):
            if is_other:
                problem = f"{getattr(self, key)} has no discriminators of features beside it"
                raise ValueError(f"model.discriminator.{key}: {problem}; leave projected_layers out")
        return self

    def get_score_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape in which the scores of one kind of images (C, H, W) are laid out; () if there is one.

        It is (h, w) of patches; (scales, h, w) of several discriminators of patches, with the patches of the largest
        images, where a coarser patch stands for all that it covers; or (discriminators,) of images and of features.

        Raises:
            UserError: With several scales, a side of the images is no multiple of the sides of the patches.
        """
        if self.network != "patch":
            return (1 + len(self.projected_layers),) if self.projected_layers else ()
        patches = tuple(-(-side // (2**self.depth * min(self.scales))) for side in image_shape[1:])
        if self.scales == (1,):
            return patches
        step = 2**self.depth * math.lcm(*self.scales)
        for side in image_shape[1:]:
            if side % step:
                problem = f"{list(self.scales)} with depth {self.depth} takes sides that are multiples of {step}"
                raise UserError(f"model.discriminator.scales: {problem}, and the images have {side}")
        return len(self.scales), *patches


def get_packing(model: Section) -> int:
    """Return the number of images that the discriminator of a `model` section scores together; 1 if it has none."""
    discriminator: DiscriminatorConfig | None = getattr(model, "discriminator", None)
    return 1 if discriminator is None else discriminator.packing


class AdversarialLossConfig(Section):
    """Adversarial loss, its weights and regularisers."""

    loss: AdversarialLoss = "cross_entropy"
    """Form of the loss: `cross_entropy` of the origins, `hinge`, or `relativistic`, which compares each image with
    another."""
    weight: ScheduledWeight = 0.1
    """Weight of the adversarial term relative to the other terms, in nats per pixel value, or its schedule over the
    images seen."""
    warmup_steps: Steps = 0
    """Steps in which the discriminator learns alone; the adversarial term starts after them."""
    ramp_steps: Steps = 0
    """Steps over which its weight rises linearly from 0, after those; 0: at once."""
    r1: ScheduledWeight = 1.0
    """Weight gamma of the gradient penalty gamma/2 |grad|^2 at real images (Mescheder et al. 2018, eq. 9), or its
    schedule over the images seen."""
    r2: ScheduledWeight = 0.0
    """Weight of the same penalty at fakes, a mean over their kinds (Mescheder et al. 2018, eq. 10), or its schedule."""
    penalty_every: Count = 4
    """Steps between two gradient penalties, each weighted by this number (lazy, Karras et al. 2020)."""
    lecam: Weight = 0.0
    """Weight of the distance of the discriminator's scores from the past average of the other kind of images (Tseng
    et al. 2021)."""
    augment: Probability = 0.0
    """Probability of each augmentation of what the discriminator sees; 1 is DiffAugment (Zhao et al. 2020)."""
    augment_target: Probability | None = None
    """Let that probability adapt to the discriminator instead (ADA, Karras et al. 2020, eq. 1): it starts at `augment`,
    and rises while the mean sign of real images' scores is above this target (0.6 in the paper)."""
    augment_images: Count = 500_000
    """Images over which this probability can rise from 0 to 1."""


class VAEGANDiscriminatorConfig(DiscriminatorConfig):
    """Discriminator of a VAE-GAN, which can tell reconstructed from generated images."""

    classes: Literal["reconstructed", "two", "three"] = "three"
    """Images that it tells apart. `three`: real / reconstructed / generated. `two`: real / fake of both kinds, where
    the encoder gets no adversarial gradient (Larsen et al. 2016, section 2.3). `reconstructed`: real / reconstructed,
    and nothing is generated, as in the training of image tokenizers (Esser et al. 2021; Rombach et al. 2022)."""
    instance_layers: Annotated[tuple[Count, ...], FROM_PYTHON] = ()
    """Layers, counted as `layer` is, whose features the instance term compares, averaged over an image's places; DC-VAE
    takes one near the image and one near the end. []: there is no such term."""

    @model_validator(mode="after")
    def _check_instance_layers(self) -> "VAEGANDiscriminatorConfig":
        if list(self.instance_layers) != sorted(set(self.instance_layers)):
            raise ValueError("model.discriminator.instance_layers: not in rising order; sort them, each once")
        if self.packing > 1 and self.instance_layers:
            problem = "the features of a pair do not tell its images apart"
            raise ValueError(f"model.discriminator.packing: {problem}; leave instance_layers out, or give packing=1")
        return self


class VAEGANLossConfig(AdversarialLossConfig):
    """Adversarial loss of a VAE-GAN, its weights and regularisers, and the learned similarity."""

    similarity: Weight = 0.1
    """Weight of the learned similarity: the squared distance of an image and its reconstruction in the
    discriminator's features (Larsen et al. 2016, eq. 7)."""
    instance: Weight = 0.0
    """Weight of the instance term, a mean over `model.discriminator.instance_layers`: -log of the probability, in nats,
    by which a reconstruction is assigned to its own image and not to one of `instance_queue` (Parmar et al. 2021)."""
    instance_queue: Count = 4096
    """Past training images that a reconstruction is compared with, at most a quarter of all training images."""
    instance_temperature: Positive = 0.07
    """Divisor of the cosine similarities in the instance term."""
    adaptive: Annotated[tuple[Weight, Weight], FROM_PYTHON] | None = None
    """Multiply `weight` by a ratio of gradient norms at the decoder's last layer, that of the other terms over that of
    the adversarial term (Esser et al. 2021, eq. 7), kept between these two bounds; None: the ratio is 1."""

    @model_validator(mode="after")
    def _check_bounds(self) -> "VAEGANLossConfig":
        if self.adaptive is not None and self.adaptive[0] > self.adaptive[1]:
            raise ValueError(f"model.adversarial.adaptive: {self.adaptive[0]} is above {self.adaptive[1]}; swap them")
        return self
