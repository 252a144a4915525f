"""Decompression of images into pictures, all of a file or some, by any number of processes."""

from functools import partial
from pathlib import Path

import torch

from vaegan.distributed import deal_batches, run_on_all_ranks, run_on_main
from vaegan.errors import Failure, UserError
from vaegan.images import is_whole_png, write_png
from vaegan.latents.pictures import PictureNames, begin_pictures, name_pictures
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.text import shorten

from .codec import Codec
from .compressing import check_symbols
from .container import CompressedFile
from .range_coder import DamagedCodeError


def find_rows(compressed: CompressedFile, names: list[str]) -> list[int]:
    """Return the row of each name.

    Raises:
        UserError: No image has one of the names.
    """
    wanted, rows = set(names), dict[str, int]()
    for row, name in enumerate(compressed.names):
        if name in wanted:
            rows[name] = row
    for name in names:
        if name not in rows:
            problem = f"no image of {compressed.path} has this name; the first is {shorten(compressed.names[0])}"
            raise UserError(f"--only {shorten(name)}: {problem}")
    return sorted(rows.values())


def decompress_to_folder(
    codec: Codec,
    compressed: CompressedFile,
    output: Path,
    rows: list[int] | None = None,
    progress: ProgressCallback = ignore_progress,
) -> None:
    """Decode images into PNG files of their names, as far as they are not yet; all processes do this together.

    An image is decoded at its place in its batch of the file, whichever others are decoded with it, so that it is the
    same picture to the bit. Symbols that are not those that were encoded are never decoded.

    Args:
        codec: The codec of the file.
        compressed: The file.
        output: Folder of the pictures; created if it does not exist.
        rows: Rows of the images, in order; None: all.
        progress: Called with (images done, images in all) after each round, of all images of the file.

    Raises:
        UserError: The folder holds something else.
        Failure: A message is damaged, or the PixelCNN predicts other tables here than where it was encoded.
        OSError: A picture cannot be written.
    """
    description = compressed.description
    files = name_pictures(compressed.names)
    mark = {"compressed": compressed.digest, "weights": description.weights, "images": description.images}
    run_on_main(lambda: begin_pictures(output, mark, "codes"))
    wanted = None if rows is None else set(rows)
    for batch, done in deal_batches(description.images, description.batch_size):
        chosen = [row for row in batch if wanted is None or row in wanted]
        run_on_all_ranks(partial(_decode, codec, compressed, output, files, batch, chosen))
        progress(done, description.images)


def _decode(
    codec: Codec, compressed: CompressedFile, output: Path, files: PictureNames, batch: range, rows: list[int]
) -> None:
    """Decode some images of a batch, and write the pictures that are not there."""
    rows = [row for row in rows if not is_whole_png(output / files[row])]
    if not rows:
        return
    messages, description = compressed.read_messages(rows), compressed.description
    labels = None
    if description.classes is not None:
        labels = torch.from_numpy(compressed.columns["labels"][batch.start : batch.stop].astype("int64"))
    places = torch.tensor([row - batch.start for row in rows])
    size = compressed.get_size(batch.start)  # of the only image, where images keep their sizes
    try:
        symbols = codec.decode(messages, None if labels is None else labels[places], size)
    except DamagedCodeError as error:
        name = shorten(compressed.names[rows[0]])
        raise Failure(f"{compressed.path}: damaged ({error}, in the images from {name} on)") from None
    if "symbol_checks" in compressed.columns:
        for row, check in zip(rows, check_symbols(symbols), strict=True):
            if check != compressed.columns["symbol_checks"][row]:
                problem = "the PixelCNN predicts otherwise here than on the machine that compressed it"
                raise Failure(f"{compressed.path}: {shorten(compressed.names[row])}: {problem}; decode it there")
    whole = torch.zeros(len(batch), *symbols.shape[1:], dtype=torch.int64)
    whole[places] = symbols
    pixels = codec.reconstruct(whole, labels, size)
    for row, place in zip(rows, places.tolist(), strict=True):
        write_png(pixels[place], output / files[row])
