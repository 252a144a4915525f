"""The images that are encoded, with their names and classes: a split of a run's own, or those of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vaegan.config.data import DataConfig
from vaegan.config.schema import Config
from vaegan.data import Images
from vaegan.data.given import GivenImages
from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.data.open_source import open_source
from vaegan.data.sources import open_images
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.progress import Reporter, ignore_notice
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run
from vaegan.text import shorten, to_one_line


@dataclass(frozen=True, eq=False)
class NamedImages:
    """Images in a fixed order, with the name of each."""

    images: Images
    names: Sequence[str]
    """Path of each image under the folder, or the name that its source gives it."""
    config: DataConfig
    """The settings that they were opened by."""
    fingerprint: str
    """Digest of their names, classes and bytes."""
    split: str | None = None
    """Split of the run; None: they are all images of a folder."""


def open_run_split(
    run: Run, split: str, reporter: Reporter, given: GivenImages | None = None, data_root: Path | None = None,
    allow_other_data: bool = False,
) -> NamedImages:  # fmt: skip
    """Open a split of the images that a run was trained on; all processes do this together.

    Args:
        run: The run.
        split: `train`, `validation` or `test`.
        reporter: Shows progress and notes.
        given: The images of the source ``given``; None: of another source.
        data_root: Folder that the images have moved to; None: they are where the config says.
        allow_other_data: Whether to go on with images that are not those of the run.

    Raises:
        UserError: The images are missing or not those of the run, or the split is empty.
    """
    data, config = open_run_data(
        run, run.config, reporter, given, data_root=data_root, allow_other_data=allow_other_data
    )
    images: Images = getattr(data, split)
    if not len(images):
        raise UserError(f"--split {split}: {run.path} keeps no image in it; name another split", on_all_ranks=True)
    names = run_on_all_ranks(lambda: _name(images, config.data))
    return NamedImages(images, names, config.data, data.fingerprint, split)


def open_folder(root: Path, config: Config, reporter: Reporter) -> NamedImages:
    """Open every image of a folder, decoded as a run decodes its images; all processes do this together.

    Args:
        root: The folder, whose folders are classes.
        config: The run's config.
        reporter: Shows progress and notes.

    Raises:
        UserError: There is no such folder, or no image in it.
    """
    settings = {
        "source": "folder", "root": str(root), "image_size": config.data.image_size, "channels": config.data.channels,
        "version": config.data.version, "fit": config.data.fit, "validation": 0.0, "test": 0.0,
        "folders": "classes" if config.data.version > 1 else None,
    }  # fmt: skip
    data_config = DataConfig.model_validate(settings)
    try:
        data = open_images(data_config, reporter)
    except UserError as error:
        raise UserError(str(error).removeprefix("data.root: "), error.on_all_ranks) from None
    names = run_on_all_ranks(lambda: _name(data.train, data_config))
    return NamedImages(data.train, names, data_config, data.fingerprint)


def number_by_model(inputs: NamedImages, model: Autoencoder, class_names: tuple[str, ...], run: Path) -> NamedImages:
    """Return images with the class numbers of a conditional model, whose networks take them; else as they are.

    Args:
        inputs: The images.
        model: The model.
        class_names: Names of its classes, in order; () if they are not known.
        run: Its run, for messages.

    Raises:
        UserError: An image has no class of the model.
    """
    images = inputs.images
    if model.classes is None or not model.networks_take_labels or (images.labels is not None and not class_names):
        return inputs
    present = (
        [images.classes[number] for number in images.labels.unique().tolist()] if images.labels is not None else []
    )
    if others := [name for name in present if name not in class_names] or ["none"] * (not present):
        problem = f"knows the classes {to_one_line(', '.join(class_names))}, and the images have {shorten(others[0])}"
        raise UserError(f"{run}: {problem}; put them into folders of these names", on_all_ranks=True)
    assert images.labels is not None
    numbers = torch.tensor([class_names.index(name) if name in class_names else -1 for name in images.classes])
    return replace(inputs, images=replace(images, labels=numbers[images.labels], classes=class_names))


def _name(images: Images, config: DataConfig) -> PackedNames:
    """Return the name of each image, also of those that are in memory without their reader."""
    if config.source == "given":  # they cannot be opened again, and are named by their numbers
        return PackedNames.pack(map(str, images.indices.tolist()))
    reader = open_source(config, ignore_notice).reader if isinstance(images.store, Tensor) else images.store
    return PackedNames.pack(map(reader.get_name, images.indices.tolist()))
