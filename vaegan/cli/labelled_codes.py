"""Codes of images of two classes: of a run's own images, or of those of a label file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.applications.attributes import check_both_classes
from vaegan.applications.encoding import check_continuous_codes, encode_images
from vaegan.applications.label_files import read_label_file
from vaegan.data.members import hash_name
from vaegan.errors import UserError
from vaegan.storage.loading import load, load_decoding
from vaegan.text import make_encodable, make_printable, shorten, to_one_line
from vaegan.workflows.image_files import BATCH_IMAGES, ImageFile, read_images
from vaegan.workflows.runs import load_run_model
from vaegan.workflows.trained_model import MAX_CLASS_LIST_CHARACTERS, load_model_and_classes, open_images_of_run

from .console import Console

ALL_OTHERS = "all others"
"""Name of the negative class that is every class but the positive one."""
HELD_OUT = 0.2
"""Fraction of the images of a label file that are held out, by the hash of their names. A training of the file's folder
draws its splits by the same hash: with its default fractions it has validated and tested on these images."""


class LabelledCodes(NamedTuple):
    """Codes of images of two classes."""

    codes: Tensor
    """Posterior means, shape (N, d)."""
    is_positive: Tensor
    """True for images of the positive class, bool, shape (N,)."""


class ClassCodes(NamedTuple):
    """Codes of images of two classes, to learn from and held out."""

    learned: LabelledCodes
    held_out: LabelledCodes
    positive: str
    """Name of the positive class."""
    negative: str
    """Name of the negative class, or `ALL_OTHERS`."""


def choose_classes(classes: Sequence[str], positive: str | None, negative: str | None) -> tuple[str, str]:
    """Return the names of the positive and of the negative class, the latter `ALL_OTHERS` for all but the positive one.

    Args:
        classes: All classes, in order.
        positive: Value of --positive; None: of two classes, the last one that is not the negative one.
        negative: Value of --negative; None: all but the positive one.

    Raises:
        UserError: There are fewer than two classes, more and none is named, or a name is wrong.
    """
    listed = to_one_line(", ".join(classes), MAX_CLASS_LIST_CHARACTERS)
    if len(classes) < 2:
        raise UserError(f"--by: images of one class alone, {listed}; give labels of two or more")
    for option, name in (("--positive", positive), ("--negative", negative)):
        if name is not None and name not in classes:
            raise UserError(f"{option} {shorten(name)}: no such class; the classes are {listed}")
    if positive is None:
        if len(classes) > 2:
            raise UserError(f"--positive: name the class to lead to, one of {listed}")
        positive = next(name for name in reversed(classes) if name != negative)
    if positive == negative:
        raise UserError(f"--negative {shorten(negative)}: the positive class itself; name another one")
    if negative is None:
        negative = next(name for name in classes if name != positive) if len(classes) == 2 else ALL_OTHERS
    return positive, negative


def encode_own_images(
    run: Path, positive: str | None, negative: str | None, number: int, console: Console,
    data_root: Path | None = None, allow_other_data: bool = False,
) -> ClassCodes:  # fmt: skip
    """Encode images of a run's training split to learn from, and of its test split to measure on.

    Args:
        run: Run folder.
        positive: Value of --positive.
        negative: Value of --negative.
        number: Most images to learn from, and to measure on.
        console: Shows progress and notes.
        data_root: Folder that the images have moved to; None: they are where the config says.
        allow_other_data: Whether to go on with images that are not those of the run.

    Raises:
        UserError: The model is conditional or has codes of a codebook, a class is wrong, or the images are missing,
            without labels or not those of the run.
    """
    model = load_run_model(run, load, console)
    check_continuous_codes(model, run)
    if model.classes is not None and model.networks_take_labels:
        problem = f"{run} is told the class of an image, so that its codes need not carry it"
        raise UserError(f"--by labels: {problem}; use `vaegan translate`, or give another attribute in a label file")
    data, _ = open_images_of_run(run, "test", console, data_root, allow_other_data)
    data.train.require_labels("data.source", len(data.classes))
    names = choose_classes(data.classes, positive, negative)
    parts = []
    for use, images in (("to learn from", data.train), ("held out", data.test)):
        labels = images.require_labels("data.source", len(data.classes))
        is_positive, chosen = labels == data.classes.index(names[0]), torch.ones(len(labels), dtype=torch.bool)
        if names[1] != ALL_OTHERS:
            chosen = is_positive | (labels == data.classes.index(names[1]))
        positions = _spread(chosen.nonzero()[:, 0], number)
        check_both_classes(is_positive[positions], *names, use)
        parts.append((use, images, positions, is_positive[positions]))
    encoded = []
    for use, images, positions, is_positive in parts:
        with console.progress(f"Encoding images {use}", "images") as progress:
            encoded.append(LabelledCodes(encode_images(model, images, positions, progress).mean, is_positive))
    return ClassCodes(encoded[0], encoded[1], *names)


def encode_listed_images(
    run: Path, file: Path, positive: str | None, negative: str | None, number: int, console: Console,
    label: str | None = None,
) -> ClassCodes:  # fmt: skip
    """Encode the images of a label file, of which about `HELD_OUT` are held out.

    Args:
        run: Run folder.
        file: Label file; names in it start at its folder.
        positive: Value of --positive.
        negative: Value of --negative.
        number: Most images to learn from, and to measure on.
        console: Shows progress and notes.
        label: Class of all images of a conditional run; None: their folders are their classes.

    Raises:
        UserError: The file, an image in it or a class is wrong, or the model has codes of a codebook.
    """
    labels, decoding = read_label_file(file), load_decoding(run)
    names = choose_classes(sorted({*labels.values()}), positive, negative)
    files = [name for name, value in labels.items() if names[1] == ALL_OTHERS or value in names]
    is_held_out = torch.tensor([hash_name(make_encodable(name)) < HELD_OUT for name in files])
    is_positive = torch.tensor([labels[name] == names[0] for name in files])
    parts = {"to learn from": _spread((~is_held_out).nonzero()[:, 0], number)}
    parts["held out"] = _spread(is_held_out.nonzero()[:, 0], number)
    for use, positions in parts.items():
        check_both_classes(is_positive[positions], *names, use)
    places = [ImageFile(path := file.parent / name, label=make_encodable(path.parent.name)) for name in files]
    model, class_numbers = load_model_and_classes(run, label, console, [place.label for place in places])
    check_continuous_codes(model, run)
    encoded, silent = [], Console(bars=False)  # the bar is that of the encoding
    for use, positions in parts.items():
        codes, batches = list[Tensor](), positions.split(BATCH_IMAGES)
        with console.progress(f"Encoding images {use}", "images", BATCH_IMAGES) as progress:
            for batch in batches:
                try:
                    images, read = read_images([places[index] for index in batch], model, decoding, silent)
                except UserError as error:
                    raise UserError(f"{make_printable(file)}: {error}") from None
                numbers = torch.tensor([class_numbers[each.label] for each in read]) if class_numbers else None
                codes.append(model.encode(images, numbers).mean)
                progress(len(codes), len(batches))
        encoded.append(LabelledCodes(torch.cat(codes), is_positive[positions]))
    return ClassCodes(encoded[0], encoded[1], *names)


def _spread(positions: Tensor, most: int) -> Tensor:
    """Return at most ``most`` of some positions, evenly spaced, int64."""
    count = min(len(positions), most)
    return positions[torch.arange(count) * len(positions) // max(1, count)]
