"""What the commands that make pictures share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vaegan.console import Console, Update
from vaegan.images import to_uint8
from vaegan.models import build_model
from vaegan.pictures import BATCH, make

from ..tiny import tiny


class Seen(Console):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []

    @contextmanager
    def progress(self, what: str, unit: str, per_step: int = 1) -> Iterator[Update]:
        yield lambda done, total: self.told.append((done, total))


def test_images_are_made_in_batches_and_progress_inside_a_batch_counts() -> None:
    given, console = torch.linspace(-1, 1, BATCH + 10)[:, None, None, None], Seen()

    def slowly(chunk: Tensor, progress: Update) -> Tensor:
        for part in range(4):
            progress(part + 1, 4)
        return chunk

    assert torch.equal(make("Drawing", given, slowly, console), to_uint8(given))
    whole = BATCH + 10
    inside = [BATCH // 4, BATCH // 2, 3 * BATCH // 4, BATCH, BATCH, BATCH + 2, BATCH + 5, BATCH + 7, whole, whole]
    assert console.told == [(done, whole) for done in inside]


def test_drawing_from_a_pixelcnn_tells_of_the_rows_of_its_grids() -> None:
    config, rows = tiny("pixelcnn"), []
    model = build_model(config.model, config.data.image_shape, 0)
    drawn = model.drawn(0, 3, 1, progress=lambda done, total: rows.append((done, total)))
    assert torch.equal(drawn, model.sample(3, 1)) and rows == [(1, 2), (2, 2)]
