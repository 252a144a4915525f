"""A study in Weights & Biases: its tables, images of its variants side by side, and its files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from vaegan.config import Config
from vaegan.data import Data
from vaegan.images import to_float, to_pil, to_uint8
from vaegan.storage.loading import load

from .comparing.comparison import Comparison
from .descriptions import format_sample_source
from .report.tables import TABLES

IMAGES_PER_VARIANT = 8
"""Rows of each variant."""

Cell = str | float | Image.Image | None


class Publisher(Protocol):
    """A run of a tracker that is open for a study."""

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Show a table; pictures may be in it."""

    def keep(self, files: Sequence[Path], name: str) -> None:
        """Keep files under a name."""

    def finish(self) -> None:
        """End the run."""


Publish = Callable[[Config, Path], Publisher]
"""Opens a run for a config in a folder."""


def publish(comparison: Comparison, data: Data, folder: Path, start: Publish) -> None:
    """Show a study that lies in a folder.

    Args:
        comparison: What it found.
        data: Its images.
        folder: Where the report, the record and the tables are.
        start: Opens the run; it is of the study's group, and called comparison.
    """
    config = comparison.first.config
    track = config.track.model_copy(update={"name": "comparison"})
    publisher = start(config.model_copy(update={"track": track}), folder)
    publisher.table("comparison", *comparison.table())
    publisher.table("sentences", ["sentence"], [[sentence] for sentence in comparison.sentences()])
    sample = "sample" + format_sample_source("sample", comparison.density)
    publisher.table("images", ["variant", "real", "reconstruction", sample], build_image_rows(comparison, data))
    files = [folder / name for name in ("report.html", "comparison.json", *TABLES)]
    publisher.keep(files, f"{folder.absolute().name}-comparison")
    publisher.finish()


def build_image_rows(comparison: Comparison, data: Data) -> list[list[Cell]]:
    """Of each variant's first seed: a real image, what it makes of it, and a sample; None where it has none."""
    seed = comparison.study.seeds[0]
    split = getattr(data, comparison.first.config.evaluate.split)
    places = split.select_evenly(IMAGES_PER_VARIANT)
    real = split[places]
    rows: list[list[Cell]] = []
    for name, runs in comparison.judged.items():
        model = load(runs[seed].run.path)
        labels = split.get_labels(places, model.classes)
        made = to_uint8(model.reconstruct(to_float(real).to(next(model.parameters())), labels))
        density = comparison.densities[name] if comparison.density else None
        possible = density is not None or model.has_prior
        drawn = to_uint8(model.sample(len(real), seed, density)) if possible else [None] * len(real)
        for image, reconstruction, sample in zip(real, made, drawn, strict=True):
            shown = None if sample is None else to_pil(sample)
            rows.append([name, to_pil(image), to_pil(reconstruction), shown])
    return rows
