"""The packages that only some uses need: the extra of `setup.py` that brings each, and one line where one is missing.

Whatever imports one of them does so inside the function that needs it, or in a module that only such uses import.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:  # pydantic is slow to import, and the command line imports this module at once
    from .config.schema import Config

PACKAGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "accelerate": ("accelerate", ("train",)),
    "constriction": ("constriction", ("compression",)),
    "datasets": ("datasets", ("huggingface",)),
    "diffusers": ("diffusers", ("diffusers",)),
    "gdown": ("gdown", ("celeba",)),
    "gradio": ("gradio", ("explore",)),
    "huggingface_hub": ("huggingface-hub", ("hub",)),
    "jinja2": ("jinja2", ("eval",)),
    "lpips": ("lpips", ("eval",)),
    "matplotlib": ("matplotlib", ("eval", "wandb")),
    "onnx": ("onnx", ("onnx",)),
    "onnxruntime": ("onnxruntime", ("onnx",)),
    "onnxscript": ("onnxscript", ("onnx",)),
    "pandas": ("pandas", ("eval",)),
    "pillow_heif": ("pillow-heif", ("heif",)),
    "psutil": ("psutil", ("train",)),
    "scipy": ("scipy", ("eval", "explore")),
    "simplejpeg": ("simplejpeg", ("train",)),
    "sklearn": ("scikit-learn", ("train", "eval")),
    "torch_fidelity": ("torch-fidelity", ("fid",)),
    "torchmetrics": ("torchmetrics", ("eval",)),
    "torchvision": ("torchvision", ("train", "eval")),
    "wandb": ("wandb", ("wandb",)),
}
"""Name under which a package is installed, and the extras that bring it, by the name under which it is imported."""

DATA_PACKAGES = {"digits": "sklearn", "photos": "sklearn", "huggingface": "datasets"}
"""Package that holds the images of a source."""
METRIC_PACKAGES = {
    "psnr": "torchmetrics", "ssim": "torchmetrics", "ms_ssim": "torchmetrics",
    "lpips": "lpips", "lpips_vgg": "lpips", "lpips_squeeze": "lpips", "anomaly": "lpips", "completion": "lpips",
}  # fmt: skip
"""Package that computes a metric."""
REPORT_PACKAGES = ("jinja2", "matplotlib", "scipy", "torchvision")
"""Packages that a comparison needs beside those of its trainings and evaluations."""


def check_packages(names: Iterable[str], use: str = "") -> None:
    """Check that packages are installed, without importing them.

    Args:
        names: Names under which they are imported, of `PACKAGES`.
        use: Extra that is named where several bring the same package.

    Raises:
        UserError: One is missing, or several are.
    """
    if missing := [PACKAGES[name] for name in dict.fromkeys(names) if find_spec(name) is None]:
        raise UserError(_describe_missing(missing, use))


def check_training_packages(config: "Config") -> None:
    """Check that the packages that a training needs are installed, before it begins.

    Raises:
        UserError: One is missing, or several are.
    """
    check_packages(_list_training_packages(config), "train")
    _check_tracking_package(config)


def check_evaluation_packages(config: "Config") -> None:
    """Check that the packages that an evaluation needs are installed.

    Args:
        config: The run's config, with the settings of the evaluation.

    Raises:
        UserError: One is missing, or several are.
    """
    check_packages([*_list_data_packages(config), *_list_metric_packages(config)], "eval")


def check_comparison_packages(configs: "Iterable[Config]") -> None:
    """Check that the packages that a study needs, from its trainings to its report, are installed.

    Args:
        configs: Config of each variant.

    Raises:
        UserError: One is missing, or several are.
    """
    configs = list(configs)
    names = [name for config in configs for name in (*_list_training_packages(config), *_list_metric_packages(config))]
    check_packages([*names, *REPORT_PACKAGES])
    for config in configs:
        _check_tracking_package(config)


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


def _list_training_packages(config: "Config") -> list[str]:
    model = config.model
    names = ["accelerate", "psutil", *_list_data_packages(config)]
    names += ["sklearn"] if getattr(model, "kmeans", False) else []
    names += ["lpips"] if getattr(model, "perceptual", 0) else []
    names += ["diffusers"] if getattr(model, "network", None) == "diffusers" else []
    return names + (_list_metric_packages(config) if config.train.evaluate_every is not None else [])


def _list_data_packages(config: "Config") -> list[str]:
    if config.data.download:
        return ["torchvision"]
    return [DATA_PACKAGES[config.data.source]] if config.data.source in DATA_PACKAGES else []


def _list_metric_packages(config: "Config") -> list[str]:
    if config.model.family == "classifier":  # measured by its accuracy alone
        return []
    fitted = ["sklearn"] if (config.evaluate.density or "").startswith("gmm") else []
    return [METRIC_PACKAGES[name] for name in config.evaluate.metrics if name in METRIC_PACKAGES] + fitted


def _check_tracking_package(config: "Config") -> None:
    if config.track.wandb in ("online", "offline") and find_spec("wandb") is None:
        problem = _describe_missing([PACKAGES["wandb"]])
        raise UserError(f"track.wandb: {config.track.wandb}: {problem}, or set it to auto, which does without")


def _describe_missing(packages: list[tuple[str, tuple[str, ...]]], use: str = "") -> str:
    names = ", ".join(name for name, _ in packages)
    extras = sorted({use if use in extras else extras[0] for _, extras in packages})
    verb = "is" if len(packages) == 1 else "are"
    return f"{names} {verb} not installed; pip install 'vaegan[{','.join(extras)}]'"
