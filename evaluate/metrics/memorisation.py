"""Memorisation: whether samples lie nearer to the training images than held-out images do."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vaegan.applications.detection import compute_fraction_above
from vaegan.data import Images
from vaegan.distributed import all_gather_object
from vaegan.images import lay_on_white
from vaegan.nearest_images import MAX_COMPARED_IMAGES, compute_features_of_images, find_nearest_distances_and_indices

from .feature_extractors import Extractor
from .feature_metrics import get_cache_file, load_features, save_features
from .metric import Metric, MetricResult, ModelPairs, Sums, concatenate_in_order, make_rows

PIXELS, FEATURES = "pixels", "features"
"""Names of the two spaces."""
NEAREST = "nearest"
"""Beginning of the keys of the scores that hold the distance of each sample from its nearest training image and the
index of that image among those that are compared, shape (N, 2)."""
MAX_SIDE_PIXELS = 32
"""Side to which larger images are averaged before their pixels are compared."""
COPY_QUANTILE = 0.01
"""Share of the held-out images that are as near to a training image as a sample that counts as a copy."""


class Memorisation(Metric[ModelPairs]):
    """Distance of samples from their nearest training image, beside that of the held-out images, in two spaces.

    `nearer` is the probability that a sample is nearer to its nearest training image than a held-out image is to its
    own, ties counted by half: the statistic of Meehan et al. 2020, section 3, which is 0.5 for samples of the images'
    own distribution. `copies` is the share of the samples that are nearer than all but `COPY_QUANTILE` of the held-out
    images.

    Args:
        extractor: Network of the features.
        training: Training images; None: the evaluated images are the training images, so that none are held out.
        batch_size: Images of one forward pass.
        real_images: Everything that the held-out images are a function of, for the cache of the training images'
            features; None: these are computed each time.
        mirrored: Whether the model has been trained on mirrored images too, so that the mirror image of each sample and
            held-out image is searched for as well.
    """

    uses_samples = True

    def __init__(
        self, extractor: Extractor, training: Images | None, batch_size: int, real_images: Mapping[str, Any] | None,
        mirrored: bool = False,
    ) -> None:  # fmt: skip
        self.extractor, self.training, self.batch_size, self.mirrored = extractor, training, batch_size, mirrored
        count = min(MAX_COMPARED_IMAGES, 0 if training is None else len(training))
        self.protocol: dict[str, Any] = {
            "training_images": count, "mirrored": mirrored, "distance": "Euclidean",
            "side_of_pixels": f"at most {MAX_SIDE_PIXELS}, by means",
            "copies": f"nearer than the quantile {COPY_QUANTILE:g} of held-out images", "features": extractor.protocol,
        }  # fmt: skip
        inputs = {**(real_images or {}), **extractor.protocol, "training_images": count}
        self.file = get_cache_file(inputs) if real_images and training is not None else None
        self.references: dict[str, Tensor] = {}

    def prepare(self, device: torch.device) -> None:
        """Compute the pixels and the features of the training images, or load them from the cache."""
        if self.training is None:
            return
        positions = self.training.select_evenly(MAX_COMPARED_IMAGES)
        cached = load_features(self.file, tuple(self._spaces)) if self.file else None
        if all(all_gather_object(cached is not None)) and cached is not None:
            self.references = cached
        else:
            for name, compute in self._spaces.items():
                self.references[name] = compute_features_of_images(
                    compute, self.training, positions, device, self.batch_size
                )
            if self.file is not None:
                save_features(self.file, self.references)
        self.references = {name: rows.to(device) for name, rows in self.references.items()}

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the distances of the held-out images."""
        return self._measure("held out", pairs.real, pairs.start)

    def measure_set(self, name: str, images: Tensor, start: int) -> Sums:
        """Return the distances of samples, and the index of each one's nearest training image."""
        return self._measure(name, images, start)

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return both metrics in both spaces, and the pairs of each sample and its nearest training image."""
        result = MetricResult({})
        if self.training is None or "sample" not in sums:
            reason = "the evaluated images are the training images" if self.training is None else "no samples"
            result.left_out["memorisation"] = reason
            return result
        for name in self._spaces:
            held_out, samples = (concatenate_in_order(sums[each][name]) for each in ("held out", "sample"))
            nearer = compute_fraction_above(held_out[:, 0], samples[:, 0])
            copies = (samples[:, 0] < held_out[:, 0].quantile(COPY_QUANTILE)).double()
            for metric, values in (("nearer", nearer), ("copies", copies)):
                key = f"{metric}_in_{PIXELS}" if name == PIXELS else self.extractor.get_metric_name(metric)
                result.metrics[f"memorisation/{key}"] = values.mean().item()
                result.scores[f"memorisation/{key}"] = values
            result.scores[f"{NEAREST}/{name}"] = samples
        return result

    @property
    def _spaces(self) -> dict[str, Any]:
        return {PIXELS: _get_pixels, FEATURES: self.extractor}

    def _measure(self, name: str, images: Tensor, start: int) -> Sums:
        if self.training is None:
            return {}
        views = [images, images.flip(-1)] if self.mirrored else [images]
        found = {}
        for space, compute in self._spaces.items():
            references = self.references[space].to(images.device)
            pairs = [find_nearest_distances_and_indices(compute(view), references) for view in views]
            distances, indices = (torch.stack(values) for values in zip(*pairs, strict=True))
            nearest = distances.min(0)
            rows = [nearest.values, indices.gather(0, nearest.indices[None])[0].double()]
            found[space] = make_rows(start, torch.stack(rows, 1))
        return {name: found}


def _get_pixels(images: Tensor) -> Tensor:
    """Return the pixels of images (N, C, S, S), averaged to at most `MAX_SIDE_PIXELS`, float32, shape (N, d)."""
    seen = lay_on_white(images).float()
    if seen.shape[-1] > MAX_SIDE_PIXELS:
        seen = adaptive_avg_pool2d(seen, MAX_SIDE_PIXELS)
    return seen.flatten(1)
