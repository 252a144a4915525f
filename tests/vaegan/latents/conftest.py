"""A run of an AutoencoderKL, its images, and their encoding into a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vaegan.data import open_data
from vaegan.latents.description import LatentDescription
from vaegan.latents.encoding import describe_encoding, encode_to_folder
from vaegan.latents.inputs import NamedImages, number_by_model, open_run_split
from vaegan.progress import Reporter
from vaegan.storage.loading import load, load_class_names
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ...tiny import tiny, tiny_diffusers, train_once

Encode = Callable[..., tuple[Path, LatentDescription]]
"""Encodes a run's own images into a folder, with settings of the encoding, and returns folder and description."""


def open_inputs(run: Run, split: str = "validation") -> NamedImages:
    return open_run_split(run, split, Reporter())


@pytest.fixture(scope="session")
def kl(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose codes are a grid (4, 4, 4)."""
    pytest.importorskip("diffusers")
    config = tiny_diffusers("vae", "AutoencoderKL", "train.steps=3", "evaluate.batch_size=32")
    return train(config, tmp_path_factory.mktemp("kl") / "run", open_data(config.data))


@pytest.fixture(scope="session")
def by_class(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a conditional VAE whose codes are vectors."""
    config = tiny("vae", "model.labels=10", "train.steps=3", "model.network=mlp")
    return train(config, tmp_path_factory.mktemp("vae") / "run", open_data(config.data))


@pytest.fixture(scope="session")
def vqvae() -> Run:
    return Run(train_once("vqvae"))


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    def encode(
        run: Run, name: str = "latents", inputs: NamedImages | None = None, **settings: Any
    ) -> tuple[Path, LatentDescription]:
        model = load(run.path)
        inputs = number_by_model(inputs or open_inputs(run), model, load_class_names(run.path), run.path)
        settings = {"shard_rows": 50, "batch_size": 32, **settings}
        description = describe_encoding(run, model, inputs, **settings)
        encode_to_folder(model, inputs, tmp_path / name, description)
        return tmp_path / name, description

    return encode
