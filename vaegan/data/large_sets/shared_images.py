"""Decoded images that the processes of a machine share: one of them decodes, and the others map its memory."""

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vaegan.data.dataset import UInt8Image
from vaegan.data.image_file import UnreadableImageError
from vaegan.data.reading import Allocate, ReadImages, allocate_here
from vaegan.distributed import all_gather_object, count_cpu_cores, get_group_rank_and_size

CAN_SHARE = hasattr(os, "memfd_create")
"""True on Linux, where memory without a name in any file system is freed when the last process that maps it ends."""
PROCESSES = "/proc"
"""Folder in which Linux shows what other processes of the same user hold open."""


class Handle(NamedTuple):
    """Memory of another process of this machine."""

    file: str
    """Path by which it can be opened as long as that process holds it open."""
    inode: int
    """Number that tells it from what another process has under that path."""
    size: int
    """Its bytes."""
    pixels: int
    """Bytes of the pixels, behind which is what else is known of the images, as JSON."""


class SharedImages:
    """Decoded images in memory that the processes of a machine share; all processes make one together.

    It is used in a ``with`` block. The decoding processes call `read`, all call `exchange`, and then the others call
    `read`, which decodes nothing. Nothing is left behind however a process ends, since the memory has no name.

    Attributes:
        decodes: Whether this process is the one on its machine that decodes.
        threads: Number of threads that decode fastest here.
    """

    def __init__(self) -> None:
        rank, mine = get_group_rank_and_size()[0], list_ranks_of_machine()
        self._decoder, self._is_alone = mine[0], len(mine) == 1
        self.decodes = rank == mine[0] or not CAN_SHARE
        self.threads = count_cpu_cores() if self.decodes and CAN_SHARE else max(1, count_cpu_cores() // len(mine))
        self._descriptor = -1
        self._handle: Handle | None = None

    def __enter__(self) -> "SharedImages":
        return self

    def __exit__(self, *error: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)  # what is mapped stays

    def read(self, decode: Callable[[Allocate], ReadImages]) -> ReadImages:
        """Return the images that another process of this machine has decoded, or decode them if none has.

        Args:
            decode: Decodes them into the array of a shape that its argument returns.
        """
        if self._handle is not None and (read := _map(self._handle)) is not None:
            return read
        if not (self.decodes and CAN_SHARE) or self._is_alone:
            return decode(allocate_here)
        read = decode(self._allocate)
        self._describe(read)
        return read

    def exchange(self) -> None:
        """Tell the other processes where the decoded images are; all processes do this together."""
        self._handle = all_gather_object(self._handle)[self._decoder]

    def _allocate(self, shape: tuple[int, ...]) -> UInt8Image:
        """Return uint8 pixels of zeros in memory that other processes can map, or in this process's own."""
        size = int(np.prod(shape))
        with suppress(OSError):
            self._descriptor = os.memfd_create("vaegan-images")
            os.truncate(self._descriptor, size)
            return np.frombuffer(mmap(self._descriptor, size), dtype=np.uint8).reshape(shape)
        return allocate_here(shape)

    def _describe(self, read: ReadImages) -> None:
        """Write what is known of the images behind their pixels, and how others open both."""
        if self._descriptor < 0 or not isinstance(read.store, torch.Tensor):
            return
        rows = {
            "shape": read.store.shape, "digests": list(read.digests), "contents": [one.hex() for one in read.contents],
            "broken": [[index, error.file, error.reason] for index, error in read.broken.items()],
        }  # fmt: skip
        with suppress(OSError), os.fdopen(os.dup(self._descriptor), "r+b") as file:
            file.seek(read.store.nbytes)
            file.write(json.dumps(rows).encode())
            file.flush()
            status = os.fstat(self._descriptor)
            path = f"{PROCESSES}/{os.getpid()}/fd/{self._descriptor}"
            self._handle = Handle(path, status.st_ino, status.st_size, read.store.nbytes)


def _map(handle: Handle) -> ReadImages | None:
    """Return the images that another process has decoded, mapped into memory; None: they cannot be opened here."""
    try:
        with open(handle.file, "rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_ino, status.st_size) != (handle.inode, handle.size):
                return None
            content = np.frombuffer(mmap(file.fileno(), handle.size, access=ACCESS_COPY), dtype=np.uint8)
    except OSError:
        return None
    rows = json.loads(content[handle.pixels :].tobytes())
    store = torch.from_numpy(content[: handle.pixels]).view(rows["shape"])
    broken = {index: UnreadableImageError(file, reason) for index, file, reason in rows["broken"]}
    return ReadImages(store, broken, tuple(rows["digests"]), tuple(map(bytes.fromhex, rows["contents"])))


def list_ranks_of_machine() -> list[int]:
    """Return the ranks of the processes on this machine, ascending; all processes do this together."""
    machines = all_gather_object(_identify_machine())
    return [rank for rank, machine in enumerate(machines) if machine == machines[get_group_rank_and_size()[0]]]


def _identify_machine() -> str:
    """Return what this process has in common with those that see its memory and its number, on Linux."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return "\n".join(parts)
