"""Detection of planted defects: how often an image with a defect has a larger anomaly score than an untouched one."""

from typing import Any

import torch
from torch import nn

from vaegan.applications.anomaly_scores import LIKELIHOOD_SCORES, POSTERIOR_DRAWS, Judges, compute_anomaly_scores
from vaegan.applications.detection import compute_auc_components
from vaegan.applications.planted_defects import DEFECTS, plant_defects
from vaegan.config.objectives import ELBOConfig
from vaegan.config.section import Section
from vaegan.pretrained import hash_weights

from .metric import Metric, MetricResult, ModelPairs, Sums, concatenate_in_order, make_rows


class PlantedAnomalies(Metric[ModelPairs]):
    """Area under the ROC curve of real images against the same images with one defect each, for several scores.

    Args:
        model_config: The `model` section of the run.
        lpips: Network of LPIPS.
        lpips_name: Name of that network in the key.
        discriminator: Discriminator of the same run; None: there is none.
        seed: Root of the defects.
    """

    def __init__(
        self, model_config: Section, lpips: nn.Module, lpips_name: str, discriminator: nn.Module | None, seed: int
    ) -> None:
        self.seed, self.judges = seed, Judges(lpips=lpips, realness=discriminator)
        self.keys = {"pixels": "pixels", "lpips": f"lpips_{lpips_name}"}
        self.protocol: dict[str, Any] = {"defects": list(DEFECTS), "lpips": hash_weights(lpips)}
        if isinstance(model_config, ELBOConfig) and model_config.likelihood != "bernoulli":
            self.keys |= {name: name for name in LIKELIHOOD_SCORES if name != "iwae"}
            self.protocol |= {"posterior_samples": POSTERIOR_DRAWS, "compressor": "PNG, in elbo_complexity"}
        if discriminator is not None:
            self.keys["realness"] = "realness"

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return the scores of each image as it is and with a defect, a function of the seed and the image's index."""
        planted = plant_defects(pairs.pixels.cpu(), self.seed, pairs.start).images.to(pairs.pixels.device)
        for network in (self.judges.lpips, self.judges.realness):
            if network is not None:
                network.to(pairs.pixels.device)
        if self.judges.realness is not None:
            self.judges.realness.to(pairs.real.dtype)
        both = [
            compute_anomaly_scores(list(self.keys), pairs.model, pixels, self.judges, pairs.labels)
            for pixels in (pairs.pixels, planted)
        ]
        return {name: make_rows(pairs.start, torch.stack([scores[name] for scores in both], 1)) for name in self.keys}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the area of each score, in [0, 1], and what each image adds to it."""
        rows = {f"anomaly/auc_{key}": concatenate_in_order(sums[name]) for name, key in self.keys.items()}
        components = {key: compute_auc_components(*scores.unbind(1)) for key, scores in rows.items()}
        return MetricResult({key: each.mean().item() for key, each in components.items()}, scores=components)
