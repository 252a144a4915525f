"""Publication of a study in Weights & Biases: its tables, images of its variants side by side, and its files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from vaegan.config import Config
from vaegan.data import Data
from vaegan.images import to_float, to_pil, to_uint8

from .comparing.comparison import Comparison
from .metric_descriptions import format_sample_source
from .report.tables import TABLES

IMAGES_PER_VARIANT = 8
"""Images of each variant in the table of images."""

TableCell = str | float | Image.Image | None


class Publisher(Protocol):
    """An open run of a tracker."""

    def log_table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> None:
        """Log a table, which may have images in its cells."""

    def log_files(self, files: Sequence[Path], name: str) -> None:
        """Log files as an artifact."""

    def finish(self) -> None:
        """End the run."""


StartPublisher = Callable[[Config, Path], Publisher]
"""Function that opens a run of a tracker for a config in a folder."""


def publish(comparison: Comparison, data: Data, folder: Path, start: StartPublisher) -> None:
    """Publish a study as one run of its group, with the name `comparison`.

    Args:
        comparison: Comparison that the study ended with.
        data: Images of the study.
        folder: Folder of the report, `comparison.json` and the tables.
        start: Opens the run.
    """
    config = comparison.first.config
    track = config.track.model_copy(update={"name": "comparison"})
    publisher = start(config.model_copy(update={"track": track}), folder)
    publisher.log_table("comparison", *comparison.build_table())
    publisher.log_table("sentences", ["sentence"], [[sentence] for sentence in comparison.list_sentences()])
    sample = "sample" + format_sample_source("sample", comparison.density)
    publisher.log_table("images", ["variant", "real", "reconstruction", sample], build_image_rows(comparison, data))
    files = [folder / name for name in ("report.html", "comparison.json", *TABLES)]
    publisher.log_files(files, f"{folder.absolute().name}-comparison")
    publisher.finish()


def build_image_rows(comparison: Comparison, data: Data) -> list[list[TableCell]]:
    """Return `IMAGES_PER_VARIANT` rows for each variant: name, real image, reconstruction, and sample or None."""
    split = getattr(data, comparison.first.config.evaluate.split)
    indices = split.select_evenly(IMAGES_PER_VARIANT)
    real = split[indices]
    rows: list[list[TableCell]] = []
    for name in comparison.names:
        sampler = comparison.load_sampler(name)
        model, count = sampler.model, len(real)
        labels = split.get_labels(indices, model.classes)
        reconstructions = to_uint8(model.reconstruct(to_float(real).to(next(model.parameters())), labels))
        samples = to_uint8(sampler.draw(0, count)) if sampler.source is not None else [None] * count
        for image, reconstruction, sample in zip(real, reconstructions, samples, strict=True):
            rows.append([name, to_pil(image), to_pil(reconstruction), None if sample is None else to_pil(sample)])
    return rows
