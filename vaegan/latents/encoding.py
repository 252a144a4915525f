"""Encoding of images into a folder of latents: whole shards by each process, resumable by any number of them."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaegan.distributed import broadcast_from_main, run_on_main
from vaegan.errors import Failure, UserError
from vaegan.images import to_float
from vaegan.io import write_text
from vaegan.models import VQVAE, Autoencoder
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.paths import check_no_other_files
from vaegan.precision import full_precision
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import draw_normal
from vaegan.shards import write_shards
from vaegan.storage.loading import get_model_folder
from vaegan.storage.run_folder import Run, read_description
from vaegan.text import make_encodable

from .description import DESCRIPTION_FILE, LatentDescription, list_files, read_latent_description
from .index import write_index
from .inputs import NamedImages
from .moments import Moments
from .shards import is_finished, write_shard, write_statistics


def describe_encoding(
    run: Run, model: Autoencoder, inputs: NamedImages, *, dtype: str = "float32", flip: bool = True,
    seed: int | None = None, shard_rows: int = 10_000, batch_size: int = 64,
) -> LatentDescription:  # fmt: skip
    """Return the description of an encoding.

    Args:
        run: The run.
        model: Its model.
        inputs: The images.
        dtype: Type of the latents, `float32`, `float16` or `bfloat16`; indices are int32.
        flip: Whether the mirrored images are encoded too.
        seed: Root of the noise of posterior samples; None: the latents are posterior means.
        shard_rows: Rows of a shard.
        batch_size: Images of one forward pass.

    Raises:
        UserError: The run has no model, or a damaged one.
    """
    exported, is_vqvae = read_description(get_model_folder(run.path)), isinstance(model, VQVAE)
    images, root = inputs.images, inputs.config.root or inputs.config.hub
    settings: dict[str, Any] = {
        "run": make_encodable(str(run.path.absolute())), "root": None if root is None else make_encodable(str(root)),
        "weights": exported.sha256, "image_shape": exported.image_shape,
        "source": inputs.config.source, "split": inputs.split,
        "fingerprint": inputs.fingerprint, "classes": images.classes if images.labels is not None else (),
        "tensor": "indices" if is_vqvae else "latents", "dtype": "int32" if is_vqvae else dtype,
        "shape": model.code_shape[1:] if is_vqvae else model.code_shape, "flip": flip, "seed": seed,
        "rows": len(images), "shard_rows": shard_rows, "batch_size": batch_size, "code_scale": exported.code_scale,
    }  # fmt: skip
    return LatentDescription(**settings)


def encode_to_folder(
    model: Autoencoder,
    inputs: NamedImages,
    folder: Path,
    description: LatentDescription,
    progress: ProgressCallback = ignore_progress,
) -> Moments | None:
    """Encode images into a folder of latents, as far as they are not yet; all processes do this together.

    The processes take whole shards in turn, each batch by batch, so that a row is the same whatever their number. What
    is in memory is one shard of each process.

    Args:
        model: Model in evaluation mode, on the device where it computes.
        inputs: The images.
        folder: The folder; created if it does not exist.
        description: The encoding.
        progress: Called with (images done, images in all).

    Returns:
        The moments of the channels over all rows; None: the codes are indices.

    Raises:
        UserError: The folder holds something else.
        Failure: An image cannot be read, or a code is not finite in the type.
        OSError: A file cannot be written.
    """
    run_on_main(lambda: _begin(folder, description, inputs))
    write_shards(
        description,
        partial(is_finished, folder, description),
        partial(_encode_shard, model, inputs, folder, description),
        progress,
    )
    if description.tensor == "indices":
        return None
    return broadcast_from_main(lambda: write_statistics(folder, description))


def _begin(folder: Path, description: LatentDescription, inputs: NamedImages) -> None:
    """Write the description and the index into a folder that holds nothing else, or that has begun with the same.

    Raises:
        UserError: It holds another encoding, or other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = {name + end for name in list_files(description, folder) for end in ("", ".partial")}
    has_begun = (folder / DESCRIPTION_FILE).exists()
    if has_begun and (difference := description.describe_difference(read_latent_description(folder))):
        raise UserError(f"--output {folder}: holds another encoding ({difference}); name another folder")
    check_no_other_files(folder, own)
    write_text(folder / DESCRIPTION_FILE, description.model_dump_json(indent=1) + "\n")
    write_index(folder, description, inputs.names, inputs.images.labels)  # anew, in the place of a damaged one


@torch.no_grad()
def _encode_shard(
    model: Autoencoder,
    inputs: NamedImages,
    folder: Path,
    description: LatentDescription,
    number: int,
    report: ProgressCallback,
) -> None:
    """Encode the images of a shard, and write it."""
    images, rows = inputs.images, description.get_rows(number)
    shape = (len(rows), *description.shape)
    tensors = {name: torch.empty(shape, dtype=description.torch_dtype) for name in description.names}
    labels = images.labels
    tensors["labels"] = labels[rows.start : rows.stop].clone() if labels is not None else torch.zeros(len(rows)).long()
    moments: Moments | None = None
    for batch in description.get_batches(number):
        positions = torch.arange(batch.start, batch.stop)
        pixels = images[positions]
        classes = images.get_labels(positions, model.classes if model.networks_take_labels else None)
        place = slice(batch.start - rows.start, batch.stop - rows.start)
        for name in description.names:
            mirrored = name != description.tensor
            codes = encode_rows(model, pixels.flip(-1) if mirrored else pixels, classes, description, batch, mirrored)
            tensors[name][place] = codes
            if not codes.isfinite().all():
                row = batch.start + int((~codes.isfinite()).flatten(1).any(1).nonzero()[0])
                problem = f"the code of {inputs.names[row]} is not finite in {description.dtype}"
                raise Failure(f"{problem}; choose another --dtype, or look at the run")
        if description.tensor == "latents":
            own = Moments.measure(tensors["latents"][place])
            moments = own if moments is None else moments + own
        report(batch.stop - rows.start, len(rows))
    write_shard(folder, description, number, tensors, moments)


def encode_rows(
    model: Autoencoder, pixels: Tensor, labels: Tensor | None, description: LatentDescription, rows: range,
    mirrored: bool,
) -> Tensor:  # fmt: skip
    """Return the codes of some rows, on the CPU, of the shape and type of the description.

    Args:
        model: Model in evaluation mode.
        pixels: The images, uint8, shape (n, C, S, S).
        labels: Their classes, int64, shape (n,), for a model whose networks take them.
        description: The encoding.
        rows: The rows, which the noise of posterior samples is a function of.
        mirrored: Whether the images are mirrored ones, whose noise is another.
    """
    parameter = next(model.parameters())
    inputs = to_float(pixels.to(parameter.device), parameter.dtype)
    with full_precision(parameter.device, deterministic=False):
        if isinstance(model, VQVAE):
            return model.encode_indices(inputs).to("cpu", torch.int32)
        assert isinstance(model, ContinuousAutoencoder)
        posterior = model.encode(inputs, labels)
    codes = posterior.mean
    if description.seed is not None:
        size = (model.code_size,)
        noise = [draw_normal(size, description.seed, "latents", row, int(mirrored)) for row in rows]
        codes = posterior.sample(torch.stack(noise).to(codes))
    return codes.reshape(-1, *description.shape).to("cpu", description.torch_dtype)
