"""Runs of every kind of code, and the codec of each with a prior that is fitted to its training images."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from vaegan.compression.codec import Codec, build_codec
from vaegan.compression.fitting import fit_prior
from vaegan.compression.prior import CodePrior
from vaegan.data import Images, open_data
from vaegan.models import Autoencoder
from vaegan.storage.loading import load, load_weights_hash
from vaegan.trainers import train

from ...tiny import tiny

KINDS = {
    "ae": ("ae", "model.network=mlp"),
    "vae": ("vae", "model.network=mlp", "model.labels=10"),
    "grid": ("vae-grid",),
    "vqvae": ("vqvae",),
    "pixelcnn": ("pixelcnn", "train.steps=30"),
    "pixelcnn by class": ("pixelcnn", "model.labels=10", "train.steps=30"),
}
"""Family and overrides of each run."""


class Fitted(NamedTuple):
    """A model with the prior of its codes, and its held-out images."""

    model: Autoencoder
    prior: CodePrior
    images: Images

    def build(self, step: float = 0.1) -> Codec:
        is_values = self.prior.description.kind == "values"
        return build_codec(self.model, self.prior, self.prior.choose_multiple(step) if is_values else 1)

    def read(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Return pixels and classes of the first images."""
        positions = torch.arange(count)
        return self.images[positions], self.images.get_labels(positions, self.model.classes)


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Fitted]:
    """Returns the model of a kind of `KINDS` with its prior."""

    @cache
    def make(kind: str) -> Fitted:
        config = tiny(*KINDS[kind])
        data = open_data(config.data)
        folder: Path = train(config, tmp_path_factory.mktemp("compression") / "run", data).path
        model = load(folder)
        return Fitted(model, fit_prior(model, load_weights_hash(folder), data.train, 64), data.validation)

    return make
