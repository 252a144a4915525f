"""Metrics of whole sets of images in the features of a network: Frechet distance, KID, precision and recall."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vaegan.distributed import all_gather_object
from vaegan.io import get_cache_folder, read_bytes, replace_file, save_tensors

from .feature_extractors import Extractor
from .frechet import MOMENTS, compute_moments, fit_gaussian, frechet
from .kid import MAX_BLOCKS, MAX_FEATURES, MIN_BLOCK_FEATURES, compute_block_values, compute_kid
from .metric import ImagePairs, Metric, MetricResult, Sums, concatenate_in_order, describe_too_few, make_rows
from .precision_recall import DENSITY_NEIGHBOUR, PRECISION_NEIGHBOUR, compute_prdc

MAX_CACHE_FILE_BYTES = 2**34
"""Largest size of a cached file that is read."""

FeatureSet = dict[str, Tensor]
"""Features of a set of images by name: their `rows`, or the sums of `frechet.compute_moments`."""

PROTOCOLS = {
    "frechet": {"covariance": "unbiased", "sums": "float64"},
    "kid": {
        "kernel": "(x'y / d + 1)^3",
        "estimate": f"unbiased, all pairs of up to {MAX_FEATURES} features",
        "interval": f"from at most {MAX_BLOCKS} disjoint blocks of at least {MIN_BLOCK_FEATURES}",
    },
    "prdc": {"neighbour": PRECISION_NEIGHBOUR, "neighbour_of_density": DENSITY_NEIGHBOUR},
}
"""Protocol of each metric of sets of images, in addition to that of the network."""
LEAST_IMAGES = {"frechet": 2, "kid": 2, "prdc": DENSITY_NEIGHBOUR + 1}
"""Fewest images of either set: a covariance and pairs take two, the k-th neighbour k others."""


class FeatureMetrics(Metric):
    """Distances of reconstructions and of samples, as sets, from the real images, in features computed once.

    Of the Frechet distance alone only sums are kept; the others need every image's features.

    Args:
        extractor: Network of the features.
        names: Metrics to compute, of `frechet`, `kid` and `prdc`.
        real_images: Everything that the real images are a function of, for the cache of their features; None: these are
            computed each time.
    """

    uses_samples = True

    def __init__(self, extractor: Extractor, names: set[str], real_images: Mapping[str, Any] | None) -> None:
        self.extractor, self.names = extractor, names
        self.protocol = extractor.protocol | {name: PROTOCOLS[name] for name in sorted(names)}
        self.keeps_rows = bool(names - {"frechet"})
        inputs = {**(real_images or {}), **extractor.protocol, "rows": self.keeps_rows}
        self.file = get_cache_file(inputs) if real_images else None
        self.real_features: FeatureSet | None = None
        self.device = torch.device("cpu")

    def prepare(self) -> None:
        """Load the cached features of the real images; where a process has none, all processes compute them."""
        cached = load_features(self.file, ("rows",) if self.keeps_rows else MOMENTS) if self.file else None
        if all(all_gather_object(cached is not None)):
            self.real_features = cached

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """Return the features, or their sums, of reconstructions, and of real images unless these are cached."""
        self.device = pairs.real.device
        features = {"reconstruction": self.extractor(pairs.reconstruction)}
        if self.real_features is None:
            features["real"] = self.extractor(pairs.real)
        return {name: self._make_sums(values, pairs.start) for name, values in features.items()}

    def measure_samples(self, images: Tensor, start: int) -> Sums:
        """Return the features, or their sums, of samples."""
        return {"sample": self._make_sums(self.extractor(images), start)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the metrics, named after the network, and why some are left out."""
        sets = {name: self._make_feature_set(values) for name, values in sums.items()}
        real = self.real_features or sets.pop("real")
        if self.real_features is None and self.file is not None:
            save_features(self.file, real)
        result = MetricResult({})
        for name, other in sets.items():
            metrics, scores, left_out = self._compare(real, other)
            result.metrics |= {f"{name}/{self.extractor.get_metric_name(key)}": value for key, value in metrics.items()}
            result.scores |= {f"{name}/{self.extractor.get_metric_name(key)}": values for key, values in scores.items()}
            result.left_out |= {f"{name}/{key}": reason for key, reason in left_out.items()}
        return result

    def _make_sums(self, features: Tensor, start: int) -> Sums:
        return {"rows": make_rows(start, features)} if self.keeps_rows else compute_moments(features)

    def _make_feature_set(self, sums: Sums) -> FeatureSet:
        return {"rows": concatenate_in_order(sums["rows"])} if self.keeps_rows else sums

    def _compare(
        self, real: FeatureSet, other: FeatureSet
    ) -> tuple[dict[str, float], dict[str, Tensor], dict[str, str]]:
        """Return the metrics, the scores of KID's blocks, and why metrics are left out."""
        metrics: dict[str, float] = {}
        scores: dict[str, Tensor] = {}
        sets = [{name: values.to(self.device) for name, values in features.items()} for features in (real, other)]
        rows = [features["rows"] for features in sets] if self.keeps_rows else []
        count = min(map(_count_images, sets))
        names = {name for name in self.names if count >= LEAST_IMAGES[name]}
        if "frechet" in names:
            moments = [compute_moments(features) for features in rows] or sets
            metrics["fd"] = frechet(*map(fit_gaussian, moments))
        if "kid" in names:
            metrics["kid"] = compute_kid(*rows)
            scores["kid"] = compute_block_values(*rows)
        if "prdc" in names:
            metrics |= asdict(compute_prdc(*rows))
        left_out = {name: describe_too_few(count, LEAST_IMAGES[name]) for name in sorted(self.names - names)}
        return metrics, scores, left_out


def _count_images(features: FeatureSet) -> int:
    return len(features["rows"]) if "rows" in features else int(features["count"])


def get_cache_file(inputs: Mapping[str, Any]) -> Path | None:
    """Return the cached file of the features of real images; None: there is no folder for it.

    Args:
        inputs: Everything that the features are a function of.
    """
    name = sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    cache = get_cache_folder()
    return None if cache is None else cache / "features" / f"{name}.safetensors"


def load_features(file: Path, names: Sequence[str]) -> FeatureSet | None:
    """Return the tensors that `save_features` wrote; None: the file is missing or damaged."""
    try:
        features = load(read_bytes(file, MAX_CACHE_FILE_BYTES))
    except (OSError, SafetensorError):
        return None
    valid = all(values.is_floating_point() and bool(values.isfinite().all()) for values in features.values())
    return features if valid and features.keys() == set(names) else None


def save_features(file: Path, features: FeatureSet) -> None:
    """Write features for later evaluations, which compute them again if the file cannot be written.

    A process that is killed while it writes leaves a file of its own, with its process number behind the name, which
    nothing reads; it may be deleted.
    """
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file, f".{os.getpid()}") as partial:  # other processes may write the same file
            save_tensors(features, partial)
