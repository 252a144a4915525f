"""Confusion matrix of a trained discriminator."""

import torch
from torch import Tensor, nn

from vaegan.losses.adversarial import ORIGINS, balanced_accuracy, count_predictions
from vaegan.models.autoencoder import cycle_labels

from .metric import Metric, MetricResult, ModelPairs, Sums


class Confusion(Metric[ModelPairs]):
    """Confusion matrix of the discriminator of the same run, of real, reconstructed and generated images.

    The images are those of the averaged model, which the discriminator was not trained against.

    Args:
        discriminator: Discriminator, in evaluation mode.
        classes: Number of classes of a conditional model, whose sample i is of class i modulo ``classes``; None: the
            model is unconditional.
    """

    uses_samples = True

    def __init__(self, discriminator: nn.Module, classes: int | None) -> None:
        self.discriminator, self.classes = discriminator, classes
        self.protocol = {"rows": list(ORIGINS), "discriminator": "as trained, not averaged", "model": "averaged"}

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the predicted classes of real images and reconstructions, as counts."""
        return {
            "real": self._count(pairs.real, pairs.labels),
            "reconstructed": self._count(pairs.reconstruction, pairs.labels),
        }

    def measure_set(self, name: str, images: Tensor, start: int) -> Sums:
        """Return the predicted classes of samples, as counts."""
        labels = None
        if self.classes is not None:
            labels = cycle_labels(start, start + len(images), self.classes).to(images.device)
        return {"generated": self._count(images, labels)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the matrix of counts, and the accuracy, balanced over the rows."""
        counts = [sums[name].cpu() for name in ORIGINS]
        matrix = [row.tolist() for row in counts]
        accuracy = balanced_accuracy(torch.stack(counts).double())
        return MetricResult({"discriminator/accuracy": accuracy}, matrices={"discriminator/confusion": matrix})

    def _count(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.discriminator.to(images)
        return count_predictions(self.discriminator(images, labels=labels).scores)
