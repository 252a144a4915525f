"""Adversarial autoencoder generators: train them on any number of processes, evaluate them, compare them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .storage.loading import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `load`, and with it torch, on its first use."""
    if name == "load":
        from .storage.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
