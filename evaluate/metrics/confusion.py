"""Confusion matrix of a trained discriminator."""

import torch
from torch import Tensor, nn

from vaegan.config.adversarial import DiscriminatorConfig
from vaegan.config.models import GANConfig
from vaegan.losses.adversarial import balanced_accuracy, count_predictions
from vaegan.models.autoencoder import cycle_labels

from .metric import Metric, MetricResult, ModelPairs, Sums


class Confusion(Metric[ModelPairs]):
    """Confusion matrix of the discriminator of the same run, of real, reconstructed and generated images.

    The images are those of the averaged model, which the discriminator was not trained against. Images of an origin
    that the discriminator has never seen are left out. A discriminator of patches classifies each of them.

    Args:
        discriminator: Discriminator, in evaluation mode.
        config: The `model` section of the run's config. Sample i of a conditional model is of class i modulo the number
            of classes.
        image_shape: (C, S, S) of the images.
    """

    def __init__(self, discriminator: nn.Module, config: GANConfig, image_shape: tuple[int, int, int]) -> None:
        self.discriminator, self.classes = discriminator, config.labels
        self.origins = config.origins
        self.uses_samples = "generated" in self.origins
        self.protocol = {
            "rows": list(self.origins),
            "counts": _describe_counts(config.discriminator, image_shape),
            "discriminator": "as trained, not averaged",
            "model": "averaged",
        }

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the predicted classes of real images and reconstructions, as counts."""
        counts = {"real": self._count(pairs.real, pairs.labels)}
        if "reconstructed" in self.origins:
            counts["reconstructed"] = self._count(pairs.reconstruction, pairs.labels)
        return counts

    def measure_set(self, name: str, images: Tensor, start: int) -> Sums:
        """Return the predicted classes of samples, as counts."""
        if not self.uses_samples:
            return {}
        labels = None
        if self.classes is not None:
            labels = cycle_labels(start, start + len(images), self.classes).to(images.device)
        return {"generated": self._count(images, labels)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the matrix of counts, and the accuracy, balanced over the rows."""
        counts = [sums[name].cpu() for name in self.origins]
        matrix = [row.tolist() for row in counts]
        accuracy = balanced_accuracy(torch.stack(counts).double())
        return MetricResult({"discriminator/accuracy": accuracy}, matrices={"discriminator/confusion": matrix})

    def _count(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.discriminator.to(images)
        return count_predictions(self.discriminator(images, labels=labels).scores)


def _describe_counts(config: DiscriminatorConfig, image_shape: tuple[int, int, int]) -> str:
    if config.projected_layers:
        return f"images, by each of {1 + len(config.projected_layers)} discriminators"
    return "patches" if config.get_score_shape(image_shape) else "images"
