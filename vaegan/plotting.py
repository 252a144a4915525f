"""Matplotlib with its default settings, whatever the user's, and without its notes on standard error."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def matplotlib_defaults(settings: Mapping[str, Any]) -> Iterator[None]:
    """Import matplotlib and draw with its default settings, texts without mathematics, and further settings.

    Matplotlib is imported inside the block, since it takes half a second and may report the path of its font cache.

    Args:
        settings: Names of `matplotlib.rcParams` with their values.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from matplotlib import style

        with style.context(["default", {"text.parse_math": False, **settings}]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
            yield
    finally:
        logger.setLevel(level)
