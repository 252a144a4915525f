"""A user's own encoder, decoder and discriminator of 8x8 grey images and four latent dimensions.

Each has a frozen layer; the decoder has a spectrally normalised one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WIDTH = 8


class OwnEncoder(nn.Module):
    def __init__(self, classes: int | None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, WIDTH, 3, padding=1).requires_grad_(False)
        self.body = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.embedding = nn.Embedding(classes, WIDTH) if classes else None
        self.head = nn.Linear(16 * WIDTH, 8)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = F.silu(self.body(F.silu(self.stem(images))))
        if self.embedding is not None:
            features = features + self.embedding(labels)[:, :, None, None]
        return self.head(features.flatten(1))


class OwnDecoder(nn.Module):
    def __init__(self, classes: int | None) -> None:
        super().__init__()
        self.classes = classes or 0
        self.enter = spectral_norm(nn.Linear(4 + self.classes, 16 * WIDTH))
        self.middle = nn.Conv2d(WIDTH, WIDTH, 3, padding=1).requires_grad_(False)
        self.last = nn.ConvTranspose2d(WIDTH, 1, 4, stride=2, padding=1)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is not None:
            codes = torch.cat([codes, F.one_hot(labels, self.classes).to(codes)], 1)
        features = F.silu(self.enter(codes)).view(-1, WIDTH, 4, 4)
        return self.last(features + F.silu(self.middle(features)))

    def get_last_layer(self) -> Tensor:
        return self.last.weight


class OwnDiscriminator(nn.Module):
    def __init__(self, classes: int | None, scores: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, WIDTH, 3, stride=2, padding=1).requires_grad_(False)
        self.body = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.embedding = nn.Embedding(classes, WIDTH) if classes else None
        self.head = nn.Linear(WIDTH, scores)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = F.silu(self.body(F.silu(self.stem(images))))
        pooled = features.mean((2, 3))
        if self.embedding is not None:
            pooled = pooled + self.embedding(labels)
        return self.head(pooled), features


def build_own_networks(classes: int | None = None, seed: int = 0, scores: int = 3) -> dict[str, nn.Module]:
    """Return the three modules, with initial weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {
            "encoder": OwnEncoder(classes),
            "decoder": OwnDecoder(classes),
            "discriminator": OwnDiscriminator(classes, scores),
        }
