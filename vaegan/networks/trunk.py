"""The forward pass of the convolutional trunks from a code to an image."""

from torch import Tensor, nn

from .checkpointing import Stages


class UpTrunk(nn.Module):
    """Trunk from a code to an image; a kind of networks gives its layers."""

    enter: nn.Module
    """Layer from codes to the first features."""
    stages: Stages
    """Stages from the first features to those at full resolution."""
    out: nn.Module
    """Layers from these to pixels, of which a convolution is the last."""

    def forward(self, codes: Tensor) -> Tensor:
        """Return the unbounded pixels (N, C, S, S) of codes (N, d), or (N, C, f h, f w) of a grid (N, C', h, w)."""
        image: Tensor = self.out(self.stages(self.enter(codes)))
        return image

    def get_last_layer(self) -> Tensor:
        """Return the weight of the last layer, which makes the pixels."""
        *_, last = self.out.modules()
        weight: Tensor = last.weight  # type: ignore[assignment] # of a layer
        return weight
