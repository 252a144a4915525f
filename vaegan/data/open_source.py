"""Opening of the image set that the `data` section of a config names, without reading its images."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vaegan.config.data import DataConfig
from vaegan.data.webdataset.reader import open_webdataset
from vaegan.errors import UserError

from .arrays import open_arrays
from .dataset import Source
from .embedded import open_digits, open_photos
from .folder import open_folder
from .huggingface import open_huggingface
from .official import open_celeba, open_cifar10, open_mnist
from .official_splits import split_by_folder
from .reading import Notify
from .shapes import open_shapes
from .splits import split_consecutively


def open_source(config: DataConfig, notify: Notify) -> Source:
    """Open the image set that a config names, without reading its images.

    Raises:
        UserError: There is no such set, or it is broken.
        Failure: The download failed.
    """
    source = _open_source(config, notify)
    if config.fit == "crop":
        return source
    reader: Any = source.reader  # of a source that takes the setting
    return replace(source, reader=replace(reader, fit=config.fit))


def _open_source(config: DataConfig, notify: Notify) -> Source:
    size, channels = config.image_size, config.channels
    root = config.root or Path("data").absolute()
    match config.source:
        case "digits":
            return open_digits(size, channels)
        case "photos" | "shapes":
            splits = split_consecutively(config.count or 10_000, config.validation, config.test)
            return (open_photos if config.source == "photos" else open_shapes)(size, channels, splits)
        case "folder":
            source = open_folder(root, size, channels, config.version, partial(_report_passed_over, config, notify))
            return source if config.version == 1 else split_by_folder(source, root, config.folders, notify)
        case "arrays":
            return open_arrays(root, size, channels, notify)
        case "huggingface":
            columns = config.image_column, config.label_column
            return open_huggingface(config.root, config.hub, size, channels, *columns, notify)
        case "webdataset":
            return open_webdataset(root, size, channels)
        case "mnist" | "fashion_mnist":
            return open_mnist(config.source, root, size, channels, config.version, config.download)
        case "cifar10":
            return open_cifar10(root, size, channels, config.download, notify)
        case "celeba":
            return open_celeba(root, size, channels, config.version, config.download)
        case "given":
            raise UserError(
                "data.source: given: these images were given in Python; give them again there by the argument data, as"
                " in vaegan.evaluate_run(run, data=images)",
                on_all_ranks=True,
            )


def _report_passed_over(config: DataConfig, notify: Notify, message: str) -> None:
    """Warn of a folder or link that is passed over, or raise it as a UserError under `data.strict`."""
    if config.strict:
        raise UserError(f"data.strict: {message}")
    notify(f"data.root: {message}")
