"""Adversarial autoencoder generators: train them on any number of processes, evaluate them, compare them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        Config,
        LatentDataset,
        Run,
        StudyConfig,
        ablate,
        compare,
        compress,
        decompress,
        encode_dataset,
        evaluate_run,
        export_run,
        generate_dataset,
        load,
        plot_history,
        push_run,
        recipes,
        show,
        train,
    )

__version__ = "0.1.0"
__all__ = [
    "Config", "LatentDataset", "Run", "StudyConfig", "__version__", "ablate", "compare", "compress", "decompress",
    "encode_dataset", "evaluate_run", "export_run", "generate_dataset", "load", "plot_history", "push_run", "recipes",
    "show", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import `vaegan.api`, and with it torch, on the first use of one of its names."""
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names that are imported on their first use."""
    return __all__
