"""A conditional three-way VAE-GAN, and its generation into a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vaegan.data import open_data
from vaegan.generation.description import Generation
from vaegan.generation.generating import generate_to_folder
from vaegan.generation.rejection import Score
from vaegan.models.autoencoder import Sampler
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ...tiny import tiny

ROWS = 27
Generate = Callable[..., Path]
"""Generates images into a folder of a name, with settings of the description, and returns the folder."""


@pytest.fixture(scope="session")
def by_class(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = tiny("vaegan3", "model.labels=10", "train.steps=3", "model.network=mlp")
    return train(config, tmp_path_factory.mktemp("vaegan3") / "run", open_data(config.data))


def describe(run: Run, **settings: Any) -> Generation:
    given = {
        "rows": ROWS, "shard_rows": 10, "batch_size": 4, "run": str(run.path), "weights": "0" * 64,
        "image_shape": (1, 8, 8), "format": "folder", "seed": 5, "density": None, "fitted_to": None, "label": None,
        "classes": (*"012345678", "a/b"), "rejection": None, **settings,
    }  # fmt: skip
    return Generation.model_validate(given)


@pytest.fixture
def generate(by_class: Run, tmp_path: Path) -> Generate:
    def generate(name: str, score: Score | None = None, **settings: Any) -> Path:
        generation = describe(by_class, **settings)
        generate_to_folder(Sampler(load(by_class.path), generation.seed), score, tmp_path / name, generation)
        return tmp_path / name

    return generate
