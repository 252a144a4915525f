"""Networks between images and grids of codes at a quarter of their resolution (van den Oord et al. 2017, 4.1)."""

from torch import Tensor, nn

from vaegan.config.models import VQVAEConfig


class Residual(nn.Module):
    """ReLU, 3x3 convolution, ReLU, 1x1 convolution, and the input added."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, inner, 3, padding=1), nn.ReLU(), nn.Conv2d(inner, width, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, width, s, s) => the same shape."""
        total: Tensor = features + self.layers(features)
        return total


def build_grid_encoder(config: VQVAEConfig, channels: int) -> nn.Sequential:
    """Images (N, C, S, S) => vectors (N, D, S / 4, S / 4)."""
    width = config.width
    return nn.Sequential(
        nn.Conv2d(channels, width // 2, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width // 2, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        *(Residual(width, config.residual_width) for _ in range(config.depth)),
        nn.ReLU(),
        nn.Conv2d(width, config.code_size, 1),
    )


def build_grid_decoder(config: VQVAEConfig, channels: int) -> nn.Sequential:
    """Entries (N, D, S / 4, S / 4) => unbounded pixels (N, C, S, S), `build_grid_encoder` mirrored."""
    width = config.width
    return nn.Sequential(
        nn.Conv2d(config.code_size, width, 3, padding=1),
        *(Residual(width, config.residual_width) for _ in range(config.depth)),
        nn.ReLU(),
        nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(width // 2, channels, 4, stride=2, padding=1),
    )
