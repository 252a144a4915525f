"""Search of a tree of folders for the files that are images."""

import os
from collections.abc import Callable
from pathlib import Path

from vaegan.errors import UserError
from vaegan.progress import ignore_notice
from vaegan.text import get_reason, make_printable

from .fit import DATA_VERSION
from .unread_formats import UNREAD_SUFFIXES, describe_passed_over

SUFFIXES_OF_VERSION_1 = (
    ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp"
).split()
"""Suffixes, in lower case, of image files in `data.version` 1; other files in the tree are ignored."""
IMAGE_SUFFIXES = (
    ".apng .avif .avifs .bmp .gif .heic .heif .hif .icb .j2c .j2k .jfi .jfif .jif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx"
    " .mpo .pbm .pgm .png .pnm .ppm .tga .tif .tiff .vda .vst .webp"
).split()
"""Suffixes, in lower case, of image files. HEIF files are read if pillow-heif is installed."""


def find_images(
    root: Path, version: int = DATA_VERSION, notify: Callable[[str], None] = ignore_notice
) -> tuple[str, ...]:
    """Return the paths of the image files under a folder, relative to it with forward slashes, in code point order.

    Links are followed, but no folder is visited twice (a link may lead to a parent, or to the folder of another class).
    Hidden files and folders are ignored. A folder in the tree that may not be read, a link that leads nowhere, and
    files of `UNREAD_SUFFIXES` are passed over.

    Args:
        root: The folder.
        version: The `data.version`.
        notify: Called with one line about each folder or link that is passed over, and one about all such files.

    Raises:
        UserError: There is no such folder, it may not be read, or no file in it has an image's suffix.
    """
    if not root.exists():
        raise UserError(f"{root}: no such folder")
    if not root.is_dir():
        raise UserError(f"{root}: a file, not a folder of images")
    names, unread = list[str](), list[str]()
    suffixes = SUFFIXES_OF_VERSION_1 if version == 1 else IMAGE_SUFFIXES
    folders, links, seen = [""], list[str](), dict[tuple[int, int], str]()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        try:
            status = os.stat(os.path.join(root, folder))
            before = seen.setdefault((status.st_dev, status.st_ino), folder)
            if before != folder:
                if version > 1 and before and not folder.startswith(f"{before}/"):
                    place = make_printable(os.path.join(root, folder))
                    notify(f"{place}: the folder {make_printable(before)} by another name; passed over")
                continue
            entries = _list_entries(root, folder)
        except OSError as error:
            problem = f"{make_printable(os.path.join(root, folder))}: {get_reason(error).lower()}"
            if not folder:
                raise UserError(problem) from None
            notify(f"{problem}; passed over, with every image in it")
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            suffix = os.path.splitext(entry.name)[1].lower()
            is_image = suffix in suffixes
            try:
                if entry.is_dir():
                    (links if entry.is_symlink() else folders).append(name)
                    continue
            except OSError as error:  # a link to itself, for example; as an image it is reported when it is read
                if not is_image:
                    notify(f"{make_printable(entry.path)}: {get_reason(error).lower()}; passed over")
            if is_image:
                names.append(name)
            elif version > 1 and suffix in UNREAD_SUFFIXES:
                unread.append(make_printable(name))
        links.sort(reverse=True)
    if unread:
        passed_over = describe_passed_over(sorted(unread))
        if not names:
            raise UserError(f"{root}: {passed_over}")
        notify(f"{root}: {passed_over}")
    if not names:
        *others, last = suffixes
        raise UserError(f"{root}: no image in it; files ending in {', '.join(others)} or {last} are taken for images")
    return tuple(sorted(names))


def _list_entries(root: Path, name: str) -> list[os.DirEntry[str]]:
    with os.scandir(os.path.join(root, name)) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]
