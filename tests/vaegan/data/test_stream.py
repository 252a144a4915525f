"""The training stream is a function of seed and step, whatever the processes, the micro-batches and the cache."""

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

from vaegan.config.data import DataConfig
from vaegan.data import Data, MicroBatch, find_images, iterate_batches, open_data
from vaegan.data.stream import _BatchReader, _draw_step_indices, _iterate_from_device, _Request
from vaegan.errors import Failure
from vaegan.randomness import draw_order

CPU = torch.device("cpu")
WHOLE = slice(0, 12)


def make_config(**settings: object) -> DataConfig:
    return DataConfig.model_validate(
        {"source": "shapes", "count": 50, "image_size": 8, "horizontal_flip": True, **settings}
    )


def collect_steps(
    config: DataConfig,
    batch_slice: slice = WHOLE,
    micro: int | None = None,
    start: int = 0,
    stop: int = 9,
    seed: int = 5,
) -> list[list[MicroBatch]]:
    return list(iterate_batches(open_data(config).train, config, seed, 12, batch_slice, micro, CPU, start, stop))


def join_images(steps: list[list[MicroBatch]]) -> Tensor:
    return torch.stack([torch.cat([micro_batch.images for micro_batch in step]) for step in steps])


def test_each_step_shows_its_positions_of_the_order() -> None:
    config = make_config(horizontal_flip=False)
    images = open_data(config).train
    images_in_order = join_images(collect_steps(config))
    assert images_in_order.dtype == torch.uint8 and images_in_order.shape == (9, 12, 3, 8, 8)
    assert torch.equal(images_in_order.flatten(0, 1), images[draw_order(len(images), 0, 108, 5)])
    assert torch.equal(
        images_in_order.flatten(0, 1)[: len(images)].flatten(1).double().sum(0),
        images[torch.arange(40)].flatten(1).double().sum(0),
    )


@pytest.mark.parametrize("cache", ["memory", "none"])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_the_slices_of_all_ranks_are_the_batch_of_one_process(cache: str, ranks: int) -> None:
    config = make_config(cache=cache, workers=0)
    size = 12 // ranks
    slices = [join_images(collect_steps(config, slice(rank * size, rank * size + size))) for rank in range(ranks)]
    assert torch.equal(torch.cat(slices, dim=1), join_images(collect_steps(config)))


@pytest.mark.parametrize("micro", [1, 3, 5, 12])
def test_micro_batches_are_the_slice_in_order(micro: int) -> None:
    steps = collect_steps(make_config(), slice(0, 12), micro)
    assert [len(batch.images) for batch in steps[0]] == [micro] * (12 // micro) + [12 % micro] * (12 % micro > 0)
    assert torch.equal(join_images(steps), join_images(collect_steps(make_config())))


@pytest.mark.parametrize(
    "cache", [{"cache": "memory"}, {"cache": "none", "workers": 0}, {"cache": "none", "workers": 2}]
)
def test_labels_are_those_of_the_images(cache: dict[str, object]) -> None:
    config = make_config(**cache)
    images = open_data(config).train
    assert images.labels is not None
    for step, batches in enumerate(collect_steps(config, slice(3, 10), micro=3, start=2), start=2):
        assert [tuple(batch.labels.shape) for batch in batches if batch.labels is not None] == [(3,), (3,), (1,)]
        labels = torch.cat([batch.labels for batch in batches if batch.labels is not None])
        assert torch.equal(labels, images.labels[draw_order(len(images), 12 * step, 12 * step + 12, 5)[3:10]])
        assert labels.dtype == torch.int64 and labels.device == CPU


@pytest.mark.parametrize("workers", [0, 2])
def test_a_set_without_labels_has_none(folder: Path, workers: int) -> None:
    config, _ = open_files(folder, workers)
    assert all(batch.labels is None for step in collect_steps(config, micro=5) for batch in step)


@pytest.mark.parametrize("settings", [{"cache": "memory"}, {"cache": "none", "workers": 2}])
@pytest.mark.parametrize("start", [1, 4, 8])
def test_a_resume_sees_the_remaining_steps(settings: dict[str, object], start: int) -> None:
    config = make_config(**settings)
    assert torch.equal(
        join_images(collect_steps(config, start=start)), join_images(collect_steps(make_config()))[start:]
    )


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_decoding_processes_give_the_bits_of_memory(workers: int) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    decoded = join_images(collect_steps(make_config(cache="none", workers=workers)))
    assert torch.equal(decoded, join_images(collect_steps(make_config(cache="memory"))))
    assert torch.equal(torch.get_rng_state(), state)


def test_mirroring_is_half_of_the_images_and_other_seeds_differ() -> None:
    plain, mirrored = (
        join_images(collect_steps(make_config(horizontal_flip=False))),
        join_images(collect_steps(make_config())),
    )
    flipped = (plain.flip(-1) == mirrored).flatten(2).all(-1)
    unchanged = (plain == mirrored).flatten(2).all(-1)
    assert (flipped ^ unchanged).all() and 30 < int(flipped.sum()) < 78
    assert not torch.equal(mirrored, join_images(collect_steps(make_config(), seed=6)))


def test_the_worker_dataset_survives_pickling() -> None:
    images = open_data(make_config(cache="none")).train
    sent = pickle.loads(pickle.dumps(_BatchReader(images, "centre", 8)))
    assert torch.equal(sent[_Request(torch.arange(5), None)], images[torch.arange(5)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(30):
        noise = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number:02}.png")
    return tmp_path


def open_files(folder: Path, workers: int) -> tuple[DataConfig, Data]:
    config = make_config(source="folder", root=folder, count=None, cache="none", workers=workers)
    return config, open_data(config)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_vanishes_during_training_is_named_in_one_line(folder: Path, workers: int) -> None:
    config, data = open_files(folder, workers)
    name = find_images(folder)[int(data.train.indices[draw_order(len(data.train), 12, 13, 5)[0]])]
    (folder / name).unlink()
    steps = iterate_batches(data.train, config, 5, 12, WHOLE, None, CPU, 0, 9)
    next(steps)
    with pytest.raises(Failure, match=f"{name}: no such file") as caught:
        list(steps)
    assert "\n" not in str(caught.value)


def list_children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_decoding_processes_outlive_ctrl_c_and_end_with_the_stream(folder: Path) -> None:
    config, data = open_files(folder, 2)
    before = set(list_children())
    steps: Iterator[list[MicroBatch]] = iterate_batches(data.train, config, 5, 12, WHOLE, None, CPU, 0, 50)
    first = [next(steps)]
    workers = set(list_children()) - before
    assert len(workers) >= 2
    for worker in workers:
        os.kill(worker, signal.SIGINT)
        os.kill(worker, signal.SIGTERM)
    rest = [next(steps) for _ in range(40)]
    assert torch.equal(join_images(first + rest)[:9], join_images(list(iterate_batches(data.train, config.model_copy(
        update={"workers": 0}), 5, 12, WHOLE, None, CPU, 0, 9))))  # fmt: skip
    del steps
    assert not set(list_children()) - before


REFERENCED_AT_EXIT = """
import sys
from test_stream import CPU, WHOLE, Path, iterate_batches, open_files

config, data = open_files(Path(sys.argv[1]), 2)
sys.stream = iterate_batches(data.train, config, 5, 12, WHOLE, None, CPU, 0, 50)
next(sys.stream)
"""


def test_a_stream_that_is_still_referenced_at_exit_delays_nothing(folder: Path) -> None:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[2]), os.environ.get("PYTHONPATH", "")])
    command, environment = [sys.executable, "-c", REFERENCED_AT_EXIT, str(folder)], os.environ | {"PYTHONPATH": paths}
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=60)


def test_a_set_held_on_the_device_gives_the_same_bits() -> None:
    images = open_data(make_config()).train
    step_indices = list(_draw_step_indices(len(images), 5, 12, slice(3, 9), range(2, 6)))
    assert len(step_indices) == 4
    for indices, batch in zip(step_indices, _iterate_from_device(images, iter(step_indices), CPU), strict=True):
        assert torch.equal(batch, images[indices]) and len(batch) == 6
