"""Small tar shards for the tests, of the images of `table_sets` where they are to be the same set."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from vaegan.config.data import DataConfig
from vaegan.data import reading
from vaegan.data.webdataset.build_index import build_index

from ..image_sets import make_image

IMAGES = [make_image(16, 16, seed) for seed in range(24)]
LABELS = [number % 3 for number in range(24)]
Files = Iterable[tuple[str, bytes]]


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def write_tar(path: Path, files: Files, form: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def make_samples(numbers: Iterable[int], kind: str = "cls") -> Files:
    """Yield the entries of images with their labels in a `.cls` or `.json`; empty: without labels."""
    for number in numbers:
        yield f"{number:04}.png", encode(IMAGES[number])
        if kind == "cls":
            yield f"{number:04}.cls", str(LABELS[number]).encode()
        elif kind == "json":
            yield f"{number:04}.json", json.dumps({"label": LABELS[number], "caption": "x"}).encode()


def write_shards(place: Path, kind: str = "cls", names: tuple[str, ...] = ("a.tar", "b/c.tar")) -> Path:
    """Write two shards of 10 and of 14 images, and their index."""
    for name, numbers in zip(names, (range(10), range(10, 24)), strict=True):
        write_tar(place / name, make_samples(numbers, kind))
    build_index(place)
    return place


def shard_config(root: Path, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"source": "webdataset", "root": root, "image_size": 16, **settings})


def make_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a set of 24 images be one whose images a run does not list."""
    monkeypatch.setattr(reading, "MAX_VERIFIED_IMAGES", 20)
