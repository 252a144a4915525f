"""Attributes as directions in the space of codes, and images that are changed along them or told another class."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor

from vaegan.config.section import Section
from vaegan.errors import Failure, UserError
from vaegan.extras import check_packages
from vaegan.io import load_metadata, load_tensors, replace_file, save_tensors
from vaegan.models import Autoencoder
from vaegan.models.inputs import Labels
from vaegan.text import get_reason, make_printable, shorten, to_one_line

from .encoding import check_continuous_codes

Method = Literal["mean", "logistic"]
"""Way of finding a direction: the difference of the classes' means, or logistic regression."""
METHODS: tuple[Method, ...] = get_args(Method)
HEADER = "attribute"
"""Key of the header in the metadata of a file."""
CONFIDENCE = 0.95
"""Probability that the interval of an accuracy contains the true value."""
MAX_REGRESSION_ITERATIONS = 1000
"""Most iterations of the logistic regression's optimiser."""


class Accuracy(Section):
    """Fraction of held-out images that a direction classifies correctly, with its 95 % interval (Wilson 1927)."""

    value: float = Field(ge=0, le=1)
    """The fraction."""
    low: float = Field(ge=0, le=1)
    """Lower end of the interval."""
    high: float = Field(ge=0, le=1)
    """Upper end of the interval."""


class AttributeHeader(Section):
    """Classes, model and accuracies in the file of an attribute, beside its directions."""

    positive: str
    """Name of the class that a positive strength leads to."""
    negative: str
    """Name of the class that it leads away from."""
    weights: str
    """SHA-256 of the model's file of weights, hexadecimal."""
    images: int
    """Number of images that the directions were learned from."""
    held_out: int
    """Number of images that their accuracy was measured on."""
    majority: float = Field(ge=0, le=1)
    """Fraction of the held-out images that are of the larger class: the accuracy of always naming it."""
    accuracies: dict[Method, Accuracy]
    """Accuracy of each method's direction."""


@dataclass(frozen=True, eq=False)
class Attribute:
    """Directions in the space of codes along which images change from one class to the other."""

    header: AttributeHeader
    """The classes, the model, and how well the directions tell held-out images apart."""
    directions: Mapping[Method, Tensor]
    """Direction of each method, float64, shape (d,), on the CPU. One of them, added to a code, moves it as far along
    the direction as the mean of the positive class lies from that of the negative one."""


def check_both_classes(is_positive: Tensor, positive: str, negative: str, use: str) -> None:
    """Check that there are images of both classes, before they are encoded.

    Args:
        is_positive: Whether each image is of the positive class, bool, shape (N,).
        positive: Name of the positive class.
        negative: Name of the negative class.
        use: Use of the images, for the message.

    Raises:
        UserError: A class has no image.
    """
    for name, of_class in ((positive, is_positive), (negative, ~is_positive)):
        if not of_class.any():
            raise UserError(f"{shorten(name)}: no image of this class {use}; give more images")


def learn_attribute(
    codes: Tensor, is_positive: Tensor, held_out_codes: Tensor, held_out_is_positive: Tensor,
    *, positive: str, negative: str, weights: str,
) -> Attribute:  # fmt: skip
    """Learn the directions from one class to another, and measure how well each tells held-out images apart.

    With the means m of the two classes, the direction of `mean` is the difference D = m_positive - m_negative (Larsen
    et al. 2016, section 4.2), and classifies a code by which side of the midpoint it lies on. That of `logistic` is
    the projection n (n . D) of it on the normal n of the plane by which a logistic regression of standardised codes
    (L2 penalty, C = 1) separates the classes.

    Args:
        codes: Posterior means of the images to learn from, shape (N, d).
        is_positive: Whether each is of the positive class, bool, shape (N,).
        held_out_codes: Posterior means of other images, shape (M, d).
        held_out_is_positive: Whether each is of the positive class, bool, shape (M,).
        positive: Name of the positive class.
        negative: Name of the negative class.
        weights: SHA-256 of the model's file of weights.

    Raises:
        UserError: A class has no image to learn from or to measure on, or scikit-learn is not installed.
        Failure: A code is not finite.
    """
    check_packages(["sklearn"])
    from sklearn.linear_model import LogisticRegression  # which takes a second to import
    from sklearn.preprocessing import StandardScaler

    check_both_classes(is_positive, positive, negative, "to learn from")
    check_both_classes(held_out_is_positive, positive, negative, "held out")
    codes, others = codes.double().cpu(), held_out_codes.double().cpu()
    if not (codes.isfinite().all() and others.isfinite().all()):
        raise Failure("the codes of the images are not finite; use a run whose training did not diverge")
    ends = codes[is_positive].mean(0), codes[~is_positive].mean(0)
    difference = ends[0] - ends[1]
    scaler = StandardScaler().fit(codes.numpy())
    regression = LogisticRegression(max_iter=MAX_REGRESSION_ITERATIONS)
    regression.fit(scaler.transform(codes.numpy()), is_positive.numpy())
    normal = torch.from_numpy(regression.coef_[0] / scaler.scale_)
    normal = normal / normal.norm().clamp_min(torch.finfo(normal.dtype).tiny)
    predictions: dict[Method, Tensor] = {
        "mean": (others - (ends[0] + ends[1]) / 2) @ difference > 0,
        "logistic": torch.from_numpy(regression.predict(scaler.transform(others.numpy()))),
    }
    share = held_out_is_positive.double().mean().item()
    header = AttributeHeader(
        positive=positive,
        negative=negative,
        weights=weights,
        images=len(codes),
        held_out=len(others),
        majority=max(share, 1 - share),
        accuracies={
            method: estimate_accuracy(int((found == held_out_is_positive).sum()), len(others))
            for method, found in predictions.items()
        },
    )
    return Attribute(header, {"mean": difference, "logistic": normal * (normal @ difference)})


def estimate_accuracy(correct: int, count: int) -> Accuracy:
    """Return the fraction of ``count`` images that are classified correctly, with its 95 % interval (Wilson 1927)."""
    from scipy.stats import binomtest  # which scikit-learn brings

    interval = binomtest(correct, count).proportion_ci(CONFIDENCE, method="wilson")
    return Accuracy(value=correct / count, low=interval.low, high=interval.high)


def check_attribute_file(file: Path) -> None:
    """Check that a file of directions replaces no other file of tensors, such as the weights of a model.

    Raises:
        UserError: There is a file, and it is none of directions.
    """
    if file.exists():
        try:
            load_attribute(file)
        except UserError:
            problem = "a file that is none of directions, which it would replace"
            raise UserError(f"{make_printable(file)}: {problem}; name another file") from None


def save_attribute(attribute: Attribute, file: Path) -> None:
    """Write the directions of an attribute as safetensors, with its header as JSON in the metadata.

    Raises:
        Failure: The file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as partial:
            directions = {str(method): direction for method, direction in attribute.directions.items()}
            save_tensors(directions, partial, {HEADER: attribute.header.model_dump_json()})
    except OSError as error:
        raise Failure(f"{make_printable(file)}: cannot be written ({get_reason(error)})") from None


def load_attribute(file: Path, weights: str | None = None) -> Attribute:
    """Read the attribute that `save_attribute` has written.

    Args:
        file: The file.
        weights: SHA-256 of the weights of the model that it is used with; None: any model's.

    Raises:
        UserError: There is no such file, it is damaged, or it was learned from the codes of another model.
    """
    if os.path.exists(file) and not os.path.isfile(file):  # opening a pipe would wait for a writer
        raise UserError(f"{make_printable(file)}: not a regular file; name one of `vaegan attribute`")
    try:
        directions = load_tensors(file)
        header = AttributeHeader.model_validate_json(load_metadata(file)[HEADER])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        reason = "it lacks its header" if isinstance(error, KeyError) else to_one_line(get_reason(error), 80)
        advice = "make it by `vaegan attribute`"
        raise UserError(f"{make_printable(file)}: not a file of directions ({reason}); {advice}") from None
    shapes = {(tensor.dtype, tensor.ndim, len(tensor)) for tensor in directions.values() if tensor.ndim}
    if {*directions} != {*METHODS} or len(shapes) != 1 or (*shapes,)[0][:2] != (torch.float64, 1):
        raise UserError(f"{make_printable(file)}: not one direction of each method; make it by `vaegan attribute`")
    if not all(tensor.isfinite().all() for tensor in directions.values()):
        raise UserError(f"{make_printable(file)}: a direction is not finite; make it again by `vaegan attribute`")
    if weights is not None and header.weights != weights:
        problem = "directions of the codes of another model"
        raise UserError(f"{make_printable(file)}: {problem}; make those of this one by `vaegan attribute`")
    return Attribute(header, {method: directions[method] for method in METHODS})


def edit_images(
    model: Autoencoder,
    images: Tensor,
    changes: Sequence[tuple[Tensor, float]],
    labels: Labels = None,
    residual: bool = False,
) -> Tensor:
    """Decode the posterior means of images, each moved along the same directions: shape (N, C, S, S).

    Args:
        model: The model.
        images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
        changes: Directions, shape (d,), and how far to move along each; with strengths of 0 the result is
            `Autoencoder.reconstruct`.
        labels: Class of each image of a conditional model.
        residual: Whether to add what the model leaves out, the image minus its reconstruction. With strengths of 0 the
            result is the image.

    Raises:
        UserError: The codes are entries of a codebook, images, labels or directions do not fit the model, or the
            strengths are so large that an image is not finite.
    """
    check_continuous_codes(model)
    images = model.prepare_images(images)
    codes = model.encode(images, labels).mean
    edited = model.decode(shift_codes(codes, changes), labels)
    if not edited.isfinite().all():
        raise UserError("changes: moved so far that the images are not finite; give smaller strengths")
    return images + (edited - model.decode(codes, labels)) if residual else edited


def shift_codes(codes: Tensor, changes: Sequence[tuple[Tensor, float]]) -> Tensor:
    """Move codes along directions: (N, d) => (N, d).

    Raises:
        UserError: A direction of ``changes``, shape (d,), is of another size than the codes.
    """
    for direction, _ in changes:
        if direction.shape != codes.shape[1:]:
            shape = tuple(direction.shape)
            raise UserError(f"changes: direction of shape {shape}; give that of a code, ({codes.shape[1]},)")
    return codes + sum((strength * direction.to(codes) for direction, strength in changes), torch.zeros_like(codes))


def translate_images(model: Autoencoder, images: Tensor, source: Labels, target: Labels) -> Tensor:
    """Decode the posterior means of images under another class than they were encoded under: shape (N, C, S, S).

    Args:
        model: A conditional model, whose code need not carry the class (Kingma et al. 2014, section 4.3).
        images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
        source: Class of each image, int64, shape (N,), or one class of all.
        target: Class to decode each under; where it is the source, the result is `Autoencoder.reconstruct`.

    Raises:
        UserError: The model's networks take no class, or images or classes do not fit it.
    """
    check_translates(model)
    return model.decode(model.encode(images, source).mean, target)


def check_translates(model: Autoencoder, name: str = "this model") -> None:
    """Check that the decoder of a model takes the class of an image.

    Args:
        model: The model.
        name: Its name in the message.

    Raises:
        UserError: It does not.
    """
    if model.classes is None:
        raise UserError(
            f"{name} is unconditional; train one with model.labels, or move its codes along a direction, as `vaegan"
            " attribute` and `vaegan edit` do"
        )
    if not model.networks_take_labels:
        raise UserError(f"{name} decodes codes without a class; use a conditional run of another family, as vae")
