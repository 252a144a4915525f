"""Arrays of samples as evaluators of other packages take them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vaegan.cli.array_files import write_samples
from vaegan.cli.console import Console


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_written_in_colour_with_the_channels_last(channels: int, tmp_path: Path) -> None:
    images = torch.randint(0, 256, (4, channels, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    write_samples(images, tmp_path / "new" / "a.npz", Console())
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as archive:
        assert archive.files == ["arr_0"] and archive["arr_0"].dtype == np.uint8
        assert np.array_equal(archive["arr_0"], images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy())
