"""What the commands that make pictures share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vaegan.cli.console import Console
from vaegan.cli.image_files import BATCH_IMAGES, run_in_batches
from vaegan.images import to_uint8
from vaegan.models import build_model
from vaegan.progress import ProgressCallback

from ...tiny import tiny


class Seen(Console):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []

    @contextmanager
    def progress(self, what: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        yield lambda done, total: self.told.append((done, total))


def test_images_are_made_in_batches_and_progress_inside_a_batch_counts() -> None:
    given, console = torch.linspace(-1, 1, BATCH_IMAGES + 10)[:, None, None, None], Seen()

    def slowly(chunk: Tensor, progress: ProgressCallback) -> Tensor:
        for part in range(4):
            progress(part + 1, 4)
        return chunk

    assert torch.equal(run_in_batches("Drawing", given, slowly, console), to_uint8(given))
    whole = BATCH_IMAGES + 10
    inside = [
        BATCH_IMAGES // 4,
        BATCH_IMAGES // 2,
        3 * BATCH_IMAGES // 4,
        BATCH_IMAGES,
        BATCH_IMAGES,
        BATCH_IMAGES + 2,
        BATCH_IMAGES + 5,
        BATCH_IMAGES + 7,
        whole,
        whole,
    ]
    assert console.told == [(done, whole) for done in inside]


def test_drawing_from_a_pixelcnn_tells_of_the_rows_of_its_grids() -> None:
    config, rows = tiny("pixelcnn"), []
    model = build_model(config.model, config.data.image_shape, 0)
    drawn = model.sample_range(0, 3, 1, progress=lambda done, total: rows.append((done, total)))
    assert torch.equal(drawn, model.sample(3, 1)) and rows == [(1, 2), (2, 2)]
