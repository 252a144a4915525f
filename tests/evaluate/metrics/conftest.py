"""Features of two sets of images."""

import pytest
from torch import Tensor

from vaegan.randomness import draw_normal


@pytest.fixture(scope="module")
def features() -> tuple[Tensor, Tensor]:
    """Return real features, and others that overlap with them in part."""
    return draw_normal((300, 12), 0, "real"), 0.8 * draw_normal((260, 12), 0, "other") + 0.3
