"""Figures of whole sets of images, in the features of a network: Frechet distance, KID, precision and recall."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from vaegan.distributed import all_gather_object

from .accumulate import Sums, concatenate_in_order, make_rows
from .feature_cache import Reference, get_reference_file, load_reference, save_reference
from .feature_extractors import Extractor
from .frechet import MOMENTS, compute_moments, fit_gaussian, frechet
from .kid import MAX_BLOCKS, MAX_FEATURES, MIN_BLOCK_FEATURES, compute_block_values, compute_kid
from .metric import ImagePairs, Metric, MetricResult
from .precision_recall import DENSITY_NEIGHBOUR, PRECISION_NEIGHBOUR, compute_overlap


class FeatureMetrics(Metric):
    """How far reconstructions and samples are from the real images, as sets; the features are made once for all.

    Of the Frechet distance alone only sums are kept; the others need every image's features.

    Args:
        extractor: The network.
        wanted: Which of `frechet`, `compute_kid` and `prdc`.
        images: What the real images are a function of, and their number, for those that are measured again; None:
            they are not.
    """

    uses_samples = True

    def __init__(self, extractor: Extractor, wanted: set[str], images: Mapping[str, Any] | None) -> None:
        self.extractor, self.wanted = extractor, wanted
        self.rows = bool(wanted - {"frechet"})
        self.file = get_reference_file({**images, **extractor.get_protocol(), "rows": self.rows}) if images else None
        self.reference: Reference | None = None
        self.device = torch.device("cpu")

    def prepare(self) -> None:
        """Look for the features of the real images; where one process has none, all make them."""
        found = load_reference(self.file, ("rows",) if self.rows else MOMENTS) if self.file else None
        if all(all_gather_object(found is not None)):
            self.reference = found

    def get_protocol(self) -> dict[str, Any]:
        """The network, and how the figures are made."""
        own = {
            "frechet": {"covariance": "unbiased", "sums": "float64"},
            "kid": {
                "kernel": "(x'y / d + 1)^3",
                "estimate": f"unbiased, all pairs of up to {MAX_FEATURES} features",
                "interval": f"from at most {MAX_BLOCKS} disjoint blocks of at least {MIN_BLOCK_FEATURES}",
            },
            "prdc": {"neighbour": PRECISION_NEIGHBOUR, "neighbour_of_density": DENSITY_NEIGHBOUR},
        }
        return self.extractor.get_protocol() | {name: own[name] for name in sorted(self.wanted)}

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """Of both, or of the reconstructions where the real images are known."""
        self.device = pairs.real.device
        made = {"reconstruction": self.extractor(pairs.reconstruction)}
        if self.reference is None:
            made["real"] = self.extractor(pairs.real)
        return {name: self._of(features, pairs.start) for name, features in made.items()}

    def measure_samples(self, images: Tensor, start: int) -> Sums:
        """Of the samples."""
        return {"sample": self._of(self.extractor(images), start)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Figures named after the network; what needs more images than there are is left out."""
        found = {name: self._put_together(each) for name, each in sums.items()}
        real = self.reference or found.pop("real")
        if self.reference is None and self.file is not None:
            save_reference(self.file, real)
        result = MetricResult({})
        for name, other in found.items():
            figures, scores = self._compare(real, other)
            result.metrics |= {f"{name}/{self.extractor.get_metric_name(key)}": value for key, value in figures.items()}
            result.scores |= {f"{name}/{self.extractor.get_metric_name(key)}": values for key, values in scores.items()}
        return result

    def _of(self, features: Tensor, start: int) -> Sums:
        return {"rows": make_rows(start, features)} if self.rows else compute_moments(features)

    def _put_together(self, sums: Sums) -> Reference:
        return {"rows": concatenate_in_order(sums["rows"])} if self.rows else sums

    def _compare(self, real: Reference, other: Reference) -> tuple[dict[str, float], dict[str, Tensor]]:
        figures: dict[str, float] = {}
        scores: dict[str, Tensor] = {}
        real, other = ({name: values.to(self.device) for name, values in each.items()} for each in (real, other))
        if "frechet" in self.wanted:
            sums = (compute_moments(each["rows"]) if self.rows else each for each in (real, other))
            figures["fd"] = frechet(*(fit_gaussian(each) for each in sums))
        if "kid" in self.wanted and min(len(each["rows"]) for each in (real, other)) > 1:
            figures["kid"] = compute_kid(real["rows"], other["rows"])
            scores["kid"] = compute_block_values(real["rows"], other["rows"])
        if "prdc" in self.wanted and min(len(each["rows"]) for each in (real, other)) > DENSITY_NEIGHBOUR:
            figures |= asdict(compute_overlap(real["rows"], other["rows"]))
        return figures, scores
