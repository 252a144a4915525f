"""Calibration of anomaly scores on held-out normal images: p-values, and a threshold at a rate of false alarms."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.errors import UserError


@dataclass(frozen=True, eq=False)
class ConformalDetector:
    """Conformal anomaly detection by the scores of normal images that the model was not trained on."""

    scores: Tensor
    """Ascending, float64, shape (n,)."""

    def compute_p_values(self, scores: Tensor) -> Tensor:
        """Compute the conformal p-value (1 + #{normal scores >= s}) / (n + 1) of each score s, float64, shape (N,).

        Of an image that is exchangeable with the n normal ones, P(p <= a) is at most a (Vovk et al. 2005, proposition
        2.8; Bates et al. 2023, eq. 2).

        Args:
            scores: Of the same kind as the normal ones, shape (N,).
        """
        count = len(self.scores)
        below = torch.searchsorted(self.scores, scores.double().contiguous())
        return (1 + count - below).double() / (count + 1)

    def compute_threshold(self, false_alarms: float) -> float:
        """Return the score above which the p-value of an image is at most a rate.

        Args:
            false_alarms: Rate a, between 0 and 1.

        Raises:
            UserError: There are fewer than 1/a - 1 normal images, so that no p-value is so small.
        """
        count = len(self.scores)
        above = math.floor(false_alarms * (count + 1) + 1e-9) - 1
        if above < 0:
            least = math.ceil(1 / false_alarms - 1e-9) - 1
            raise UserError(f"a rate of false alarms of {false_alarms:g} needs {least:,} normal images, not {count:,}")
        return self.scores[count - 1 - above].item() if above < count else -math.inf


def fit_conformal_detector(scores: Tensor) -> ConformalDetector:
    """Return the detector that is calibrated by the scores of normal images, of any order, shape (n,).

    Raises:
        UserError: There is none.
    """
    if not len(scores):
        raise UserError("no normal image to calibrate on; hold some out by data.validation")
    return ConformalDetector(scores.double().sort().values)
