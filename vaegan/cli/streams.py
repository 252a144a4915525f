"""The standard streams of a command, whatever was done to them before it was started."""

import errno
import io
import os
import sys
from typing import TextIO

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""Name of each standard stream in `sys`, in the order of their descriptors, and its mode."""


def open_standard_streams() -> None:
    """Open closed standard streams on nothing, and let the others write as escapes what they have no characters for.

    While the descriptor of a closed stream is free, the next file that is opened gets it, and what a library prints
    goes into that file.
    """
    for descriptor, (name, mode) in enumerate(STREAMS):
        try:
            (os.fstat if mode == "r" else _write_nothing)(descriptor)
        except OSError as error:
            if error.errno == errno.EBADF:  # a full disk is for whoever writes to say
                nothing = os.open(os.devnull, os.O_RDWR)
                if nothing != descriptor:  # it was open, for reading
                    os.dup2(nothing, descriptor)
                    os.close(nothing)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _write_nothing(descriptor: int) -> None:
    """Fail with OSError unless a descriptor is open for writing."""
    os.write(descriptor, b"")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; None, a closed stream in Python, is none."""
    return stream is not None and stream.isatty()
