"""Names of what is met among images and not read: other formats, and files that are no images."""

from collections.abc import Sequence

UNREAD_SUFFIXES = (
    ".arw .blp .bpg .cr2 .cr3 .cur .dcx .dds .dib .dng .emf .eps .exr .fits .flif .hdr .heics .icns .ico .jls .jng .jxl"
    " .jxr .nef .orf .pam .pcd .pcx .pfm .pict .psb .psd .qoi .raf .ras .rw2 .sgi .sr2 .svg .svgz .wbmp .wdp .wmf .xbm"
    " .xcf .xpm"
).split()
"""Suffixes, in lower case, of images in formats that are not read."""
MAX_NAMED_FILES = 5
"""Files that a message names; it counts the others."""
FORMATS = {
    b"P7\n": "a PAM file",
    b"8BPS": "a Photoshop file",
    b"\xff\x0a": "a JPEG XL file",
    b"\0\0\0\x0cJXL ": "a JPEG XL file",
    b"gimp xcf": "a GIMP file",
    b"v/1\x01": "an OpenEXR file",
    b"%!PS": "a PostScript file",
    b"%PDF": "a PDF file",
    b"<svg": "an SVG file",
    b"\0\0\1\0": "an ICO file",
    b"DDS ": "a DDS file",
    b"qoif": "a QOI file",
    b"#?RADIANCE": "a Radiance HDR file",
}
"""Name of a format by the first bytes of its files."""
OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS to an image; fetch it with `git lfs pull`",
    b"<!doctype html": "a web page, not an image",
    b"<html": "a web page, not an image",
}
"""Name of a format by the first bytes of its files, in lower case."""


def describe_unread(head: bytes) -> str | None:
    """Return what a file is that no reader takes, as a clause; None if it is not known.

    Args:
        head: Its first bytes.
    """
    for start, name in FORMATS.items():
        if head.startswith(start):
            return f"{name}, which is not read; save it as PNG"
    return next((reason for start, reason in OTHERS.items() if head.lower().startswith(start)), None)


def describe_passed_over(names: Sequence[str]) -> str:
    """Return a clause about images in formats that are not read.

    Args:
        names: Their paths, printable.
    """
    more = f" and {len(names) - MAX_NAMED_FILES} more" if len(names) > MAX_NAMED_FILES else ""
    count = "1 image in a format that is" if len(names) == 1 else f"{len(names)} images in formats that are"
    return f"{count} not read ({', '.join(names[:MAX_NAMED_FILES])}{more}); save as PNG what is to be read"
