"""Reconstruction of image files in their own size, each into a file of its own."""

from collections.abc import Sequence
from pathlib import Path

import torch

from vaegan.applications.native_size import check_takes_any_size, check_tile_side, reconstruct_at_native_size
from vaegan.data.image_file import read_whole_image
from vaegan.errors import UserError
from vaegan.images import to_pil, to_uint8
from vaegan.latents.pictures import name_pictures
from vaegan.storage.loading import load_decoding
from vaegan.text import make_printable
from vaegan.workflows.image_files import ImageFile, find_image_files, read_each
from vaegan.workflows.trained_model import check_output_of_run, load_model_and_classes

from .console import Console
from .picture_files import save_picture

MAX_IMAGES = 10_000_000
"""Most images of a call."""


def reconstruct_files(
    run: Path, paths: Sequence[Path], label: str | None, tile_side: int | None, output: Path, console: Console
) -> None:
    """Reconstruct image files in their own size, and write each as a PNG of its name, in its class folder.

    Args:
        run: Run folder.
        paths: Image files and folders.
        label: Name or number of the class of all images; None: their folders are their classes.
        tile_side: Side of the tiles that larger images are taken apart into, in pixels; None: none are.
        output: Folder that is written into.
        console: Shows the progress and takes notes.

    Raises:
        UserError: The model takes no images of any size, there is no such class or image, or two images would be
            written into one file, or one over an image that is read.
        Failure: A file cannot be written.
    """
    version, _ = load_decoding(run)
    check_output_of_run(run, output)
    files = find_image_files(paths, output, MAX_IMAGES, version, console)
    pictures = _name_pictures(files, output)
    model, numbers = load_model_and_classes(run, label, console, [file.label for file in files])
    model = check_takes_any_size(model, run)
    check_tile_side(model, tile_side, "--tile")
    classes = {file.path: None if numbers is None else numbers[file.label] for file in files}
    parameter = next(model.parameters())

    def reconstruct_file(path: Path) -> None:
        pixels = torch.tensor(read_whole_image(path, model.image_shape[0]), device=parameter.device)[None]
        made = reconstruct_at_native_size(model, pixels, classes[path], tile_side)
        save_picture(to_pil(to_uint8(made[0])), pictures[path])

    _, done = read_each(files, reconstruct_file, version, console, "Reconstructing")
    console.say(f"{output}: {len(done):,} reconstruction{'s' * (len(done) > 1)}, each as large as its image")


def _name_pictures(files: Sequence[ImageFile], output: Path) -> dict[Path, Path]:
    """Return the picture of each image file, by the path of the image.

    Raises:
        UserError: Two images would be written into one file, or one over an image that is read.
    """
    names = [str(file.path.relative_to(file.folder)) if file.folder is not None else file.path.name for file in files]
    made, pictures, sources = name_pictures(names), dict[Path, Path](), dict[Path, Path]()
    read = {file.path.resolve() for file in files}
    for row, file in enumerate(files):
        picture = output / made[row]
        if (other := sources.setdefault(picture, file.path)) != file.path:
            problem = f"{make_printable(other)} and {make_printable(file.path)} have the same name"
            raise UserError(f"--output {output}: {problem}; reconstruct them one after another into two folders")
        if picture.resolve() in read:
            raise UserError(f"--output {output}: {picture} is an image that is read; name another folder")
        pictures[file.path] = picture
    return pictures
