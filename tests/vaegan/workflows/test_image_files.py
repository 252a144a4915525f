"""Images made in batches, with progress inside a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vaegan.cli.console import Console
from vaegan.data import read_image
from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import build_model
from vaegan.models.autoencoder import Sampler
from vaegan.progress import ProgressCallback
from vaegan.workflows.image_files import BATCH_IMAGES, ImageFile, read_images, read_pixels, run_in_batches

from ...tiny import tiny
from ..data.image_sets import make_image
from ..data.raw_files import make_png


class RecordingConsole(Console):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int]] = []

    @contextmanager
    def progress(self, title: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        yield lambda done, total: self.calls.append((done, total))


def test_images_are_made_in_batches_and_progress_inside_a_batch_counts() -> None:
    inputs, console = torch.linspace(-1, 1, BATCH_IMAGES + 10)[:, None, None, None], RecordingConsole()

    def work_in_quarters(batch: Tensor, progress: ProgressCallback) -> Tensor:
        for part in range(4):
            progress(part + 1, 4)
        return batch

    assert torch.equal(run_in_batches("Drawing", inputs, work_in_quarters, console), to_uint8(inputs))
    total = BATCH_IMAGES + 10
    first = [BATCH_IMAGES * quarter // 4 for quarter in (1, 2, 3, 4, 4)]
    second = [BATCH_IMAGES + count for count in (2, 5, 7, 10, 10)]
    assert console.calls == [(done, total) for done in first + second]


def test_drawing_from_a_pixelcnn_reports_the_rows_of_its_grids() -> None:
    config, rows = tiny("pixelcnn"), []
    model = build_model(config.model, config.data.image_shape, 0)
    images = Sampler(model, 1).draw(0, 3, progress=lambda done, total: rows.append((done, total)))
    assert torch.equal(images, model.sample(3, 1)) and rows == [(1, 2), (2, 2)]


def test_images_are_decoded_by_the_version_of_the_run_and_large_ones_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(33, 16).save(tmp_path / "x.png")
    model = build_model(tiny("ae").model, (1, 8, 8), 0)
    expected = {version: read_image(tmp_path / "x.png", 8, 1, version).copy() for version in (1, 2)}
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    files = [ImageFile(tmp_path / "x.png", tmp_path)]
    images = {version: read_images(files, model, (version, "crop"), Console())[0] for version in (1, 2)}
    for version, got in images.items():
        assert torch.equal(got[0], to_float(torch.from_numpy(expected[version])))
    assert not torch.equal(images[1], images[2])
    assert capsys.readouterr().err == f"{tmp_path / 'x.png'}: 528 pixels, read all the same\n" * 2


def test_an_image_that_lacks_pixels_is_refused_as_in_a_training(tmp_path: Path) -> None:
    half, model = tmp_path / "half.png", build_model(tiny("ae").model, (1, 8, 8), 0)
    half.write_bytes(make_png(np.zeros((8, 16), dtype=np.uint8), 8, 0, missing=8))
    with pytest.raises(UserError, match=r"half\.png: damaged: its pixels end early \(136 of 272 bytes\)"):
        read_images([ImageFile(half)], model, (2, "crop"), Console())
    assert len(read_images([ImageFile(half)], model, (1, "crop"), Console())[0]) == 1
    make_image(33, 16).save(tmp_path / "x.png")
    files, console = [ImageFile(path, tmp_path) for path in (half, tmp_path / "x.png")], RecordingConsole()
    pixels, read = read_pixels(files, model, (2, "crop"), console)
    assert read == files[1:] and console.calls == [(1, 2), (2, 2)]
    assert pixels.dtype == torch.uint8
    assert torch.equal(to_float(pixels), read_images(files, model, (2, "crop"), Console())[0])
