"""Networks in whose features sets of images are compared."""

import io
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.images import to_uint8
from vaegan.models import Classifier
from vaegan.precision import full_precision
from vaegan.pretrained import WEIGHT_FILES, hash_weights
from vaegan.storage.loading import load_classifier
from vaegan.storage.run_folder import Run
from vaegan.text import get_reason

from ..result import read_result

INCEPTION = "inception"
"""What `evaluate.features` calls the network of the FID."""


class Extractor(Protocol):
    """A network that gives the features of an image."""

    weights: str
    """What tells its weights from others: hexadecimal digits of a hash."""

    def __call__(self, images: Tensor) -> Tensor:
        """Images as a file of 8 bits holds them, (N, C, S, S) in [-1, 1] => float32 (N, d)."""

    def get_protocol(self) -> dict[str, Any]:
        """The network and what it is shown."""

    def get_metric_name(self, name: str) -> str:
        """What a figure is called in its features."""


class InceptionExtractor:
    """The network of the FID, Inception-2015-12-05, as the package torch-fidelity has it.

    Grey is repeated to three channels; images are enlarged to 299 pixels as TensorFlow 1 did it, without antialiasing.

    Raises:
        UserError: The package or the file of weights is not there, or is another one.
    """

    weights = WEIGHT_FILES[INCEPTION].sha256[:8]

    def __init__(self) -> None:
        instead = f"evaluate.features: {INCEPTION} needs {{}}, or use a network of `vaegan train-features` instead"
        if find_spec("torch_fidelity") is None:
            raise UserError(instead.format("the package torch-fidelity (pip install 'vaegan[fid]')"))
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        file = WEIGHT_FILES[INCEPTION]
        if not file.exists:
            raise UserError(instead.format(f"{file.path} (`vaegan weights --fetch` brings it from {file.url})"))
        state, ours = file.read(), io.BytesIO()
        torch.save(state, ours)  # the package unpickles whatever it is given, and so is given what we have written
        ours.seek(0)
        try:
            self.network = FeatureExtractorInceptionV3(INCEPTION, ["2048"], feature_extractor_weights_path=ours)
        except RuntimeError:
            raise UserError(f"{file.path}: not the weights that are published at {file.url}") from None

    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, 2048)."""
        self.network.to(images.device)
        with full_precision(images.device):
            features: Tensor = self.network(to_uint8(images).expand(-1, 3, -1, -1))[0]
        return features

    def get_protocol(self) -> dict[str, Any]:
        """The network and what it is shown."""
        return {
            "network": "inception-2015-12-05",
            "package": f"torch-fidelity {version('torch-fidelity')}",
            "weights": self.weights,
            "dtype": "float32",
            "resolution": 299,
            "resize": "bilinear, as TensorFlow 1, without antialiasing",
        }

    def get_metric_name(self, name: str) -> str:
        """Fid, kid, precision and so on, as the papers call them."""
        return "fid" if name == "fd" else name


class ClassifierExtractor:
    """The network of a run of `vaegan train-features`; its figures bear the name of the run's folder.

    Args:
        path: The run's folder.
        image_shape: (C, S, S) of the images that it shall see.

    Raises:
        UserError: There is no such network there, or it is for other images.
    """

    def __init__(self, path: Path, image_shape: tuple[int, int, int]) -> None:
        try:
            self.network: Classifier = load_classifier(path)
        except UserError as mistake:
            raise UserError(f"evaluate.features: {mistake}") from None
        if self.network.image_shape != image_shape:
            own, other = ("x".join(map(str, shape)) for shape in (self.network.image_shape, image_shape))
            raise UserError(f"evaluate.features: {path} is for images of {own}, not {other}; train one on these images")
        self.name = path.resolve().name
        self.weights = hash_weights(self.network)
        self.accuracy = read_accuracy(Run(path))

    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, d)."""
        self.network.to(images.device)
        with full_precision(images.device):
            return self.network.features(images.float())

    def get_protocol(self) -> dict[str, Any]:
        """The network and what it is shown."""
        return {
            "network": f"classifier {self.name}",
            "accuracy": self.accuracy,
            "weights": self.weights,
            "dtype": "float32",
            "resolution": self.network.image_shape[1],
            "resize": None,
        }

    def get_metric_name(self, name: str) -> str:
        """fd_<name>, kid_<name> and so on."""
        return f"{name}_{self.name}"


def read_accuracy(run: Run) -> dict[str, float] | None:
    """How often a classifier was right, by split, as its run's `metrics.json` says; None: it was not measured.

    Raises:
        UserError: The file, or the one with the scores, is damaged.
    """
    try:
        metrics = read_result(run).metrics
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        file = getattr(error, "filename", None) or run.metrics_file
        raise UserError(
            f"{file}: damaged ({get_reason(error)}); `vaegan evaluate {run.path}` measures it again"
        ) from None
    return {name: value for name, value in metrics.items() if name.endswith("/accuracy")}


def build_extractor(name: str, image_shape: tuple[int, int, int]) -> Extractor:
    """The network that `evaluate.features` names."""
    return InceptionExtractor() if name == INCEPTION else ClassifierExtractor(Path(name), image_shape)
