"""Protocols: the choices that metrics depend on, recorded beside them and compared between processes."""

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch

from vaegan.config.differences import describe_differences, flatten
from vaegan.data import Images
from vaegan.distributed import all_gather_object
from vaegan.errors import UserError
from vaegan.images import ALPHA_CHANNELS
from vaegan.models.model import Model


def describe_images(images: Images, model: Model) -> dict[str, Any]:
    """Return the protocol's entries on the images of a split as a model sees them."""
    channels, size, _ = model.image_shape
    alpha = {"alpha": "laid on white, except for features of classifiers"} if channels in ALPHA_CHANNELS else {}
    return {"of": len(images), "subset": "even distances", "resolution": size, "channels": channels, **alpha}


def describe_computation(like: torch.Tensor, batch_size: int) -> dict[str, Any]:
    """Return the protocol's entries on how forwards are computed, in the dtype and on the device of a tensor."""
    dtype = str(like.dtype).removeprefix("torch.")
    return {
        "batch_size": batch_size,
        "dtype": dtype,
        "arithmetic": "float32, without TF32" if like.dtype == torch.float32 else dtype,
        "device": like.device.type,
        "versions": get_versions(),
    }


def check_same_protocol(protocol: Mapping[str, Any]) -> None:
    """Check that all processes of the launch have the same protocol; all of them call this together.

    Raises:
        UserError: The protocol of a process differs from that of process 0.
    """
    first, *others = all_gather_object(flatten(protocol))
    for number, other in enumerate(others, start=1):
        differences = describe_differences(first, other)
        if differences:
            raise UserError(
                f"process {number} would not measure what process 0 does: {differences};"
                " give all of them the same arguments, packages and files of weights"
            )


def get_versions() -> dict[str, str]:
    """Return the versions of the installed packages that metrics depend on."""
    packages = ("torch", "torchvision", "torchmetrics", "lpips", "torch-fidelity")
    installed = {name: version(name) for name in packages if find_spec(name.replace("-", "_"))}
    return {**installed, "scikit-learn": version("scikit-learn")}
