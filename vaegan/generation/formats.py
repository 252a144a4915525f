"""The forms that generated images are kept in: a folder of PNG files, tar shards, and one `.npz` file."""

import io
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib.format import write_array_header_2_0
from numpy.typing import NDArray
from torch import Tensor

from vaegan.errors import Failure
from vaegan.images import is_whole_png, to_colour_arrays, to_pil, write_missing_pngs
from vaegan.io import replace_file
from vaegan.progress import ProgressCallback

from .description import Generation

ARRAY_FILE = "generated.npz"
"""Name of the file of all pixels, `arr_0`, uint8, shape (N, S, S, C), and of a conditional model the classes, `arr_1`,
int64, shape (N,)."""

Draw = Callable[[range], Tensor]
"""Returns the images of rows, uint8, shape (n, C, S, S), on the CPU."""


def is_shard_finished(folder: Path, generation: Generation, number: int) -> bool:
    """Return whether the images of a shard are there."""
    match generation.format:
        case "folder":
            return all(is_whole_png(folder / generation.get_picture(row)) for row in generation.get_rows(number))
        case "tar":
            return get_tar_file(folder, generation, number).is_file()
        case "npz":
            return (folder / ARRAY_FILE).is_file() or get_part_file(folder, generation, number).is_file()


def write_shard(folder: Path, generation: Generation, draw: Draw, number: int, report: ProgressCallback) -> None:
    """Write the images of a shard. A file of several images is there as a whole or not at all.

    Args:
        folder: The folder.
        generation: Its description.
        draw: Draws the images of rows.
        number: Number of the shard.
        report: Called with (images done, images of the shard).

    Raises:
        OSError: A file cannot be written.
    """
    match generation.format:
        case "folder":
            _write_pictures(folder, generation, draw, number, report)
        case "tar":
            _write_tar(folder, generation, draw, number, report)
        case "npz":
            _write_part(folder, generation, draw, number, report)


def get_tar_file(folder: Path, generation: Generation, number: int) -> Path:
    """Return the tar file of a shard."""
    return folder / f"{generation.get_shard_name(number)}.tar"


def get_part_file(folder: Path, generation: Generation, number: int) -> Path:
    """Return the file of the pixels of a shard, until they are joined."""
    return folder / f"{generation.get_shard_name(number)}.npy"


def join_parts(folder: Path, generation: Generation) -> None:
    """Join the pixels of all shards into `ARRAY_FILE`, shard by shard, and remove their files.

    Raises:
        Failure: The file of a shard is damaged.
        OSError: A file cannot be read or written.
    """
    if not (folder / ARRAY_FILE).is_file():
        with replace_file(folder / ARRAY_FILE) as temporary, ZipFile(temporary, "w", ZIP_STORED) as archive:
            with archive.open("arr_0.npy", "w", force_zip64=True) as stream:
                _write_header(stream, (generation.rows, *_get_array_shape(generation)), np.uint8)
                for number in range(generation.shards):
                    stream.write(_open_part(folder, generation, number).data)
            if generation.classes:
                labels = np.array([generation.get_label(row) for row in range(generation.rows)], dtype=np.int64)
                with archive.open("arr_1.npy", "w", force_zip64=True) as stream:
                    _write_header(stream, labels.shape, np.int64)
                    stream.write(labels.tobytes())
    for number in range(generation.shards):
        get_part_file(folder, generation, number).unlink(missing_ok=True)


def _write_pictures(folder: Path, generation: Generation, draw: Draw, number: int, report: ProgressCallback) -> None:
    rows = generation.get_rows(number)
    for batch in generation.get_batches(number):
        write_missing_pngs([folder / generation.get_picture(row) for row in batch], partial(draw, batch))
        report(batch.stop - rows.start, len(rows))


def _write_tar(folder: Path, generation: Generation, draw: Draw, number: int, report: ProgressCallback) -> None:
    """Write a shard as WebDataset's readers take it: for each image NAME.png and, if it has a class, NAME.cls."""
    rows, file = generation.get_rows(number), get_tar_file(folder, generation, number)
    with replace_file(file) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
        for batch in generation.get_batches(number):
            for row, pixels in zip(batch, draw(batch), strict=True):
                stream = io.BytesIO()
                to_pil(pixels).save(stream, "png")
                _add_entry(archive, f"{generation.get_name(row)}.png", stream.getvalue())
                if (label := generation.get_label(row)) is not None:
                    _add_entry(archive, f"{generation.get_name(row)}.cls", str(label).encode())
            report(batch.stop - rows.start, len(rows))


def _add_entry(archive: tarfile.TarFile, name: str, contents: bytes) -> None:
    entry = tarfile.TarInfo(name)  # without a time and an owner: the same bytes each time
    entry.size = len(contents)
    archive.addfile(entry, io.BytesIO(contents))


def _write_part(folder: Path, generation: Generation, draw: Draw, number: int, report: ProgressCallback) -> None:
    rows = generation.get_rows(number)
    with replace_file(get_part_file(folder, generation, number)) as temporary, temporary.open("wb") as stream:
        _write_header(stream, (len(rows), *_get_array_shape(generation)), np.uint8)
        for batch in generation.get_batches(number):
            stream.write(to_colour_arrays(draw(batch)).tobytes())
            report(batch.stop - rows.start, len(rows))


def _open_part(folder: Path, generation: Generation, number: int) -> NDArray[np.uint8]:
    """Return the pixels of a shard, uint8, shape (n, S, S, C), which are read from the disk when they are used.

    Raises:
        Failure: They are damaged.
        OSError: They cannot be read.
    """
    file = get_part_file(folder, generation, number)
    shape = (len(generation.get_rows(number)), *_get_array_shape(generation))
    try:
        pixels: NDArray[np.uint8] = np.load(file, mmap_mode="r", allow_pickle=False)
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise ValueError
    except (ValueError, EOFError):
        raise Failure(f"{file}: damaged; remove it, and the same command goes on") from None
    return pixels


def _get_array_shape(generation: Generation) -> tuple[int, int, int]:
    channels, height, width = generation.image_shape
    return height, width, 3 if channels == 1 else channels


def _write_header(stream: IO[bytes], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    write_array_header_2_0(stream, header)
