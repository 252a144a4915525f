"""Jobs of the pool that open a folder of images together, and count the images that each process decodes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from vaegan.cli.console import Console
from vaegan.config.data import DataConfig
from vaegan.data import sources
from vaegan.data.crops import CROP_NUMBERS
from vaegan.data.dataset import UInt8Image
from vaegan.data.folder import FileReader
from vaegan.data.large_sets import shared_images
from vaegan.data.sources import open_images
from vaegan.distributed import get_group_rank_and_size, init_process_group
from vaegan.errors import UserError


@contextmanager
def record_decoded() -> Iterator[list[int]]:
    """Yield a list of the numbers of the files that are decoded in the block."""
    decoded: list[int] = []

    def record(self: FileReader, index: int) -> UInt8Image:
        decoded.append(index)
        return decode(self, index)

    decode = FileReader.__call__
    with patch.object(FileReader, "__call__", record):
        yield decoded


def open_folder(root: str, world: int, caches: list[str]) -> list[object]:
    """Open a folder under `cache: none`, and return the number of images that this process decoded and the error.

    Args:
        root: The folder.
        world: Number of processes, which is checked.
        caches: Cache folder of each rank; those with the same one are taken for processes of one machine.
    """
    init_process_group()
    rank, size = get_group_rank_and_size()
    assert size == world
    config, problem = DataConfig(source="folder", root=Path(root), image_size=16, cache="none", strict=True), None
    with (
        record_decoded() as decoded, patch.dict(os.environ, {"VAEGAN_CACHE": caches[rank]}),
        patch.object(shared_images, "_identify_machine", lambda: caches[rank]),
    ):  # fmt: skip
        try:
            open_images(config, Console())
        except UserError as error:
            problem = str(error)
    return [len(decoded), problem]


def share_folder(
    root: str,
    world: int,
    machines: list[int] | None = None,
    hidden: bool = False,
    strict: bool = False,
    crop: str = "centre",
) -> dict[str, object]:
    """Open a folder under `cache: memory`.

    Args:
        root: The folder.
        world: Number of processes, which is checked.
        machines: Number of each rank's machine, in the place of the real one; None: there is one process.
        hidden: Whether no process can open what another one has.
        strict: The setting `data.strict`.
        crop: The setting `data.crop`.

    Returns:
        ``decoded``: how many images this process decoded; ``maps``: whether it maps memory of no file; ``images``:
        all pixels, crops and splits, or the error.
    """
    init_process_group()
    rank, size = get_group_rank_and_size()
    assert size == world
    settings = {"source": "folder", "root": root, "image_size": 16, "cache": "memory", "strict": strict, "crop": crop}
    config = DataConfig.model_validate(settings)
    sources._read_cache.clear()  # this process may have opened the set in another group
    identify = (lambda: str(machines[rank])) if machines else shared_images._identify_machine
    prefix = "/nowhere" if hidden else "/proc"
    with (
        record_decoded() as decoded, patch.object(shared_images, "_identify_machine", identify),
        patch.object(shared_images, "PROCESSES", prefix),
    ):  # fmt: skip
        try:
            data = open_images(config, Console())
        except UserError as error:
            return {"decoded": len(decoded), "images": str(error)}
    images: list[object] = [data.fingerprint, data.classes]
    for split in (data.train, data.validation, data.test):
        positions = torch.arange(len(split))
        images += [split.indices.tolist(), sha256(split[positions].numpy().tobytes()).hexdigest()]
    if crop != "centre":
        numbers = torch.linspace(0, 0.9, len(data.train), dtype=torch.float64)[:, None].expand(-1, CROP_NUMBERS)
        crops = data.train.cut_crops(torch.arange(len(data.train)), numbers, config.crop, 16)
        images.append(sha256(crops.numpy().tobytes()).hexdigest())
    assert isinstance(data.train.store, Tensor)
    address, maps = data.train.store.data_ptr(), False
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop = (int(part, 16) for part in line.split()[0].split("-"))
        maps |= start <= address < stop and "vaegan-images" in line
    return {"decoded": len(decoded), "maps": maps, "images": images}
