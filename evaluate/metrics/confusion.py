"""What a trained discriminator still tells apart."""

from typing import Any

import torch
from torch import Tensor, nn

from vaegan.losses.adversarial import ORIGINS, balanced_accuracy, count_predictions
from vaegan.models.sampler import cycle_labels

from .accumulate import Sums
from .metric import ImagePairs, Metric, MetricResult


class Confusion(Metric):
    """How often real, reconstructed and generated images are taken for what, by the discriminator of the same run.

    It judges the averaged model, which it was not trained against.

    Args:
        network: The discriminator, in evaluation mode.
        classes: Of images; samples come as of `Autoencoder.sample`. None: the model is unconditional.
    """

    uses_samples = True

    def __init__(self, network: nn.Module, classes: int | None) -> None:
        self.network, self.classes = network, classes

    def get_protocol(self) -> dict[str, Any]:
        """What is what in the matrix."""
        return {"rows": list(ORIGINS), "discriminator": "as trained, not averaged", "model": "averaged"}

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """Of both."""
        return {
            "real": self._counts(pairs.real, pairs.labels),
            "reconstructed": self._counts(pairs.reconstruction, pairs.labels),
        }

    def measure_samples(self, images: Tensor, start: int) -> Sums:
        """Of the samples."""
        labels = (
            None if self.classes is None else cycle_labels(start, start + len(images), self.classes).to(images.device)
        )
        return {"generated": self._counts(images, labels)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """The matrix, images in it; and the share that is right, balanced over the rows."""
        counts = [sums[name].cpu() for name in ORIGINS]
        matrix = [each.tolist() for each in counts]
        accuracy = balanced_accuracy(torch.stack(counts).double())
        return MetricResult({"discriminator/accuracy": accuracy}, matrices={"discriminator/confusion": matrix})

    def _counts(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.network.to(images)
        return count_predictions(self.network(images, labels=labels).scores)
