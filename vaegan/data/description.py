"""Description of an image set, before anything is trained on it: numbers, sizes, classes, broken files, duplicates."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaegan.config.data import SYNTHETIC_SOURCES, DataConfig
from vaegan.progress import Reporter, ignore_notice

from .dataset import Data, Images, Source, UInt8Image
from .folder import describe_strays
from .image_file import StoredImage
from .members import SPLITS, MemberList
from .open_source import open_source
from .reading import visit_images
from .sources import count_threads, open_data


class NamedImage(NamedTuple):
    """An image and the split that it lies in."""

    name: str
    split: str


@dataclass(frozen=True, eq=False)
class DataDescription:
    """The contents of an image set in numbers."""

    config: DataConfig
    """The set."""
    splits: dict[str, Images]
    """The images of each split."""
    broken: dict[str, str]
    """Name and problem of each image that cannot be used."""
    stored: Counter[StoredImage]
    """Number of usable images of each size, mode and format; empty for a set that is drawn at any size."""
    official: dict[str, int]
    """Number of images of each split that the set comes with; empty: all are drawn."""
    strays: str
    """Reason why folders are no labels; empty: they are, or there are none."""
    differences: str
    """Differences from the images of the run that they are described for; empty: there are none."""
    duplicates: list[list[NamedImage]]
    """Groups of images whose decoded pixels are equal."""
    mean: tuple[float, ...]
    """Mean of the decoded training images' pixels in [0, 1], of each channel."""
    deviation: tuple[float, ...]
    """Standard deviation of the decoded training images' pixels in [0, 1], of each channel."""

    @property
    def count(self) -> int:
        """Number of images that can be used."""
        return sum(map(len, self.splits.values()))

    @property
    def classes(self) -> dict[str, dict[str, int]]:
        """Number of images of each class in each split; empty if the set has no labels."""
        names = self.splits["train"].classes
        counts = {
            split: torch.zeros(0) if images.labels is None else torch.bincount(images.labels, minlength=len(names))
            for split, images in self.splits.items()
        }
        return {
            name: {split: int(numbers[label]) for split, numbers in counts.items()} for label, name in enumerate(names)
        }

    @property
    def enlarged(self) -> int:
        """Number of images that are smaller than `data.image_size`."""
        smaller = (n for image, n in self.stored.items() if min(image.width, image.height) < self.config.image_size)
        return sum(smaller)

    def count_stored(self, field: str) -> list[tuple[str, int]]:
        """Return each ``size``, ``mode`` or ``format`` with its number of images, the most frequent first."""
        counts: Counter[str] = Counter()
        for image, number in self.stored.items():
            counts[f"{image.width}x{image.height}" if field == "size" else getattr(image, field)] += number
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def find_extremes(self) -> tuple[StoredImage, StoredImage]:
        """Return the images of the fewest and of the most pixels."""
        images = sorted(self.stored, key=lambda image: (image.width * image.height, image))
        return images[0], images[-1]

    def count_duplicates(self) -> tuple[int, int]:
        """Return the images that repeat an earlier one of their split, and those that are in an earlier split too."""
        within = across = 0
        for group in self.duplicates:
            splits = Counter(image.split for image in group)
            within += sum(number - 1 for number in splits.values())
            across += sum(splits.values()) - splits[min(splits, key=SPLITS.index)]
        return within, across

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        config = self.config
        return {
            "source": config.source,
            "root": None if config.root is None else str(config.root),
            "image_size": config.image_size,
            "channels": config.channels,
            "images": self.count,
            "splits": {split: len(images) for split, images in self.splits.items()},
            "official_splits": self.official,
            "classes": self.classes,
            "strays": self.strays,
            "broken": self.broken,
            "sizes": dict(self.count_stored("size")),
            "modes": dict(self.count_stored("mode")),
            "formats": dict(self.count_stored("format")),
            "enlarged": self.enlarged,
            "differences": self.differences,
            "duplicates": [[image._asdict() for image in group] for group in self.duplicates],
            "mean": self.mean,
            "std": self.deviation,
        }


def describe_data(config: DataConfig, reporter: Reporter, known: MemberList | None = None) -> DataDescription:
    """Read every image of a set, and return what it holds; broken images are named under `data.strict` too.

    Args:
        config: The `data` section.
        reporter: Shows progress and warnings.
        known: The list of the run whose images they are; None: that of no run.

    Raises:
        UserError: There is no such set, it is broken, or it is too small to be split.
        Failure: The download failed.
    """
    source = open_source(config, reporter.note)
    config = config.model_copy(update={"strict": False})
    with reporter.progress("Reading images", "images") as progress:
        # What it would say is part of the description.
        data = open_data(config, ignore_notice, progress, source, known, training=False, verify=True)
    splits = {split: getattr(data, split) for split in SPLITS}
    with reporter.progress("Looking at images", "images") as progress:
        return _describe_images(config, data, source, splits, progress)


def _count_official(source: Source, config: DataConfig) -> dict[str, int]:
    """Return the number of images of each split that a set comes with; empty if all splits are drawn."""
    if source.splits is not None and config.source not in SYNTHETIC_SOURCES:
        return dict(zip(SPLITS, map(len, source.splits), strict=True))
    if source.test_indices is not None:
        return {"train": len(source.reader) - len(source.test_indices), "test": len(source.test_indices)}
    return {split: source.official_splits.count(split) for split in SPLITS if split in source.official_splits}


def _describe_images(
    config: DataConfig, data: Data, source: Source, splits: dict[str, Images], progress: Any
) -> DataDescription:
    reader = source.reader
    count, store = len(reader), data.train.store
    split_numbers = np.full(count, -1, dtype=np.int8)
    for number, images in enumerate(splits.values()):
        split_numbers[images.indices.numpy()] = number
    sums, squares = (np.zeros((count, config.channels), dtype=np.int64) for _ in range(2))
    stored: list[StoredImage | None] = [None] * count
    digests = [b""] * count

    def look_at(index: int) -> None:
        usable = split_numbers[index] >= 0
        pixels: UInt8Image = store[index].numpy() if usable and isinstance(store, Tensor) else reader(index)
        if not usable and config.version > 1:  # it may be broken, and the reason is wanted
            reader.check_body(index)
        stored[index] = reader.describe(index)
        digests[index] = blake2b(pixels.tobytes(), digest_size=16).digest()
        values = pixels.reshape(len(pixels), -1).astype(np.int64)
        sums[index], squares[index] = values.sum(1), (values * values).sum(1)

    errors = visit_images(count, look_at, count_threads(reader, config), progress)
    usable = [index for index in range(count) if split_numbers[index] >= 0 and index not in errors]
    groups: dict[bytes, list[NamedImage]] = defaultdict(list)
    for index in usable:
        groups[digests[index]].append(NamedImage(reader.get_name(index), SPLITS[split_numbers[index]]))
    trained = [index for index in usable if split_numbers[index] == 0]
    values = max(1, len(trained)) * config.image_size**2 * 255.0
    mean = sums[trained].sum(0) / values
    variance = squares[trained].sum(0) / (values * 255) - mean**2
    return DataDescription(
        config=config,
        splits=splits,
        broken={reader.get_name(index): errors[index].reason for index in sorted(errors)},
        stored=Counter(image for index in usable if (image := stored[index]) is not None),
        official=_count_official(source, config),
        strays=describe_strays(list(map(source.get_class_path, usable))) if source.label_by_folder else "",
        differences=data.differences.describe(),
        duplicates=[group for group in groups.values() if len(group) > 1],
        mean=tuple(mean.tolist()),
        deviation=tuple(np.sqrt(np.maximum(variance, 0)).tolist()),
    )
