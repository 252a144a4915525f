"""The training stream: the images of each optimizer step for each process, decoded and copied to its device."""

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
"""Largest size of the pixels that `data.cache: auto` holds on an accelerator."""


class MicroBatch(NamedTuple):
    """Images and labels of one forward pass."""

    images: Tensor
    """uint8, shape (N, C, S, S)."""
    labels: Tensor | None
    """Class of each image, int64, shape (N,); None if the set has no labels."""


def iterate_batches(
    images: Images,
    config: DataConfig,
    seed: int,
    batch_size: int,
    batch_slice: slice,
    micro_batch_size: int | None,
    device: torch.device,
    start: int,
    stop: int,
) -> Generator[list[MicroBatch], None, None]:
    """Yield this process's images and labels for each of the optimizer steps ``start`` to ``stop - 1``.

    Step k uses the positions k B to (k + 1) B of `randomness.draw_order`. The images of a step, and which of them are
    mirrored, are a function of seed and step, whatever the number of processes, the micro-batches or the cache.

    Args:
        images: The split to train on.
        config: Its caching, decoding and mirroring.
        seed: Seed of the order and of the mirroring.
        batch_size: B, images of one optimizer step over all processes.
        batch_slice: This process's slice of the global batch.
        micro_batch_size: Images of one forward pass; None: the whole slice.
        device: Device that the images are copied to.
        start: First step.
        stop: One after the last step.

    Yields:
        The micro-batches of a step, on the device.

    Raises:
        Failure: An image can no longer be read, or a decoding process has died.
        UserError: The set does not fit on the device.
    """
    step_indices = _StepIndices(len(images), seed, batch_size, batch_slice, start, stop)
    if _is_kept_on_device(device, images, config):
        batches = _iterate_from_device(images, step_indices, device)
    elif images.in_memory or config.workers == 0:
        batches = (_copy_to_device(images[indices], device) for indices in step_indices)
    else:
        batches = _iterate_from_workers(images, step_indices, config.workers, device)
    for step, indices, batch in zip(range(start, stop), step_indices, batches, strict=True):
        if config.horizontal_flip:
            mirrored = torch.rand(batch_size, generator=make_generator(seed, "flip", step))[batch_slice] < 0.5
            batch = torch.where(mirrored.to(device)[:, None, None, None], batch.flip(-1), batch)
        labels = None if images.labels is None else _copy_to_device(images.labels[indices], device)
        yield _split_into_micro_batches(batch, labels, micro_batch_size or len(batch))


def _split_into_micro_batches(images: Tensor, labels: Tensor | None, size: int) -> list[MicroBatch]:
    chunks = images.split(size)
    label_chunks = [None] * len(chunks) if labels is None else labels.split(size)
    return [MicroBatch(*pair) for pair in zip(chunks, label_chunks, strict=True)]


@dataclass(frozen=True)
class _StepIndices:
    """Indices of a process's images at each step, int64, shape (length of ``batch_slice``,)."""

    count: int
    seed: int
    batch_size: int
    batch_slice: slice
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Tensor]:
        for step in range(self.start, self.stop):
            first = step * self.batch_size
            yield draw_order(self.count, first, first + self.batch_size, self.seed)[self.batch_slice]


def _is_kept_on_device(device: torch.device, images: Images, config: DataConfig) -> bool:
    if device.type == "cpu" or not images.in_memory:
        return False
    return config.cache == "device" or (config.cache == "auto" and images.nbytes <= MAX_DEVICE_BYTES)


def _iterate_from_device(images: Images, step_indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    try:
        pixels = images.copy_to(device)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"data.cache: device: {images.nbytes / 2**30:.1f} GiB of images do not fit on {device}; use memory or auto"
        ) from error
    for indices in step_indices:
        yield pixels[indices.to(device)]


def _copy_to_device(batch: Tensor, device: torch.device) -> Tensor:
    if device.type != "cuda":
        return batch.to(device)
    return (batch if batch.is_pinned() else batch.pin_memory()).to(device, non_blocking=True)


@dataclass(frozen=True)
class _WorkerDataset(Dataset[Tensor | Failure]):
    """Images as the decoding processes serve them; a failure is returned like a batch, to be one line, no traceback."""

    images: Images

    def __getitem__(self, indices: Tensor) -> Tensor | Failure:
        try:
            return self.images[indices]
        except Failure as failure:
            return failure


def _iterate_from_workers(
    images: Images, step_indices: _StepIndices, workers: int, device: torch.device
) -> Iterator[Tensor]:
    """Yield the batches in the order of the steps, decoded ahead by worker processes."""
    with _block_stop_signals(), _restore_sigchld_handler(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user decides whether to have more processes than cores
        loader = DataLoader(
            _WorkerDataset(images),
            batch_size=None,
            sampler=step_indices,
            num_workers=workers,
            prefetch_factor=4,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # without one the loader draws from the global generator
        )
        other_processes = set(active_children())
        batches = iter(loader)
    processes = set(active_children()) - other_processes
    # They block SIGTERM, with which `multiprocessing` would end them at exit, and it would wait for them.
    end = atexit.register(partial(_kill, processes))
    try:
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                raise Failure(
                    f"data.workers: a decoding process died ({reason}); resume, perhaps with 0 of them"
                ) from error
            if isinstance(batch, Failure):
                raise batch
            yield _copy_to_device(batch, device)
    finally:
        del batches  # which asks the processes to end, and gives them time
        end()
        atexit.unregister(end)


def _kill(processes: set[BaseProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()


@contextmanager
def _restore_sigchld_handler() -> Iterator[None]:
    """Restore the handler of SIGCHLD afterwards.

    The loader's own handler raises in the middle of a step when a decoding process dies. Without it, the loader raises
    when it waits for the next batch.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


@contextmanager
def _block_stop_signals() -> Iterator[None]:
    """Block SIGINT and SIGTERM, also in the processes that are started inside, which inherit it.

    Ctrl-C and job schedulers signal every process, but the training process alone decides what to do.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
