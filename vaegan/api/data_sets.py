"""The interface to data sets: encode, generate, compress and decompress them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.data.given import GivenImages
from vaegan.distributed import init_process_group
from vaegan.entry import python_entry
from vaegan.latents.dataset import LatentDataset
from vaegan.notebook import make_reporter
from vaegan.paths import expand_path
from vaegan.workflows import generation, latents
from vaegan.workflows.compression import compress_files, decompress_files, open_compressed
from vaegan.workflows.compression_settings import Compression

from .models import RunPath, find_model, find_run

if TYPE_CHECKING:  # the packages that these import are not installed everywhere
    from vaegan.compression.compressing import CompressedSizes


@python_entry
def encode_dataset(
    run: RunPath,
    data: str | Path | GivenImages | None = None,
    *,
    output: str | Path,
    split: str | None = None,
    dtype: str | None = None,
    flip: bool = True,
    sample: bool = False,
    seed: int | None = None,
    shard_rows: int = 10_000,
    data_root: str | Path | None = None,
    allow_other_data: bool = False,
    progress: bool = True,
) -> LatentDataset:
    """Encode a set of images into a folder of latents that other models are trained on, and return them.

    The folder has shards of safetensors with the names that trainers of latent diffusion read, an index of the images,
    and mean and standard deviation of each channel. A call that was interrupted goes on, on any number of processes.

    Args:
        run: The run whose model encodes, or its folder.
        data: Folder of images, whose folders are classes; or the images of a run that was given its images. None: the
            run's own images, as its config names them.
        output: Folder to write.
        split: Split of the run's own images, ``train``, ``validation`` or ``test``; None: the training images.
        dtype: Type of the latents: ``float32``, ``float16`` or ``bfloat16``; None: float32. Indices of a VQ-VAE are
            int32.
        flip: Whether the mirrored images are encoded too.
        sample: Whether latents are drawn from the posteriors; else they are posterior means.
        seed: Root of the noise of ``sample``; None: 0.
        shard_rows: Number of images in a file; one process encodes all of them.
        data_root: Folder that the run's images have moved to, which is remembered.
        allow_other_data: Encode the run's own images even if they are not those that it was trained on.
        progress: Whether a bar is shown.

    Raises:
        UserError: There is no trained model, the images are missing or not the run's, or the folder holds something
            else.
        Failure: An image or a file cannot be read or written, or a code is not finite.
    """
    folder, given = (expand_path("data", data), None) if isinstance(data, str | Path) else (None, data)
    encoding = latents.Encoding(
        find_run(run), expand_path("output", output), folder, split, dtype, flip, sample, seed, shard_rows,
        None if data_root is None else expand_path("data_root", data_root), allow_other_data, given,
    )  # fmt: skip
    config = encoding.check()
    init_process_group()
    latents.encode_dataset(encoding, config, make_reporter(progress))
    return LatentDataset(encoding.output)


@python_entry
def generate_dataset(
    run: RunPath,
    number: int,
    *,
    output: str | Path,
    format: str = "folder",
    seed: int = 0,
    density: str | None = None,
    label: str | int | None = None,
    reject: str | None = None,
    features: RunPath | None = None,
    shard_rows: int = 1000,
    data: GivenImages | None = None,
    data_root: str | Path | None = None,
    allow_other_data: bool = False,
    progress: bool = True,
) -> Path:
    """Generate a data set of images from the prior of a run, or from a density, and return its folder.

    Image i is the same as image i of `Autoencoder.sample` with the same seed. A call that was interrupted goes on, on
    any number of processes.

    Args:
        run: The run whose model generates, its folder, the folder of an exported model, or a name on the Hub.
        number: Number of images.
        output: Folder to write.
        format: ``folder``, a PNG file for each image, in folders of their classes; ``npz``, one array; ``tar``, shards
            of WebDataset.
        seed: Root of the codes.
        density: Density that the codes are drawn from: ``gaussian``, ``gmm`` or ``gmm:K``; None: the prior.
        label: Name or number of the class of all images; None: the classes of a conditional model in turn.
        reject: ``realness=SHARE`` or ``distance=SHARE``: this share of the draws is drawn anew, those of the lowest
            realness by the discriminator, or those of the largest distance to the nearest training image in features.
        features: Run of `vaegan train-features` for the distance; None: `evaluate.features` of the run.
        shard_rows: Number of images in a shard; one process generates all of them.
        data: The images of a run that was given its images, for a density or the distance.
        data_root: Folder that the run's images have moved to, which is remembered.
        allow_other_data: Fit the density, or measure the distance, even if the images are not the run's.
        progress: Whether a bar is shown.

    Raises:
        UserError: There is no trained model, no prior or no discriminator, the images are missing or not the run's, or
            the folder holds something else.
        Failure: A file cannot be read or written.
    """
    request = generation.Request(
        find_model("run", run), expand_path("output", output), number, format, seed, density,
        None if label is None else str(label), reject, None if features is None else expand_path("features", features),
        shard_rows, None if data_root is None else expand_path("data_root", data_root), allow_other_data, data,
    )  # fmt: skip
    config = request.check()
    init_process_group()
    generation.generate_dataset(request, config, make_reporter(progress))
    return request.output


@python_entry
def compress(
    run: RunPath,
    images: str | Path | Sequence[str | Path],
    *,
    output: str | Path,
    rate: float | None = None,
    step: float | None = None,
    native_size: bool = False,
    tile_side: int | None = None,
    label: str | int | None = None,
    data: GivenImages | None = None,
    data_root: str | Path | None = None,
    allow_other_data: bool = False,
    progress: bool = True,
) -> "CompressedSizes":
    """Compress images into one file by the codes of a run's model, and return the sizes of the file.

    The codes are coded under a prior, which is fitted to the run's training images the first time and kept in its
    folder.

    Args:
        run: The run whose model compresses, or its folder.
        images: Image files and folders of images, or a single one of these.
        output: The file to write.
        rate: Most bits per pixel of the codes of the run's validation images; the finest step that keeps to it is
            taken.
        step: The values of codes are rounded to its multiples; None: 1/8 of their largest standard deviation.
        native_size: Keep the size of each image, for codes that are grids; else all get the size of the run's images.
        tile_side: With ``native_size``: side of the overlapping tiles of larger images, in pixels; 0: images stay
            whole; None: 1,024.
        label: Class of all images, for a conditional model; None: their folders are their classes.
        data: The images of a run that was given its images.
        data_root: Folder that the run's images have moved to, which is remembered.
        allow_other_data: Fit the prior even if the images are not those that the run was trained on.
        progress: Whether a bar is shown.

    Raises:
        UserError: There is no trained model, an image or an argument is wrong, or the images are not the run's.
        Failure: A code is not finite, or a file cannot be read or written.
    """
    paths = [images] if isinstance(images, str | Path) else images
    compression = Compression(
        find_run(run), tuple(expand_path("images", path) for path in paths), expand_path("output", output),
        step, rate, None if label is None else str(label),
        None if data_root is None else expand_path("data_root", data_root), allow_other_data, native_size, tile_side,
        data,
    )  # fmt: skip
    config = compression.check()
    init_process_group()
    return compress_files(compression, config, make_reporter(progress))[0]


@python_entry
def decompress(
    run: RunPath, file: str | Path, *, output: str | Path, only: str | Sequence[str] = (), progress: bool = True
) -> None:
    """Decompress a file of images into a folder of PNG files, one for each image, which has the image's name.

    Args:
        run: The run that has compressed the images, or its folder.
        file: The file that `compress` has written.
        output: Folder to write; a call that was interrupted goes on.
        only: Names of the images to decode, or a single name; (): all of them.
        progress: Whether a bar is shown.

    Raises:
        UserError: The file is damaged or of another model, there is no such image, or the folder holds something else.
        Failure: An image is damaged, or a picture cannot be written.
    """
    folder, names = find_run(run), [only] if isinstance(only, str) else only
    opened = open_compressed(expand_path("file", file), folder, names)
    init_process_group()
    decompress_files(*opened, folder, expand_path("output", output), make_reporter(progress))
