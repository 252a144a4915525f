"""The inspection of a trained model's codes: statistics of each dimension, maps of the images, and linear probes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vaegan.applications.code_maps import map_by_pca, map_by_tsne
from vaegan.applications.code_statistics import CodeStatistics, compute_code_statistics
from vaegan.applications.encoding import check_continuous_codes, encode_images
from vaegan.applications.linear_probe import LinearProbe, fit_probes
from vaegan.data import Data, Images
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.models import Autoencoder, Posterior
from vaegan.progress import Reporter

MAX_MAP_IMAGES = 2000
"""Most images of a map, evenly chosen; t-SNE takes ten seconds of one core for so many."""
MAX_PROBE_IMAGES = 10_000
"""Most training images that linear probes are fitted to, evenly chosen."""


@dataclass(frozen=True, eq=False)
class CodeMap:
    """A map of codes in two dimensions."""

    key: str
    """Name of its files."""
    name: str
    """Name in texts."""
    coordinates: Tensor
    """Coordinates of each code, float64, shape (M, 2)."""
    axes: tuple[str, str]
    """Names of the axes."""
    has_unit: bool
    """True if distances mean something."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """Statistics, maps and linear probes of the codes of a split's images."""

    split: str
    posterior: Posterior
    """q(z | x) of the images, shape (N, d)."""
    statistics: CodeStatistics
    maps: tuple[CodeMap, ...]
    map_labels: Tensor | None
    """Class of each image of the maps, int64, shape (M,); None: the images have no labels."""
    classes: tuple[str, ...]
    """Names of the classes."""
    probes: Mapping[str, LinearProbe]
    """Linear probes by the name of their features; empty where there is none."""
    probe_images: int
    """Number of training images that the probes are fitted to."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what is left out or has to be known."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the maps and the single images as JSON's types; what has no value is None."""
        statistics = self.statistics
        columns = {
            "kl": statistics.kl, "mean_variance": statistics.mean_variance, "active": statistics.active,
            "aggregate_mean": statistics.mean, "aggregate_variance": statistics.variance,
            "aggregate_gaussian_kl": statistics.gaussian_kl, "aggregate_wasserstein": statistics.wasserstein,
        }  # fmt: skip
        lists = {name: column.tolist() for name, column in columns.items() if column is not None}
        return {
            "split": self.split,
            "images": len(self.posterior.mean),
            "active_units": int(statistics.active.sum()),
            "kl": None if statistics.kl is None else statistics.kl.sum().item(),
            "dimensions": [
                {"dimension": index, **{name: lists[name][index] if name in lists else None for name in columns}}
                for index in range(len(statistics.active))
            ],
            "linear_probe": {
                name: {
                    "accuracy": probe.accuracy, "interval": list(probe.interval), "C": probe.penalty,
                    "training_images": self.probe_images,
                }
                for name, probe in self.probes.items()
            },
            "notes": self.notes,
        }  # fmt: skip


def inspect_codes(model: Autoencoder, data: Data, split: str, seed: int, reporter: Reporter) -> Inspection:
    """Encode the images of a split, and return what their codes say of the model.

    Maps are of at most `MAX_MAP_IMAGES` of them; linear probes are fitted to training images, and left out if `split`
    is `train` or the images have no labels.

    Args:
        model: Model in evaluation mode.
        data: Images of its run.
        split: `train`, `validation` or `test`.
        seed: Root of the t-SNE map and of the probes' PCA.
        reporter: Shows progress.

    Raises:
        UserError: The codes are entries of a codebook, or there are fewer than two images.
        Failure: An image cannot be read.
    """
    check_continuous_codes(model)
    images: Images = getattr(data, split)
    if len(images) < 2:
        raise UserError(f"--split {split}: {len(images)} images; statistics over images need two")
    with reporter.progress("Encoding", "images") as progress:
        posterior = encode_images(model, images, progress=progress)
    notes: list[str] = []
    if model.classes is not None and model.networks_take_labels:
        notes.append("The encoder is given the class of each image, so that its codes need not hold it.")
    statistics = compute_code_statistics(posterior)
    if statistics.kl is None:
        notes.append("These codes have no prior N(0, 1): their dimensions are ordered by variance.")
    shown = images.select_evenly(MAX_MAP_IMAGES)
    maps = _draw_maps(posterior.mean[shown], seed, reporter, notes)
    probes, probe_images = _fit_probes(model, data, split, posterior, seed, reporter, notes)
    labels = None if images.labels is None or len(images.classes) < 2 else images.labels[shown]
    return Inspection(split, posterior, statistics, maps, labels, images.classes, probes, probe_images, notes)


def _draw_maps(codes: Tensor, seed: int, reporter: Reporter, notes: list[str]) -> tuple[CodeMap, ...]:
    try:
        principal = map_by_pca(codes)
        reporter.note(f"t-SNE of {len(codes):,} codes")
        layout = map_by_tsne(codes, seed)
    except UserError as error:
        notes.append(f"No maps: {error}.")
        return ()
    parts = enumerate(principal.explained.tolist(), start=1)
    first, second = (f"component {number}, {100 * part:.0f} % of the variance" for number, part in parts)
    return (
        CodeMap("pca", "Principal components", principal.coordinates, (first, second), has_unit=True),
        CodeMap("t-sne", "t-SNE", layout, ("first axis, no unit", "second axis, no unit"), has_unit=False),
    )


def _fit_probes(
    model: Autoencoder, data: Data, split: str, posterior: Posterior, seed: int, reporter: Reporter, notes: list[str]
) -> tuple[dict[str, LinearProbe], int]:
    """Return the linear probes and the number of their training images; note the reason where there are none."""
    train, images = data.train, getattr(data, split)
    if split == "train" or train.labels is None or len(train.classes) < 2:
        reason = "training images judge themselves" if split == "train" else "the images have no labels"
        notes.append(f"No linear probe: {reason}.")
        return {}, 0
    chosen = train.select_evenly(MAX_PROBE_IMAGES)
    with reporter.progress("Encoding training images", "images") as progress:
        codes = encode_images(model, train, chosen, progress).mean
    reporter.note(f"Linear probes of {len(chosen):,} training images")
    pixels = [to_float(part[positions]) for part, positions in ((train, chosen), (images, torch.arange(len(images))))]
    try:
        probes = fit_probes(codes, pixels[0], train.labels[chosen], posterior.mean, pixels[1], images.labels, seed)
    except UserError as error:
        notes.append(f"No linear probe: {error}.")
        return {}, 0
    return probes, len(chosen)
