"""Checks of the tensors that a caller gives to a model, and fresh noise in the place of noise that is not given."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.images import check_pixel_values, to_float

Labels: TypeAlias = Tensor | int | None
"""Class of each of N images, int64, shape (N,), or one class of all of them; None: the model is unconditional."""


def check_tensor(name: str, value: Any, shape: Sequence[int], weight: Tensor, advice: str = "") -> None:
    """Check that a value is a tensor (N, ...) of the shape, dtype and device that a model takes; no value is read.

    Args:
        name: Name of the argument, for the message.
        value: Its value.
        shape: Shape after the first dimension.
        weight: A parameter of the model, whose dtype and device it must have.
        advice: End of the message.

    Raises:
        UserError: It is no tensor, or of another shape, dtype or device.
    """
    expected = f"{weight.dtype} of shape (N, {', '.join(map(str, shape))})"
    if not isinstance(value, Tensor):
        raise UserError(f"{name}: {type(value).__name__}; give {expected}{advice}")
    if value.dtype != weight.dtype or value.shape[1:] != tuple(shape):
        raise UserError(f"{name}: {value.dtype} of shape {tuple(value.shape)}; give {expected}{advice}")
    if value.device != weight.device:
        raise UserError(f"{name}: on {value.device}; bring them to the model's device, {weight.device}")


def prepare_images(images: Any, shape: Sequence[int], weight: Tensor, check_values: bool = True) -> Tensor:
    """Return images as a model takes them, in [-1, 1], of its dtype: uint8 pixels are converted, others are checked.

    Args:
        images: The images, shape (N, C, S, S).
        shape: (C, S, S).
        weight: A parameter of the model, whose dtype and device they must have.
        check_values: Whether floats are read to check that they are not from 0 to 255. Those on an accelerator are
            never read, since the program would have to wait for it.

    Raises:
        UserError: They are no tensor, or of another shape, dtype or device, or far outside [-1, 1].
    """
    if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.shape[1:] == tuple(shape):
        images = to_float(images, weight.dtype)
    check_tensor("images", images, shape, weight, " in [-1, 1], or torch.uint8 from 0 to 255")
    if check_values and images.device.type == "cpu":
        check_pixel_values(images)
    prepared: Tensor = images
    return prepared


def check_labels(labels: Labels, count: int, classes: int | None, needed: bool) -> Tensor | None:
    """Check labels and return them one for each image.

    Args:
        labels: Class of each image, int64, shape (N,), or one class of all.
        count: Number N of images.
        classes: Number of classes of the model; None: it is unconditional.
        needed: True if a conditional model must be given labels.

    Returns:
        Class of each image, int64, shape (N,); None: `labels` is None.

    Raises:
        UserError: `labels` is of another type or shape, names no class of the model, is needed and missing, or is
            given to an unconditional model.
    """
    if classes is None:
        if labels is not None:
            raise UserError("labels: this model is unconditional; leave them out, or train one with model.labels")
        return None
    if labels is None:
        if needed:
            raise UserError(f"labels: this model is conditional; give each image's class, 0 to {classes - 1}")
        return None
    tensor = torch.as_tensor(labels)
    if tensor.dtype != torch.int64 or tensor.shape not in ((), (count,)):
        shape = tuple(tensor.shape)
        raise UserError(f"labels: {tensor.dtype} of shape {shape}; give an int, or torch.int64 of shape ({count},)")
    if tensor.numel() and not 0 <= tensor.min() <= tensor.max() < classes:
        wrong = int(tensor.min()) if tensor.min() < 0 else int(tensor.max())
        raise UserError(f"labels: {wrong}: the classes of this model are 0 to {classes - 1}")
    return tensor.expand(count)


def get_noise(name: str, noise: Tensor | None, codes: Tensor) -> Tensor:
    """Return standard normal noise of the shape, dtype and device of codes: the given one, or else fresh noise.

    Args:
        name: Name of the argument, for the message.
        noise: Shape (N, d); None: it is drawn with torch's global generator.
        codes: Shape (N, d).

    Raises:
        UserError: `noise` has another shape.
    """
    if noise is None:
        return torch.randn_like(codes)
    if noise.shape != codes.shape:
        raise UserError(f"{name}: of shape {tuple(noise.shape)}; give that of the codes, {tuple(codes.shape)}")
    return noise
