"""Networks between images and grids of codes at a quarter of their resolution (van den Oord et al. 2017, 4.1)."""

from torch import Tensor, nn

from vaegan.config.codebooks import VQVAEConfig

from .checkpointing import Stages


class Residual(nn.Module):
    """ReLU, 3x3 convolution, ReLU, 1x1 convolution, and the input added.

    Args:
        width: Channels of input and output.
        hidden_width: Channels between the convolutions.
    """

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, hidden_width, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden_width, width, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's output (N, width, s, s) for features (N, width, s, s)."""
        total: Tensor = features + self.layers(features)
        return total


def build_grid_encoder(config: VQVAEConfig, channels: int) -> Stages:
    """Build the network from images (N, C, S, S) to vectors (N, D, S / 4, S / 4).

    Args:
        config: The `model` section of the VQ-VAE.
        channels: Channels C of the images.
    """
    width = config.width
    return Stages(
        nn.Conv2d(channels, width // 2, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width // 2, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        *(Residual(width, config.residual_width) for _ in range(config.depth)),
        nn.ReLU(),
        nn.Conv2d(width, config.code_size, 1),
    )


def build_grid_decoder(config: VQVAEConfig, channels: int) -> Stages:
    """Build the network from entries (N, D, S / 4, S / 4) to unbounded pixels (N, C, S, S), the encoder mirrored.

    Args:
        config: The `model` section of the VQ-VAE.
        channels: Channels C of the images.
    """
    width = config.width
    return Stages(
        nn.Conv2d(config.code_size, width, 3, padding=1),
        *(Residual(width, config.residual_width) for _ in range(config.depth)),
        nn.ReLU(),
        nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(width // 2, channels, 4, stride=2, padding=1),
    )
