"""Image sets of the library `datasets` for the tests, in every way to store them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vaegan.config.data import DataConfig

from .image_sets import make_image

IMAGES = [make_image(16, 16, seed) for seed in range(24)]
NAMES = ["cat", "dog", "owl"]
LABELS = [number % 3 for number in range(24)]


def encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def make_table(start: int = 0, stop: int = 24) -> pa.Table:
    rows = {
        "image": [{"bytes": encode(image), "path": None} for image in IMAGES[start:stop]],
        "label": LABELS[start:stop],
    }
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    return pa.table(rows).cast(features.arrow_schema)


def make_dataset(start: int = 0, stop: int = 24) -> Any:
    return datasets.Dataset(make_table(start, stop), fingerprint=f"{start}-{stop}")


def write_parquet(place: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), place)
    return place


def write_saved(place: Path) -> Path:
    make_dataset().save_to_disk(str(place))
    return place


def write_shards(place: Path) -> Path:
    (place / "data").mkdir(parents=True)
    for number, start in enumerate((0, 10)):
        pq.write_table(make_table(start, (10, 24)[number]), place / "data" / f"train-{number:05}-of-00002.parquet")
    return place


def write_file(place: Path) -> Path:
    pq.write_table(make_table(), f"{place}.parquet")
    return Path(f"{place}.parquet")


def write_arrow(place: Path, write: Callable[..., Any] = pa.ipc.new_stream) -> Path:
    table = make_table()
    with pa.OSFile(f"{place}.arrow", "wb") as file, write(file, table.schema) as writer:
        writer.write_table(table)
    return Path(f"{place}.arrow")


WRITERS: dict[str, Callable[[Path], Path]] = {
    "save_to_disk": write_saved, "shards": write_shards, "parquet": write_file, "arrow stream": write_arrow,
    "arrow file": lambda place: write_arrow(place, pa.ipc.new_file),
}  # fmt: skip


def make_config(root: Path | None, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"source": "huggingface", "root": root, "image_size": 16, **settings})
