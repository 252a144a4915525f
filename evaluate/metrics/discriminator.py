"""What a trained discriminator still tells apart."""

from typing import Any

import torch
from torch import Tensor, nn

from vaegan.losses.adversarial import NAMES, balanced_accuracy, predicted_counts

from .metric import Metric, Pairs, Result
from .sums import Sums


class Confusion(Metric):
    """How often real, reconstructed and generated images are taken for what, by the discriminator of the same run.

    It judges the averaged model, which it was not trained against.

    Args:
        network: The discriminator, in evaluation mode.
    """

    uses_samples = True

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def protocol(self) -> dict[str, Any]:
        """What is what in the matrix."""
        return {"rows": list(NAMES), "discriminator": "as trained, not averaged", "model": "averaged"}

    def pairs(self, pairs: Pairs) -> Sums:
        """Of both."""
        return {"real": self._counts(pairs.real), "reconstructed": self._counts(pairs.reconstruction)}

    def samples(self, images: Tensor, start: int) -> Sums:
        """Of the samples."""
        return {"generated": self._counts(images)}

    def result(self, sums: Sums) -> Result:
        """The matrix, images in it; and the share that is right, balanced over the rows."""
        counts = [sums[name].cpu() for name in NAMES]
        matrix = [each.tolist() for each in counts]
        accuracy = balanced_accuracy(torch.stack(counts).double())
        return Result({"discriminator/accuracy": accuracy}, matrices={"discriminator/confusion": matrix})

    def _counts(self, images: Tensor) -> Tensor:
        self.network.to(images)
        return predicted_counts(self.network(images).scores)
