"""The training stream: the images of each optimizer step for each process, decoded and copied to its device."""

import atexit
import signal
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat, tee
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vaegan.config.data import Crop, DataConfig
from vaegan.devices import copy_to_device
from vaegan.errors import Failure, UserError
from vaegan.randomness import draw_order, make_generator

from .crops import CROP_NUMBERS
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

    Step k uses the positions k B to (k + 1) B of `randomness.draw_order`. The images of a step, what is cropped of
    them, and which of them are mirrored, are a function of seed and step, whatever the number of processes, the
    micro-batches or the cache.

    Args:
        images: The split to train on.
        config: Its caching, decoding, cropping and mirroring.
        seed: Seed of the order, of the crops and of the mirroring.
        batch_size: B, images of one optimizer step over all processes.
        batch_slice: This process's slice of the global batch.
        micro_batch_size: Images of one forward pass; None: all images of the slice.
        device: Device that the images are copied to.
        start: First step.
        stop: One after the last step.

    Yields:
        The micro-batches of a step, on the device.

    Raises:
        Failure: An image can no longer be read, or a decoding process has died.
        UserError: The set does not fit on the device.
    """
    steps = range(start, stop)
    step_indices, read_indices = tee(_draw_step_indices(len(images), seed, batch_size, batch_slice, steps))
    fits = config.cache == "device" or (config.cache == "auto" and images.nbytes <= MAX_DEVICE_BYTES)
    crops = _draw_crops(seed, batch_size, batch_slice, steps) if config.crop != "centre" else repeat(None)
    requests = map(_Request, read_indices, crops)
    if device.type != "cpu" and images.in_memory and fits and config.crop == "centre":
        batches = _iterate_from_device(images, read_indices, device)
    elif images.in_memory or config.workers == 0:
        reader = _BatchReader(images, config.crop, config.image_size)
        batches = (copy_to_device(reader.read(request), device) for request in requests)
    else:
        reader = _BatchReader(images, config.crop, config.image_size)
        batches = _iterate_from_workers(reader, requests, config.workers, device)
    for step, indices, batch in zip(steps, step_indices, batches, strict=True):
        if config.horizontal_flip:
            mirrored = torch.rand(batch_size, generator=make_generator(seed, "flip", step))[batch_slice] < 0.5
            batch = torch.where(copy_to_device(mirrored, device)[:, None, None, None], batch.flip(-1), batch)
        chunks = batch.split(micro_batch_size or len(batch))
        if images.labels is None:
            yield [MicroBatch(chunk, None) for chunk in chunks]
        else:
            labels = copy_to_device(images.labels[indices], device).split(len(chunks[0]))
            yield list(map(MicroBatch, chunks, labels))


def _draw_step_indices(count: int, seed: int, batch_size: int, batch_slice: slice, steps: range) -> Iterator[Tensor]:
    """Draw the indices of a process's images at each step, int64, shape (length of ``batch_slice``,)."""
    for step in steps:
        yield draw_order(count, step * batch_size, (step + 1) * batch_size, seed)[batch_slice]


def _draw_crops(seed: int, batch_size: int, batch_slice: slice, steps: range) -> Iterator[Tensor]:
    """Draw what the crops of a process are a function of at each step, float64, shape (length, `CROP_NUMBERS`)."""
    for step in steps:
        generator = make_generator(seed, "crop", step)
        yield torch.rand((batch_size, CROP_NUMBERS), generator=generator, dtype=torch.float64)[batch_slice]


def _iterate_from_device(images: Images, step_indices: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    try:
        pixels = images.copy_to(device)
    except torch.OutOfMemoryError as error:
        problem = f"{images.nbytes / 2**30:.1f} GiB of images do not fit on {device}"
        raise UserError(f"data.cache: device: {problem}; use memory or auto") from error
    for indices in step_indices:
        yield pixels.index_select(0, copy_to_device(indices, device))


class _Request(NamedTuple):
    """Indices and crops that a process reads for a step."""

    indices: Tensor
    """Positions of the images, int64, shape (B,)."""
    crops: Tensor | None
    """Numbers that their crops are a function of, float64, shape (B, `CROP_NUMBERS`); None: they are not cropped."""


@dataclass(frozen=True)
class _BatchReader(Dataset[Tensor | Failure]):
    """Images as the decoding processes serve them; a failure is returned like a batch, which spares the traceback."""

    images: Images
    crop: Crop
    size: int

    def read(self, request: _Request) -> Tensor:
        """Return the images of a step, uint8, shape (B, C, S, S)."""
        if request.crops is None:
            return self.images[request.indices]
        return self.images.cut_crops(request.indices, request.crops, self.crop, self.size)

    def __getitem__(self, request: _Request) -> Tensor | Failure:
        try:
            return self.read(request)
        except Failure as failure:
            return failure


def _iterate_from_workers(
    reader: _BatchReader, requests: Iterator[_Request], workers: int, device: torch.device
) -> Iterator[Tensor]:
    """Yield the batches in the order of the steps, decoded ahead by worker processes."""
    with _isolate_signals(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user decides whether to have more processes than cores
        loader = DataLoader(
            reader,
            batch_size=None,
            sampler=requests,
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
                message = f"data.workers: a decoding process died ({reason}); resume, perhaps with 0 of them"
                raise Failure(message) from error
            if isinstance(batch, Failure):
                raise batch
            yield copy_to_device(batch, device)
    finally:
        del batches  # which asks the processes to end, and gives them time
        end()
        atexit.unregister(end)


def _kill(processes: set[BaseProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()


@contextmanager
def _isolate_signals() -> Iterator[None]:
    """Block SIGINT and SIGTERM, also in the processes started inside, and restore the handler of SIGCHLD afterwards.

    Ctrl-C and job schedulers signal every process, but the training process alone decides what to do. The loader's own
    handler of SIGCHLD raises in the middle of a step when a decoding process dies; without it, the loader raises when
    it waits for the next batch. Windows has neither.
    """
    with ExitStack() as stack:
        if hasattr(signal, "pthread_sigmask"):
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, blocked)
        if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
            stack.callback(signal.signal, signal.SIGCHLD, signal.getsignal(signal.SIGCHLD))
        yield
