"""The sources MNIST, Fashion-MNIST, CIFAR-10 and CelebA, read from the files of torchvision's downloader."""

import gzip
import math
import zlib
from collections.abc import Callable
from hashlib import md5
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.errors import UserError
from vaegan.io import open_regular_file, read_bytes
from vaegan.text import make_printable, to_one_line

from .cifar_pickle import MAX_BATCH_FILE_BYTES, read_cifar_batch
from .dataset import Source, SplitIndices
from .download import require_files
from .embedded import ArrayReader
from .folder import FileReader

MNIST_FILES = tuple(f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
FASHION_CLASSES = ("T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Ankle-boot").split()
CIFAR_BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
"""Batch files and their MD5, from torchvision; the last is the official test split."""


def open_mnist(
    source: Literal["mnist", "fashion_mnist"], root: Path, size: int, channels: int, version: int, download: bool
) -> Source:
    """Open MNIST (LeCun et al. 1998) or Fashion-MNIST (Xiao et al. 2017), padded from 28 to 32 pixels, then resized.

    The IDX files, gzipped or not, are stored in ``MNIST/raw`` or ``FashionMNIST/raw``.

    Raises:
        UserError: A file is missing or damaged, or images and labels do not belong together.
        Failure: The download failed.
    """
    name = "MNIST" if source == "mnist" else "FashionMNIST"
    raw = root / name / "raw"

    def fetch() -> None:
        from torchvision import datasets

        getattr(datasets, name)(str(root), download=True)

    require_files(source, root, [raw / file for file in MNIST_FILES], fetch if download else None, ".gz")
    train, train_labels, test, test_labels = (_read_idx(raw / file) for file in MNIST_FILES)
    for images, labels in ((train, train_labels), (test, test_labels)):
        if images.ndim != 3 or images.shape[1:] != train.shape[1:] or labels.shape != images.shape[:1]:
            raise UserError(f"data.root: {raw}: images {images.shape} and labels {labels.shape} do not belong together")
    reader = ArrayReader(np.concatenate([train, test]), size, channels, pad=2, version=version)
    all_labels = torch.from_numpy(np.concatenate([train_labels, test_labels])).long()
    if (all_labels >= 10).any():
        raise UserError(f"data.root: {raw}: a label outside 0 to 9")
    classes = tuple(FASHION_CLASSES if source == "fashion_mnist" else map(str, range(10)))
    return Source(reader, classes, all_labels, test_indices=torch.arange(len(train), len(reader)))


def open_cifar10(root: Path, size: int, channels: int, download: bool, notify: Callable[[str], None]) -> Source:
    """Open CIFAR-10 (Krizhevsky 2009), whose Python batch files are stored in ``cifar-10-batches-py``.

    Raises:
        UserError: A file is missing or damaged.
        Failure: The download failed.
    """
    folder = root / "cifar-10-batches-py"

    def fetch() -> None:
        from torchvision.datasets import CIFAR10
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(CIFAR10.url, str(root), filename=CIFAR10.filename, md5=CIFAR10.tgz_md5)

    files = [folder / name for name in CIFAR_BATCHES]
    require_files("cifar10", root, [*files, folder / "batches.meta"], fetch if download else None)
    changed = [file.name for file in files if _compute_md5(file) != CIFAR_BATCHES[file.name]]
    if changed:
        notify(f"data.root: {folder}: not the official CIFAR-10 (MD5 of {', '.join(changed)} differs)")
    pixels, labels = zip(*map(_read_cifar_images, files), strict=True)
    reader, classes = ArrayReader(np.concatenate(pixels), size, channels), _read_cifar_classes(folder / "batches.meta")
    test_indices = torch.arange(len(reader) - len(pixels[-1]), len(reader))
    return Source(reader, classes, torch.from_numpy(np.concatenate(labels)), test_indices=test_indices)


def open_celeba(root: Path, size: int, channels: int, version: int, download: bool) -> Source:
    """Open CelebA (Liu et al. 2015), aligned and cropped faces, with its three official splits and without labels.

    The images are stored in ``celeba/img_align_celeba/``, the splits in ``celeba/list_eval_partition.txt``.

    Raises:
        UserError: A file is missing, or the list of the splits is damaged or names an image twice.
        Failure: The download failed.
    """
    base = root / "celeba"
    listing, images = base / "list_eval_partition.txt", base / "img_align_celeba"

    def fetch() -> None:
        from torchvision.datasets import CelebA

        if find_spec("gdown") is None:
            raise ModuleNotFoundError("it needs gdown: pip install vaegan[celeba]")
        CelebA(str(root), download=True)

    require_files("celeba", root, [listing, images], fetch if download else None)
    names, split, lines = [], [], dict[str, int]()
    for line, text in enumerate(read_bytes(listing).decode(errors="replace").splitlines(), start=1):
        name, _, number = text.strip().partition(" ")
        if number.strip() not in ("0", "1", "2") or name in (".", "..") or set(name) & set("/\\\0"):
            raise UserError(f"data.root: {listing}: line {line} is not a file name and a split 0, 1 or 2")
        if lines.setdefault(name, line) != line and version > 1:  # it may be both trained on and held out
            named = f"line {line} names {make_printable(name)} again, as line {lines[name]}"
            raise UserError(f"data.root: {listing}: {named}; leave one of them out")
        names.append(name)
        split.append(int(number))
    if not names:
        raise UserError(f"data.root: {listing}: no file name in it")
    splits = SplitIndices(*((torch.tensor(split) == number).nonzero().flatten() for number in range(3)))
    return Source(FileReader(images, PackedNames.pack(names), size, channels, version), splits=splits)


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an array of bytes in the IDX format: 0 0 8 rank, big-endian 32-bit lengths, content."""
    actual = path if path.exists() else Path(f"{path}.gz")
    try:
        with open_regular_file(actual) as raw, gzip.open(raw) if actual != path else raw as file:
            magic = file.read(4)
            if magic[:3] != b"\0\0\x08":
                raise ValueError("not an IDX file of bytes")
            shape = np.frombuffer(file.read(4 * magic[3]), dtype=">u4", count=magic[3]).tolist()
            size = math.prod(shape)
            if size > MAX_BATCH_FILE_BYTES:
                raise ValueError(f"more than {MAX_BATCH_FILE_BYTES:,} bytes")
            data = bytearray()
            while len(data) <= size and (block := file.read(2**20)):
                data += block
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)
    except (ValueError, IndexError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"data.root: {actual}: damaged ({to_one_line(error)}); delete it and fetch it again") from error


def _read_cifar_images(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images, shape (N, 32, 32, 3), and the labels, shape (N,), of one batch file."""
    batch = read_cifar_batch(path)
    pixels, labels = batch.get("data"), batch.get("labels")
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != 3072:
        raise UserError(f"data.root: {path}: no array `data` of 3072 bytes an image in it")
    if not isinstance(labels, list) or len(labels) != len(pixels) or not all(x in range(10) for x in labels):
        raise UserError(f"data.root: {path}: no list `labels` with one number of 0 to 9 for each image in it")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(labels, dtype=np.int64)


def _read_cifar_classes(path: Path) -> tuple[str, ...]:
    names = read_cifar_batch(path).get("label_names", list("0123456789"))
    if not isinstance(names, list) or len(names) != 10 or not all(isinstance(name, str) for name in names):
        raise UserError(f"data.root: {path}: no list `label_names` of 10 words in it")
    return tuple(names)


def _compute_md5(path: Path) -> str:
    return md5(read_bytes(path, MAX_BATCH_FILE_BYTES), usedforsecurity=False).hexdigest()
