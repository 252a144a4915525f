"""The packages that only some uses need: the extra of `setup.py` that brings each, and one line where one is missing.

Whatever imports one of them does so inside the function that needs it, or in a module that only such uses import.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:  # pydantic is slow to import, and the command line imports this module at once
    from .config.schema import Config, EvaluateConfig

PACKAGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "accelerate": ("accelerate", ("train",)),
    "gdown": ("gdown", ("celeba",)),
    "jinja2": ("jinja2", ("eval",)),
    "lpips": ("lpips", ("eval",)),
    "matplotlib": ("matplotlib", ("eval", "wandb")),
    "pandas": ("pandas", ("eval",)),
    "psutil": ("psutil", ("train",)),
    "scipy": ("scipy", ("eval",)),
    "sklearn": ("scikit-learn", ("train", "eval")),
    "torch_fidelity": ("torch-fidelity", ("fid",)),
    "torchmetrics": ("torchmetrics", ("eval",)),
    "torchvision": ("torchvision", ("train", "eval")),
    "wandb": ("wandb", ("wandb",)),
}
"""Name under which a package is installed, and the extras that bring it, by the name under which it is imported."""

DATA_PACKAGES = {"digits": "sklearn", "photos": "sklearn"}
"""Package that holds the images of a source."""
METRIC_PACKAGES = {
    "psnr": "torchmetrics", "ssim": "torchmetrics", "ms_ssim": "torchmetrics",
    "lpips": "lpips", "lpips_vgg": "lpips", "lpips_squeeze": "lpips",
}  # fmt: skip
"""Package that computes a metric."""
REPORT_PACKAGES = ("jinja2", "matplotlib", "scipy", "torchvision")
"""Packages that a comparison needs beside those of its trainings and evaluations."""


def check_packages(names: Iterable[str], advice: str = "") -> None:
    """Check that packages are installed, without importing them.

    Args:
        names: Names under which they are imported; those that are not in `PACKAGES` come with vaegan itself.
        advice: What the user can do instead, at the end of the message.

    Raises:
        UserError: One is missing, or several are.
    """
    missing = [PACKAGES[name] for name in dict.fromkeys(names) if name in PACKAGES and find_spec(name) is None]
    if missing:
        raise UserError(_describe_missing(missing) + advice)


def check_training_packages(config: "Config") -> None:
    """Check that the packages that a training needs are installed, before it begins.

    Raises:
        UserError: One is missing, or several are.
    """
    names = ["accelerate", "psutil", *_list_data_packages(config)]
    if getattr(config.model, "kmeans", False):
        names.append("sklearn")
    if getattr(config.model, "perceptual", 0):
        names.append("lpips")
    if config.train.evaluate_every is not None and config.model.family != "classifier":
        names += _list_evaluation_packages(config.evaluate)
    check_packages(names)
    if config.track.wandb in ("online", "offline"):
        check_packages(["wandb"], ", or set track.wandb=auto, which then does without it")


def check_evaluation_packages(config: "Config") -> None:
    """Check that the packages that an evaluation needs are installed.

    Args:
        config: The run's config, with the settings of the evaluation.

    Raises:
        UserError: One is missing, or several are.
    """
    metrics = [] if config.model.family == "classifier" else _list_evaluation_packages(config.evaluate)
    check_packages([*_list_data_packages(config), *metrics])


def check_comparison_packages(configs: "Iterable[Config]") -> None:
    """Check that the packages that a study needs, from its trainings to its report, are installed.

    Args:
        configs: Config of each variant.

    Raises:
        UserError: One is missing, or several are.
    """
    check_packages(REPORT_PACKAGES)
    for config in configs:
        check_training_packages(config)
        check_evaluation_packages(config)


@contextmanager
def explain_missing_packages() -> Iterator[None]:
    """Turn the error of an import inside the block into one line that names the package and its extra.

    Raises:
        UserError: A package of `PACKAGES` is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = PACKAGES.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        raise UserError(_describe_missing([package])) from error


def _list_data_packages(config: "Config") -> list[str]:
    package = DATA_PACKAGES.get(config.data.source, "torchvision" if config.data.download else None)
    return [] if package is None else [package]


def _list_evaluation_packages(config: "EvaluateConfig") -> list[str]:
    fitted = ["sklearn"] if (config.density or "").startswith("gmm") else []
    return [METRIC_PACKAGES[metric] for metric in config.metrics if metric in METRIC_PACKAGES] + fitted


def _describe_missing(packages: list[tuple[str, tuple[str, ...]]]) -> str:
    chosen: list[str] = []
    for _, extras in sorted(packages, key=lambda package: len(package[1])):
        if not set(extras) & set(chosen):
            chosen.append(extras[0])
    names = ", ".join(name for name, _ in packages)
    verb = "is" if len(packages) == 1 else "are"
    return f"{names} {verb} not installed; pip install 'vaegan[{','.join(sorted(chosen))}]'"
