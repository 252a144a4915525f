"""Small image sets for the tests: folders of random images, official sets, embedded sets."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vaegan.config.data import DataConfig
from vaegan.data import Data, Images, open_data

EMBEDDED = ("digits", "photos", "shapes")


def make_image(width: int = 20, height: int = 16, seed: int = 0, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def write_image_tree(root: Path, count: int = 12, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for number in range(count):
        folder = root / classes[number % len(classes)]
        folder.mkdir(parents=True, exist_ok=True)
        make_image(16 + number, 30 - number % 20, number).save(folder / f"{number:02}.png")
    return root


def folder_config(root: Path, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"source": "folder", "root": root, "image_size": 16, **settings})


def open_image_tree(root: Path, **settings: object) -> tuple[Data, list[str]]:
    warnings: list[str] = []
    return open_data(folder_config(root, **settings), warnings.append), warnings


def open_official(source: str, root: Path, **settings: object) -> tuple[Data, list[str]]:
    warnings: list[str] = []
    settings = {"source": source, "root": root, "image_size": 32, **settings}
    return open_data(DataConfig.model_validate(settings), warnings.append), warnings


def embedded_config(source: str, **settings: object) -> DataConfig:
    if source in ("photos", "shapes"):
        settings = {"count": 60, **settings}
    return DataConfig.model_validate({"source": source, "image_size": 16, **settings})


def read_all(images: Images) -> torch.Tensor:
    return images[torch.arange(len(images))]


def list_splits(data: Data) -> list[Images]:
    return [data.train, data.validation, data.test]
