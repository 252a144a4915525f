"""The training stream is a function of the seed and the step, not of who asks and how the images are kept."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vaegan.config.schema import DataConfig
from vaegan.data import Data, MicroBatch, find_images, iterate_batches, open_data
from vaegan.data.stream import _Decoding, _from_device, _Steps
from vaegan.errors import Failure
from vaegan.randomness import draw_order

CPU = torch.device("cpu")
WHOLE = slice(0, 12)


def config(**settings: object) -> DataConfig:
    return DataConfig.model_validate(
        {"source": "shapes", "count": 50, "image_size": 8, "horizontal_flip": True, **settings}
    )


def stream(
    data: DataConfig, share: slice = WHOLE, micro: int | None = None, start: int = 0, stop: int = 9, seed: int = 5
) -> list[list[MicroBatch]]:
    return list(iterate_batches(open_data(data).train, data, seed, 12, share, micro, CPU, start, stop))


def joined(steps: list[list[MicroBatch]]) -> Tensor:
    return torch.stack([torch.cat([part.images for part in step]) for step in steps])


def test_each_step_shows_its_positions_of_the_order() -> None:
    data = config(horizontal_flip=False)
    images = open_data(data).train
    shown = joined(stream(data))
    assert shown.dtype == torch.uint8 and shown.shape == (9, 12, 3, 8, 8)
    assert torch.equal(shown.flatten(0, 1), images[draw_order(len(images), 0, 108, 5)])
    assert torch.equal(
        shown.flatten(0, 1)[: len(images)].flatten(1).double().sum(0),
        images[torch.arange(40)].flatten(1).double().sum(0),
    )


@pytest.mark.parametrize("cache", ["memory", "none"])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_the_shares_of_all_ranks_are_the_batch_of_one(cache: str, ranks: int) -> None:
    data = config(cache=cache, workers=0)
    size = 12 // ranks
    shares = [joined(stream(data, slice(rank * size, rank * size + size))) for rank in range(ranks)]
    assert torch.equal(torch.cat(shares, dim=1), joined(stream(data)))


@pytest.mark.parametrize("micro", [1, 3, 5, 12])
def test_micro_batches_are_the_share_in_order(micro: int) -> None:
    steps = stream(config(), slice(0, 12), micro)
    assert [len(part.images) for part in steps[0]] == [micro] * (12 // micro) + [12 % micro] * (12 % micro > 0)
    assert torch.equal(joined(steps), joined(stream(config())))


@pytest.mark.parametrize(
    "cache", [{"cache": "memory"}, {"cache": "none", "workers": 0}, {"cache": "none", "workers": 2}]
)
def test_labels_are_those_of_the_images(cache: dict[str, object]) -> None:
    data = config(**cache)
    images = open_data(data).train
    assert images.labels is not None
    for step, parts in enumerate(stream(data, slice(3, 10), micro=3, start=2), start=2):
        assert [tuple(part.labels.shape) for part in parts if part.labels is not None] == [(3,), (3,), (1,)]
        labels = torch.cat([part.labels for part in parts if part.labels is not None])
        assert torch.equal(labels, images.labels[draw_order(len(images), 12 * step, 12 * step + 12, 5)[3:10]])
        assert labels.dtype == torch.int64 and labels.device == CPU


@pytest.mark.parametrize("workers", [0, 2])
def test_a_set_without_labels_has_none(folder: Path, workers: int) -> None:
    data, _ = files(folder, workers)
    assert all(part.labels is None for step in stream(data, micro=5) for part in step)


@pytest.mark.parametrize("settings", [{"cache": "memory"}, {"cache": "none", "workers": 2}])
@pytest.mark.parametrize("start", [1, 4, 8])
def test_a_resume_sees_what_was_still_to_come(settings: dict[str, object], start: int) -> None:
    data = config(**settings)
    assert torch.equal(joined(stream(data, start=start)), joined(stream(config()))[start:])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_decoding_processes_give_the_bits_of_memory(workers: int) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    decoded = joined(stream(config(cache="none", workers=workers)))
    assert torch.equal(decoded, joined(stream(config(cache="memory"))))
    assert torch.equal(torch.get_rng_state(), state)


def test_mirroring_is_half_of_the_images_and_other_seeds_differ() -> None:
    plain, mirrored = joined(stream(config(horizontal_flip=False))), joined(stream(config()))
    flipped = (plain.flip(-1) == mirrored).flatten(2).all(-1)
    kept = (plain == mirrored).flatten(2).all(-1)
    assert (flipped ^ kept).all() and 30 < int(flipped.sum()) < 78
    assert not torch.equal(mirrored, joined(stream(config(), seed=6)))


def test_what_is_sent_to_decoding_processes_survives_being_sent() -> None:
    images = open_data(config(cache="none")).train
    sent = pickle.loads(pickle.dumps(_Decoding(images)))
    assert torch.equal(sent[torch.arange(5)], images[torch.arange(5)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(30):
        noise = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number:02}.png")
    return tmp_path


def files(folder: Path, workers: int) -> tuple[DataConfig, Data]:
    data = config(source="folder", root=folder, count=None, cache="none", workers=workers)
    return data, open_data(data)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_vanishes_during_training_is_named_in_one_line(folder: Path, workers: int) -> None:
    data, opened = files(folder, workers)
    name = find_images(folder)[int(opened.train.part[draw_order(len(opened.train), 12, 13, 5)[0]])]
    (folder / name).unlink()
    steps = iterate_batches(opened.train, data, 5, 12, WHOLE, None, CPU, 0, 9)
    next(steps)
    with pytest.raises(Failure, match=f"{name}: no such file") as caught:
        list(steps)
    assert "\n" not in str(caught.value)


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_decoding_processes_outlive_ctrl_c_and_end_with_the_stream(folder: Path) -> None:
    data, opened = files(folder, 2)
    before = set(children())
    steps: Iterator[list[MicroBatch]] = iterate_batches(opened.train, data, 5, 12, WHOLE, None, CPU, 0, 50)
    first = [next(steps)]
    workers = set(children()) - before
    assert len(workers) >= 2
    for worker in workers:
        os.kill(worker, signal.SIGINT)
        os.kill(worker, signal.SIGTERM)
    rest = [next(steps) for _ in range(40)]
    assert torch.equal(joined(first + rest)[:9], joined(list(iterate_batches(opened.train, data.model_copy(
        update={"workers": 0}), 5, 12, WHOLE, None, CPU, 0, 9))))  # fmt: skip
    del steps
    assert not set(children()) - before


KEPT_TO_THE_END = """
import sys
from test_stream import CPU, WHOLE, Path, files, iterate_batches

data, opened = files(Path(sys.argv[1]), 2)
sys.kept = iterate_batches(opened.train, data, 5, 12, WHOLE, None, CPU, 0, 50)
next(sys.kept)
"""


def test_a_stream_that_is_still_held_at_exit_holds_nobody_up(folder: Path) -> None:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[2]), os.environ.get("PYTHONPATH", "")])
    command, environment = [sys.executable, "-c", KEPT_TO_THE_END, str(folder)], os.environ | {"PYTHONPATH": paths}
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=60)


def test_a_set_held_on_the_device_gives_the_same_bits() -> None:
    images = open_data(config()).train
    wanted = _Steps(len(images), 5, 12, slice(3, 9), 2, 6)
    assert len(wanted) == 4
    for indices, batch in zip(wanted, _from_device(images, wanted, CPU), strict=True):
        assert torch.equal(batch, images[indices]) and len(batch) == 6
