"""Compression of image files into one file, batch by batch, by any number of processes."""

import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vaegan.distributed import broadcast_from_main, deal_batches, gather_to_main, run_on_all_ranks, run_on_main
from vaegan.errors import Failure, UserError
from vaegan.models import PixelCNN
from vaegan.progress import ProgressCallback, ignore_progress

from .codec import Codec
from .container import CompressedDescription, CompressedWriter, Message, write_compressed
from .prior import CodePrior


class NoImageError(UserError):
    """None of the files can be used as an image."""


class Batch(NamedTuple):
    """Some images that are compressed together."""

    names: Sequence[str]
    """Name of each, in the file."""
    pixels: Tensor
    """uint8, shape (n, C, S, S); where images keep their sizes, shape (1, C, H, W), or empty of no image."""
    labels: Tensor | None
    """Class of each, int64, shape (n,); None: the model is unconditional."""


class CompressedSizes(NamedTuple):
    """Sizes of a file of compressed images."""

    images: int
    """Number of images."""
    file_bytes: int
    """Bytes of the file."""
    message_bytes: int
    """Bytes of the messages alone."""
    pixels: int
    """Pixels of all images."""


def compress_to_file(
    codec: Codec,
    prior: CodePrior,
    multiple: int,
    count: int,
    read: Callable[[range], Batch],
    file: Path,
    batch_size: int,
    progress: ProgressCallback = ignore_progress,
) -> CompressedSizes:
    """Compress images into a file, which is there as a whole or not at all; all processes do this together.

    The processes take batches in turn, and rank 0 writes what they have made, so that the file is the same whatever
    their number. What is in memory is a batch of each process, and the names.

    Args:
        codec: The codec.
        prior: Its prior.
        multiple: Its step, in units of two cells of the prior.
        count: Number of images.
        read: Reads the images of a range; those that are left out are no images.
        file: The file.
        batch_size: Images of one forward pass; 1 where images keep their sizes.
        progress: Called with (images done, images in all).

    Raises:
        UserError: An image cannot be used.
        NoImageError: None can.
        Failure: A code is not finite.
        OSError: The file cannot be written.
    """

    def encode(batch: range) -> list[tuple[int, list[Message]]]:
        return [(batch.start, _encode(codec, read(batch)))]

    with ExitStack() as stack:
        writer = _open(stack, file)
        for batch, done in deal_batches(count, batch_size):
            own: list[tuple[int, list[Message]]] = run_on_all_ranks(partial(encode, batch) if batch else list)
            parts = sorted(chain(*gather_to_main(own)), key=itemgetter(0))
            messages = [message for _, part in parts for message in part]
            run_on_main(partial(_add, writer, messages))
            progress(done, count)
        images = broadcast_from_main(lambda: writer.images if writer else 0)
        if images == 0:
            raise NoImageError("none of the files can be used as an image; name others", on_all_ranks=True)
        description = describe_compression(codec, prior, multiple, images, batch_size)
        run_on_main(lambda: writer.finish(description) if writer else None)
    message_bytes, pixels = (writer.message_bytes, writer.pixels) if writer else (0, 0)
    return broadcast_from_main(lambda: CompressedSizes(images, file.stat().st_size, message_bytes, pixels))


def describe_compression(
    codec: Codec, prior: CodePrior, multiple: int, images: int, batch_size: int
) -> CompressedDescription:
    """Return the description of a file of compressed images."""
    model = codec.model
    return CompressedDescription(
        weights=prior.description.weights,
        prior=prior.digest,
        image_shape=model.image_shape,  # type: ignore[arg-type]
        tile_side=codec.tile_side,
        coder="pixelcnn" if isinstance(model, PixelCNN) else prior.description.kind,
        multiple=multiple,
        step=codec.step,
        classes=model.classes,
        batch_size=batch_size,
        images=images,
    )


def check_symbols(symbols: Tensor) -> list[int]:
    """Compute the CRC-32 of the symbols of each image, int64, shape (N, T, P)."""
    return [zlib.crc32(image.astype("<i8").tobytes()) for image in symbols.numpy()]


def _open(stack: ExitStack, file: Path) -> CompressedWriter | None:
    """Return the writer on rank 0, and None on the others."""
    return run_on_main(lambda: stack.enter_context(write_compressed(file)))


def _encode(codec: Codec, batch: Batch) -> list[Message]:
    if not batch.names:
        return []
    try:
        symbols = codec.quantise(batch.pixels, batch.labels)
    except Failure as failure:
        raise Failure(f"{failure} (of the images from {batch.names[0]} on)") from None
    contents = codec.encode(symbols, batch.labels)
    labels = [0] * len(contents) if batch.labels is None else batch.labels.tolist()
    height, width = batch.pixels.shape[2:]
    rows = zip(batch.names, contents, check_symbols(symbols), labels, strict=True)
    return [Message(*each, height, width) for each in rows]


def _add(writer: CompressedWriter | None, messages: Sequence[Message]) -> None:
    assert writer is not None
    for message in messages:
        writer.add(message)
