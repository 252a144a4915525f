"""Networks in whose features sets of images are compared."""

import io
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.images import lay_on_white, to_uint8
from vaegan.models import Classifier
from vaegan.precision import full_precision
from vaegan.pretrained import WEIGHT_FILES, hash_weights
from vaegan.storage.loading import load_classifier
from vaegan.storage.run_folder import Run
from vaegan.text import get_reason, make_encodable

from ..result import read_result

INCEPTION = "inception"
"""Value of `evaluate.features` for the network of the FID."""


class Extractor(Protocol):
    """A network that computes the features of images."""

    protocol: dict[str, Any]
    """The network and how images are given to it."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features, float32 (N, d), of images (N, C, S, S) in [-1, 1] that are rounded to 8 bits."""

    def get_metric_name(self, name: str) -> str:
        """Return the name of a metric in these features."""


class InceptionExtractor:
    """The network of the FID, Inception-2015-12-05, as the package torch-fidelity has it.

    Grey is repeated to three channels; images are enlarged to 299 pixels as TensorFlow 1 did it, without antialiasing.

    Raises:
        UserError: The package torch-fidelity or the file of weights is missing, or the file holds other weights.
    """

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
        self.protocol = {
            "network": "inception-2015-12-05",
            "package": f"torch-fidelity {version('torch-fidelity')}",
            "weights": file.sha256[:8],
            "dtype": "float32",
            "resolution": 299,
            "resize": "bilinear, as TensorFlow 1, without antialiasing",
        }

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features, float32 (N, 2048), of images (N, C, S, S) in [-1, 1] that are rounded to 8 bits."""
        self.network.to(images.device)
        with full_precision(images.device):
            features: Tensor = self.network(to_uint8(lay_on_white(images)).expand(-1, 3, -1, -1))[0]
        return features

    def get_metric_name(self, name: str) -> str:
        """Return the name that the papers use: fid, kid, precision and so on."""
        return "fid" if name == "fd" else name


class ClassifierExtractor:
    """The network of a run of `vaegan train-features`; the names of its metrics end in that of the run's folder.

    Args:
        path: The run's folder.
        image_shape: (C, S, S) of the images that it is applied to.

    Raises:
        UserError: The folder holds no such network, or the network is for other images.
    """

    def __init__(self, path: Path, image_shape: tuple[int, int | None, int | None]) -> None:
        try:
            self.network: Classifier = load_classifier(path)
        except UserError as error:
            raise UserError(f"evaluate.features: {error}") from None
        if self.network.image_shape != image_shape:
            expected, given = (
                "several sizes" if None in shape else "x".join(map(str, shape))
                for shape in (self.network.image_shape, image_shape)
            )
            raise UserError(
                f"evaluate.features: {path} is for images of {expected}, not {given}; train one on these images"
            )
        self.name = make_encodable(path.resolve().name)
        self.protocol = {
            "network": f"classifier {self.name}",
            "accuracy": read_accuracy(Run(path)),
            "weights": hash_weights(self.network),
            "dtype": "float32",
            "resolution": image_shape[1],
            "resize": None,
        }

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features, float32 (N, d), of images (N, C, S, S) in [-1, 1]."""
        self.network.to(images.device)
        with full_precision(images.device):
            return self.network.features(images.float())

    def get_metric_name(self, name: str) -> str:
        """Return the name with that of the run's folder: fd_<name>, kid_<name> and so on."""
        return f"{name}_{self.name}"


def read_accuracy(run: Run) -> dict[str, float] | None:
    """Return the accuracy of a classifier by split, from its run's `metrics.json`; None: it was not evaluated.

    Raises:
        UserError: `metrics.json` or `scores.safetensors` is damaged.
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


def build_extractor(name: str, image_shape: tuple[int, int | None, int | None]) -> Extractor:
    """Return the network that `evaluate.features` names, for images (C, S, S), or (C, None, None) of several sizes."""
    return InceptionExtractor() if name == INCEPTION else ClassifierExtractor(Path(name), image_shape)
