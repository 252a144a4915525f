from pathlib import Path

import pytest
import torch

from vaegan.data import open_data
from vaegan.images import draw_image_grid, draw_pairs, to_float
from vaegan.models import build_model
from vaegan.trainers.log.grids import are_written, draw_grids, select_fixed_images, write_grids

from ...tiny import tiny


@pytest.mark.parametrize(("name", "expected"), [("ae", ["reconstruction"]), ("vae", ["reconstruction", "sample"])])
def test_grids_show_the_fixed_images_and_samples_of_the_seed(name: str, expected: list[str], tmp_path: Path) -> None:
    config = tiny(name)
    images, indices = select_fixed_images(open_data(config.data))
    model, real = build_model(config.model, (1, 8, 8), 0).eval(), images[indices]
    grids = draw_grids(model, real, None, seed=2)
    assert list(grids) == expected
    with torch.no_grad():
        assert grids["reconstruction"].tobytes() == draw_pairs(real, model.reconstruct(to_float(real))).tobytes()
        if "sample" in grids:
            assert grids["sample"].tobytes() == draw_image_grid(model.sample(32, 2), columns=8).tobytes()

    assert not are_written(tmp_path, 7, model)
    for count in range(1, len(expected) + 1):
        write_grids({grid: grids[grid] for grid in expected[:count]}, tmp_path, 7)
        assert are_written(tmp_path, 7, model) == (count == len(expected))
    assert {path.name for path in tmp_path.iterdir()} == {f"step_00000007_{grid}.png" for grid in expected}
