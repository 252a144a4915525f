"""Metrics of whole sets of images in the features of a network: Frechet distance, KID, precision and recall."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vaegan.distributed import all_gather_object, all_reduce, get_group_rank_and_size
from vaegan.io import get_cache_folder, read_bytes, replace_file, save_tensors

from .dealt_rows import DealtRows, deal_tensor
from .feature_extractors import Extractor
from .frechet import MOMENTS, compute_moments, fit_gaussian, frechet
from .frechet_statistics import write_statistics
from .kid import MAX_BLOCKS, MAX_FEATURES, MIN_BLOCK_FEATURES, compute_block_values, compute_kid
from .metric import ImagePairs, Metric, MetricResult, Sums, describe_too_few, make_rows
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


class FeatureMetrics(Metric[ImagePairs]):
    """Distances of reconstructions and of samples, as sets, from the real images, in features computed once.

    If only the Frechet distance is computed, only sums are kept; the other metrics need every image's features.

    Args:
        extractor: Network of the features.
        names: Metrics to compute, of `frechet`, `kid` and `prdc`.
        real_images: Everything that the real images are a function of, for the cache of their features; None: these are
            computed each time.
        statistics_file: File that mean and covariance of the real images' features are written to; None: they are not.
    """

    uses_samples = True

    def __init__(
        self, extractor: Extractor, names: set[str], real_images: Mapping[str, Any] | None = None,
        statistics_file: Path | None = None,
    ) -> None:  # fmt: skip
        self.extractor, self.names = extractor, names
        self.statistics_file = statistics_file
        self.protocol = extractor.protocol | {name: PROTOCOLS[name] for name in sorted(names)}
        self.keeps_rows = bool(names - {"frechet"})
        inputs = {**(real_images or {}), **extractor.protocol, "rows": self.keeps_rows}
        self.file = get_cache_file(inputs) if real_images else None
        self.real_moments: Sums | None = None
        self.real_rows: DealtRows | None = None
        self.device = torch.device("cpu")

    def prepare(self, device: torch.device) -> None:
        """Load the cached features of the real images; where a process has none, all processes compute them."""
        cached = load_features(self.file, ("rows",) if self.keeps_rows else MOMENTS) if self.file else None
        if not all(all_gather_object(cached is not None)) or cached is None:
            return
        if self.keeps_rows:
            self.real_rows = deal_tensor(cached["rows"])
        else:
            self.real_moments = cached

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """Return the features, or their sums, of reconstructions, and of real images unless these are cached."""
        sums = self.measure_set("reconstruction", pairs.reconstruction, pairs.start)
        if self.real_moments is None and self.real_rows is None:
            sums |= self.measure_set("real", pairs.real, pairs.start)
        return sums

    def measure_set(self, name: str, images: Tensor, start: int) -> Sums:
        """Return the features, or their sums, of the images of a set."""
        self.device, features = images.device, self.extractor(images)
        return {name: {"rows": make_rows(start, features)} if self.keeps_rows else compute_moments(features)}

    def combine(self, sums: Sums) -> Sums:
        """Compare the sets of features, of which no process has all rows; return the comparisons on the main one."""
        if not self.keeps_rows:
            return sums
        device = self._find_device()
        names = sorted(set(chain.from_iterable(all_gather_object(list(sums)))))
        sets = {name: DealtRows(sums.get(name, {"rows": []})["rows"], device) for name in names}
        real = self.real_rows or sets.pop("real")
        real.device = device
        if self.real_rows is None and self.file is not None:
            self._save_rows(self.file, real)
        compared = {name: self._compare(real, other) for name, other in sets.items()}
        return compared if get_group_rank_and_size()[0] == 0 else {}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the metrics, named after the network, and why some are left out."""
        real = self.real_moments
        if not self.keeps_rows and real is None:
            real = sums.pop("real")
            if self.file is not None:
                save_features(self.file, real)
        result = MetricResult({})
        for name, values in sums.items():
            compared = values if real is None else _compare_moments(real, values)
            metrics = dict(compared["metrics"])
            if "moments" in compared:
                metrics["fd"] = frechet(*map(fit_gaussian, compared["moments"]))
                if self.statistics_file is not None:
                    write_statistics(self.statistics_file, compared["moments"][0], self.extractor.protocol)
            result.metrics |= {f"{name}/{self.extractor.get_metric_name(key)}": value for key, value in metrics.items()}
            result.scores |= {
                f"{name}/{self.extractor.get_metric_name(key)}": values for key, values in compared["scores"].items()
            }
            left_out = {
                each: LEAST_IMAGES[each] for each in sorted(self.names) if compared["count"] < LEAST_IMAGES[each]
            }
            result.left_out |= {
                f"{name}/{each}": describe_too_few(compared["count"], least) for each, least in left_out.items()
            }
        return result

    def _find_device(self) -> torch.device:
        """Return the device of this process's features; a process without images takes the others' kind."""
        kinds = set(all_gather_object(self.device.type))
        if self.device.type == "cpu" and "cuda" in kinds:
            return torch.device("cuda", torch.cuda.current_device())
        return self.device

    def _save_rows(self, file: Path, real: DealtRows) -> None:
        """Write all rows from the main process, which alone holds them for this."""
        blocks = []
        for _, block in real.fetch_blocks():
            if get_group_rank_and_size()[0] == 0:
                blocks.append(block.cpu())
        if blocks:
            save_features(file, {"rows": torch.cat(blocks)})

    def _compare(self, real: DealtRows, other: DealtRows) -> dict[str, Any]:
        """Return the number of images, metrics, the scores of KID's blocks, and the moments of both sets."""
        count = min(len(real), len(other))
        names = {name for name in self.names if count >= LEAST_IMAGES[name]}
        compared: dict[str, Any] = {"count": count, "metrics": {}, "scores": {}}
        if "frechet" in names:
            compared["moments"] = [_add_moments(features) for features in (real, other)]
        if "kid" in names:
            compared["metrics"]["kid"] = compute_kid(real, other)
            compared["scores"]["kid"] = compute_block_values(real, other)
        if "prdc" in names:
            compared["metrics"] |= asdict(compute_prdc(real, other))
        return compared


def _compare_moments(real: Sums, other: Sums) -> dict[str, Any]:
    count = min(int(real["count"]), int(other["count"]))
    moments = {"moments": [real, other]} if count >= LEAST_IMAGES["frechet"] else {}
    return {"count": count, "metrics": {}, "scores": {}, **moments}


def _add_moments(features: DealtRows) -> Sums:
    """Return the moments of all rows, on the CPU; each process computes those of its own blocks."""
    totals: Sums = {
        name: value.to(features.device) for name, value in compute_moments(features.fetch(torch.arange(0))).items()
    }
    for _, block in features.deal_blocks():
        for name, value in compute_moments(block).items():
            totals[name] += value.to(features.device)
    return {name: all_reduce(value).cpu() for name, value in totals.items()}


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
