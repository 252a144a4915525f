"""The training stream: which images each optimizer step shows to each process, and how they get to its device."""

import atexit
import signal
import threading
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vaegan.config.schema import DataConfig
from vaegan.errors import Failure, UserError
from vaegan.randomness import draw_order, make_generator

from .dataset import Images

MAX_DEVICE_BYTES = 2**30
"""Bytes of pixels that `data.cache: auto` holds on an accelerator."""


class MicroBatch(NamedTuple):
    """What one forward pass sees."""

    images: Tensor
    """uint8, shape (N, C, S, S)."""
    labels: Tensor | None
    """Class of each image, int64, shape (N,); None if the set has no labels."""


def iterate_batches(
    images: Images,
    config: DataConfig,
    seed: int,
    batch_size: int,
    share: slice,
    micro_batch_size: int | None,
    device: torch.device,
    start: int,
    stop: int,
) -> Generator[list[MicroBatch], None, None]:
    """This process's images, and their labels, of the optimizer steps ``start`` to ``stop``.

    Step k shows the positions k B to (k + 1) B of `randomness.draw_order`; which images these are, and which of them
    are mirrored, is a function of the seed and the step, not of the processes, the micro-batches or the cache.

    Args:
        images: The split to train on.
        config: How it is cached, decoded and mirrored.
        seed: Root of the order and of the mirroring.
        batch_size: B, images of one optimizer step over all processes.
        share: The part of the global batch that is this process's.
        micro_batch_size: Images of one forward pass; None: the whole share.
        device: Where the images are wanted.
        start: First step.
        stop: One after the last step.

    Yields:
        For each step the micro-batches, on the device.

    Raises:
        Failure: An image can no longer be read, or a decoding process has died.
        UserError: The set does not fit on the device.
    """
    wanted = _Steps(len(images), seed, batch_size, share, start, stop)
    if _held_on(device, images, config):
        served = _from_device(images, wanted, device)
    elif images.in_memory or config.workers == 0:
        served = (_moved(images[indices], device) for indices in wanted)
    else:
        served = _from_workers(images, wanted, config.workers, device)
    for step, indices, batch in zip(range(start, stop), wanted, served, strict=True):
        if config.horizontal_flip:
            mirrored = torch.rand(batch_size, generator=make_generator(seed, "flip", step))[share] < 0.5
            batch = torch.where(mirrored.to(device)[:, None, None, None], batch.flip(-1), batch)
        labels = None if images.labels is None else _moved(images.labels[indices], device)
        yield _split(batch, labels, micro_batch_size or len(batch))


def _split(images: Tensor, labels: Tensor | None, size: int) -> list[MicroBatch]:
    parts = images.split(size)
    kinds = [None] * len(parts) if labels is None else labels.split(size)
    return [MicroBatch(*pair) for pair in zip(parts, kinds, strict=True)]


@dataclass(frozen=True)
class _Steps:
    """The images that a process wants at each step, int64, shape (len(share),)."""

    count: int
    seed: int
    batch_size: int
    share: slice
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Tensor]:
        for step in range(self.start, self.stop):
            first = step * self.batch_size
            yield draw_order(self.count, first, first + self.batch_size, self.seed)[self.share]


def _held_on(device: torch.device, images: Images, config: DataConfig) -> bool:
    if device.type == "cpu" or not images.in_memory:
        return False
    return config.cache == "device" or (config.cache == "auto" and images.nbytes <= MAX_DEVICE_BYTES)


def _from_device(images: Images, wanted: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    try:
        pixels = images.on(device)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"data.cache: device: {images.nbytes / 2**30:.1f} GiB of images do not fit on {device}; use memory or auto"
        ) from error
    for indices in wanted:
        yield pixels[indices.to(device)]


def _moved(batch: Tensor, device: torch.device) -> Tensor:
    if device.type != "cuda":
        return batch.to(device)
    return (batch if batch.is_pinned() else batch.pin_memory()).to(device, non_blocking=True)


@dataclass(frozen=True)
class _Decoding(Dataset[Tensor | Failure]):
    """What runs in the decoding processes; a failure is handed over like a batch, to be one line and no traceback."""

    images: Images

    def __getitem__(self, indices: Tensor) -> Tensor | Failure:
        try:
            return self.images[indices]
        except Failure as failure:
            return failure


def _from_workers(images: Images, wanted: _Steps, workers: int, device: torch.device) -> Iterator[Tensor]:
    """Decode ahead in processes, in the order of the steps."""
    with _signals_held(), _deaths_unannounced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # more processes than cores is for the user to judge
        loader = DataLoader(
            _Decoding(images),
            batch_size=None,
            sampler=wanted,
            num_workers=workers,
            prefetch_factor=4,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # the loader would draw from the global one
        )
        others = set(active_children())
        results = iter(loader)
    processes = set(active_children()) - others
    # They hold back the SIGTERM by which `multiprocessing` would end them with this process, and wait for that.
    end = atexit.register(partial(_kill, processes))
    try:
        while True:
            try:
                batch = next(results)
            except StopIteration:
                return
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                raise Failure(
                    f"data.workers: a decoding process died ({reason}); resume, perhaps with 0 of them"
                ) from error
            if isinstance(batch, Failure):
                raise batch
            yield _moved(batch, device)
    finally:
        del results  # which asks them to end, and gives them time
        end()
        atexit.unregister(end)


def _kill(processes: set[BaseProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()


@contextmanager
def _deaths_unannounced() -> Iterator[None]:
    """Keep the loader from raising in the middle of a step when a decoding process dies; it sees it when it waits."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM, which what is started inside then never sees.

    Ctrl-C and job schedulers signal every process; what to do about it is decided by the one that trains.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
