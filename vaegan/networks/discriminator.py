"""Discriminator over a trunk of one of several kinds."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.adversarial import DiscriminatorConfig
from vaegan.errors import UserError

from . import TRUNKS, resnet
from .sizes import get_channels


class DiscriminatorOutput(NamedTuple):
    """Output of a discriminator for N images."""

    scores: Tensor
    """Scores, shape (N, 1 to 3), or of patches (N, 1 to 3, h, w), of several scales (N, 1 to 3, scales, h, w), of
    discriminators of an image and of features (N, 1 to 3, discriminators), float32 or float64;
    `vaegan.losses.adversarial` says what they mean."""
    features: Tensor
    """Features of the layer `model.discriminator.layer`, shape (N, ...)."""
    class_logits: Tensor | None = None
    """Logits of the images' classes, shape (N, classes), float32 or float64; None: there is no auxiliary head."""
    pooled: tuple[Tensor, ...] = ()
    """Means over the places of the features of each of `model.discriminator.instance_layers`, shape (N, channels)."""


class PenalisedDiscriminator(nn.Module):
    """Base of the discriminators: one forward, in which the images of a gradient penalty are a branch of their own."""

    def forward(
        self, images: Tensor | None, autocast_dtype: torch.dtype | None = None, labels: Tensor | None = None,
        penalised: Tensor | None = None,
    ) -> DiscriminatorOutput:  # fmt: skip
        """Return scores, features and, with an auxiliary head, class logits of images.

        Args:
            images: Real, reconstructed or generated images, or all of them in one batch, shape (N, C, S, S) in [-1, 1];
                None: there are only penalised ones.
            autocast_dtype: Autocast type of the network (bfloat16); None: no autocast.
            labels: Class of each image, the penalised ones first, int64; used by a projection alone.
            penalised: Images that come first in the output, which a gradient penalty differentiates twice. They are run
                apart and without autocast, so that no other image is differentiated twice. None: there is no penalty.
        """
        if penalised is None:
            assert images is not None
            return self.compute_unpenalised(images, autocast_dtype, labels)
        count = len(penalised)
        first, others = (None, None) if labels is None else (labels[:count], labels[count:])
        outputs = [self.compute_output(penalised, None, first)]
        if images is None:
            return outputs[0]
        outputs.append(self.compute_output(images, autocast_dtype, others))
        scores, features, class_logits, pooled = zip(*outputs, strict=True)
        logits = None if class_logits[0] is None else torch.cat(class_logits)
        means = tuple(torch.cat(each) for each in zip(*pooled, strict=True))
        return DiscriminatorOutput(torch.cat(scores), torch.cat(features), logits, means)

    def compute_output(
        self, images: Tensor, autocast_dtype: torch.dtype | None, labels: Tensor | None
    ) -> DiscriminatorOutput:
        """Return the output of `forward` for images of one autocast type."""
        raise NotImplementedError

    def compute_unpenalised(
        self, images: Tensor, autocast_dtype: torch.dtype | None, labels: Tensor | None
    ) -> DiscriminatorOutput:
        """Return the output of a forward without a penalty, which a training may replace by a compiled one."""
        return self.compute_output(images, autocast_dtype, labels)


class Discriminator(PenalisedDiscriminator):
    """Network from an image, and its class in a conditional model, to scores of the image or of each of its patches.

    Args:
        config: The `model.discriminator` section of a run's config.
        image_shape: (C, S, S) of the images.
        score_count: Number of scores of each image or patch.
        classes: Number of classes; None: unconditional. ``config.condition`` selects how the network uses the class.

    Raises:
        UserError: `model.discriminator.layer` is beyond the last layer.
    """

    def __init__(
        self, config: DiscriminatorConfig, image_shape: tuple[int, int, int], score_count: int,
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.trunk = TRUNKS[config.network].Down(image_shape, config.width, config.depth, config.norm == "group")
        self.patches = config.network == "patch"
        size = self.trunk.channels if self.patches else self.trunk.feature_size
        self.head = nn.Conv2d(size, score_count, 3, padding=1) if self.patches else nn.Linear(size, score_count)
        condition = config.condition
        self.projection = nn.Linear(size, classes, bias=False) if classes and condition == "projection" else None
        self.auxiliary = nn.Linear(size, classes) if classes and condition == "auxiliary" else None
        layers = len(self.trunk.stages)
        self.instance_layers: tuple[int, ...] = getattr(config, "instance_layers", ())
        for key, layer in (("layer", config.layer or 0), ("instance_layers", max(self.instance_layers, default=0))):
            if layer > layers:
                raise UserError(f"model.discriminator.{key}: {layer} is beyond the last one, {layers}")
        self.layer = config.layer or layers

    def compute_output(
        self, images: Tensor, autocast_dtype: torch.dtype | None, labels: Tensor | None
    ) -> DiscriminatorOutput:
        """Return scores, features and, with an auxiliary head, class logits of images.

        The projection is added to the first score. The first score is D, or r, or the logit of real, so that under each
        loss the projection is added to `vaegan.losses.adversarial.realness` and nothing else changes.
        """
        with torch.autocast(images.device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None):
            layers = self.trunk(images)
        features, last = layers[self.layer - 1].to(images.dtype), layers[-1].to(images.dtype)
        pooled = tuple(_pool(layers[layer - 1].to(images.dtype)) for layer in self.instance_layers)
        last = last if self.patches else last.flatten(1)
        scores = self.head(last)
        if self.projection is not None:
            assert labels is not None
            vectors = F.embedding(labels, self.projection.weight)
            projected = ((vectors[:, :, None, None] if self.patches else vectors) * last).sum(1, keepdim=True)
            scores = torch.cat([scores[:, :1] + projected, scores[:, 1:]], 1)
        logits = None if self.auxiliary is None else self.auxiliary(last)
        return DiscriminatorOutput(scores, features, logits, pooled)


def _pool(features: Tensor) -> Tensor:
    """Return the means over the places of features (N, channels, ...), shape (N, channels)."""
    return features.flatten(2).mean(2) if features.ndim > 2 else features


class PackedDiscriminator(PenalisedDiscriminator):
    """A discriminator of consecutive images, each of which gets the score of all of them (Lin et al. 2018, section 3).

    Args:
        member: Discriminator of images whose channels are those of all images that are scored together.
        packing: Number of images that are scored together.
    """

    def __init__(self, member: PenalisedDiscriminator, packing: int) -> None:
        super().__init__()
        self.member, self.packing = member, packing

    def compute_output(
        self, images: Tensor, autocast_dtype: torch.dtype | None, labels: Tensor | None
    ) -> DiscriminatorOutput:
        """Return scores and features of images, whose number is a multiple of `packing`."""
        packed = images.unflatten(0, (-1, self.packing)).flatten(1, 2)
        packed = packed.contiguous(memory_format=torch.channels_last)
        output = self.member.compute_output(packed, autocast_dtype, None)
        scores, features = (each.repeat_interleave(self.packing, 0) for each in (output.scores, output.features))
        return DiscriminatorOutput(scores, features)


class ProjectedDiscriminator(PenalisedDiscriminator):
    """Discriminators of an image and of a trained classifier's features of it (Sauer et al. 2021, section 3).

    The classifier is frozen; until its weights are loaded, they are drawn.

    Args:
        config: The `model.discriminator` section of a run's config, with `projected_layers` and the classifier.
        image_shape: (C, S, S) of the images.
        score_count: Number of scores of each discriminator.
        classes: Number of classes; None: unconditional.

    Raises:
        UserError: A layer is beyond the last one of its network.
    """

    def __init__(
        self, config: DiscriminatorConfig, image_shape: tuple[int, int, int], score_count: int,
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        assert config.classifier is not None
        trunk = resnet.Down(image_shape, config.classifier.width, config.classifier.depth, normalise=True)
        self.classifier, self.layers = trunk.requires_grad_(False), config.projected_layers
        if (last := max(self.layers)) > len(trunk.stages):
            problem = f"{last} is beyond the last one of the classifier, {len(trunk.stages)}"
            raise UserError(f"model.discriminator.projected_layers: {problem}")
        of_features = config.model_copy(
            update={"layer": None, "instance_layers": (), "condition": config.condition.replace("auxiliary", "none")}
        )
        (_, height, width), levels = image_shape, [layer - 1 for layer in self.layers]
        shapes = [(get_channels(config.classifier.width, n), height >> n, width >> n) for n in levels]
        self.members = nn.ModuleList([
            Discriminator(config, image_shape, score_count, classes),
            *(Discriminator(of_features, shape, score_count, classes) for shape in shapes),
        ])  # fmt: skip

    def compute_output(
        self, images: Tensor, autocast_dtype: torch.dtype | None, labels: Tensor | None
    ) -> DiscriminatorOutput:
        """Return the scores of all discriminators, shape (N, k, discriminators); other outputs are the image's."""
        with torch.autocast(images.device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None):
            features = self.classifier(images)
        inputs = [images, *(features[layer - 1].to(images.dtype) for layer in self.layers)]
        pairs = zip(self.members, inputs, strict=True)
        outputs: list[DiscriminatorOutput] = [member(each, autocast_dtype, labels) for member, each in pairs]
        return outputs[0]._replace(scores=torch.stack([output.scores for output in outputs], 2))


class MultiScaleDiscriminator(PenalisedDiscriminator):
    """Discriminators of patches, each of which sees the images in a size of its own (Wang et al. 2018, section 3.2).

    Args:
        config: The `model.discriminator` section of a run's config, with several scales.
        image_shape: (C, S, S) of the images.
        score_count: Number of scores of each patch.
        classes: Number of classes; None: unconditional.

    Raises:
        UserError: `model.discriminator.layer` is beyond the last layer, or the images have no such sides.
    """

    def __init__(
        self, config: DiscriminatorConfig, image_shape: tuple[int, int, int], score_count: int,
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        config.get_score_shape(image_shape)
        self.scales = config.scales
        self.members = nn.ModuleList(Discriminator(config, image_shape, score_count, classes) for _ in config.scales)

    def compute_output(
        self, images: Tensor, autocast_dtype: torch.dtype | None, labels: Tensor | None
    ) -> DiscriminatorOutput:
        """Return the scores of all scales, shape (N, k, scales, h, w), and the features of the first one.

        The scores of a coarser patch are repeated over the patches of the first scale that it covers, so that a mean
        over all of them is a mean over the scales of the means over their patches.
        """
        outputs = [
            member(images if scale == 1 else F.avg_pool2d(images, scale), autocast_dtype, labels)
            for scale, member in zip(self.scales, self.members, strict=True)
        ]
        size = outputs[0].scores.shape[2:]
        scores = torch.stack([F.interpolate(output.scores, size, mode="nearest") for output in outputs], 2)
        return DiscriminatorOutput(scores, outputs[0].features, pooled=outputs[0].pooled)
