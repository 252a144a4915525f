"""The files by whose names the source of images is known."""

from pathlib import Path, PurePath

from .data import SourceName

ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors")
"""Endings of a file of arrays."""
TABLE_SUFFIXES = (".parquet", ".arrow")
"""Endings of the files of the source `huggingface`."""
SHARD_SUFFIX = ".tar"
"""Ending of the shards of the source `webdataset`."""
PICTURE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
"""Endings of files beside which those of `TABLE_SUFFIXES` are not the images."""
SAVED_FILES = ("dataset_dict.json", "state.json")
"""Files in a folder that the `save_to_disk` of `datasets` wrote."""


def is_hidden(path: PurePath) -> bool:
    """Return whether a file, or a folder that it lies in, is hidden: ``._a.parquet``, ``.cache/a.parquet``."""
    return any(part.startswith(".") for part in path.parts)


def guess_source(path: Path) -> SourceName:
    """Return what kind of set a folder or a file is."""
    if path.suffix.lower() in ARRAY_SUFFIXES or (path / "images.npy").is_file():
        return "arrays"
    if path.suffix.lower() in TABLE_SUFFIXES or any((path / name).is_file() for name in SAVED_FILES):
        return "huggingface"
    if path.suffix.lower() == SHARD_SUFFIX and not path.is_dir():
        return "webdataset"
    files = (file for pattern in ("*", "*/*") for file in path.glob(pattern) if not is_hidden(file.relative_to(path)))
    suffixes = {file.suffix.lower() for file in files}
    has_tables, has_pictures = suffixes & set(TABLE_SUFFIXES), suffixes & set(PICTURE_SUFFIXES)
    if SHARD_SUFFIX in suffixes and not has_tables and not has_pictures:
        return "webdataset"
    return "huggingface" if has_tables and not has_pictures else "folder"
