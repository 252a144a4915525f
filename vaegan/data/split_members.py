"""The splits of an image set whose contents can change, by the names of its images or by the list of a run."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

import torch

from vaegan.config.data import DataConfig
from vaegan.text import make_encodable

from .dataset import Data, Images, Source
from .folder import label_by_folder
from .members import (
    NO_DIFFERENCES,
    SPLITS,
    Differences,
    Found,
    Member,
    MemberList,
    assign_splits,
    compare,
    fill_places,
    find_first_copies,
    find_held_out,
    join_names,
)
from .reading import ReadImages

SETTINGS_WITHOUT_PIXELS = {"root", "hub", "crop", "cache", "workers", "strict", "download", "horizontal_flip", "sha256"}
"""Settings of the `data` section that change no image before it is trained on, and no split."""


def split_members(
    source: Source, config: DataConfig, read: ReadImages, known: MemberList | None, training: bool,
    notify: Callable[[str], None],
) -> Data:  # fmt: skip
    """Return a set with its splits and its list of members, and how it differs from that of a run.

    Without a list an image's split is a property of its name. With one, members keep their splits; the places of those
    that are missing are taken by the next ones if the set is trained on, and else left out; images that are new are
    left out, except that an evaluation may use those that are held out by their name.

    Args:
        source: The set.
        config: The `data` section.
        read: The source's images.
        known: The list of the run that the set is opened for; None: the run is a new one.
        training: Whether the set is opened to train on it.
        notify: Called with one-line warnings.

    Raises:
        UserError: There are too few images.
    """
    usable = [index for index in range(len(source.reader)) if index not in read.broken]
    names, (classes, labels) = list(map(source.reader.get_name, range(len(source.reader)))), _label(source, usable)
    found = [Found(i, names[i], labels[i], read.digests[i], read.contents[i]) for i in usable]
    differences = NO_DIFFERENCES
    if known is None:
        _report_copies(found, notify)
        split_of = dict(zip(usable, _assign_splits(found, source, config), strict=True))
        rows = {image.index: Member(image.name, image.label, image.digest, split_of[image.index]) for image in found}
        members = tuple(rows.get(index, Member(name, None, "", None)) for index, name in enumerate(names))
    else:
        classes, by_name = known.classes, {image.name: image for image in found}
        differences = compare(known, by_name, [names[index] for index in sorted(read.broken)])
        members = tuple(_update(member, by_name.get(member.name)) for member in known.members)
        found = [image for image in found if not classes or image.label in classes]
    places = _find_places(members, found, config, known, training)

    def make_images(split: str) -> Images:
        indices = torch.tensor([image.index for image in places[split]], dtype=torch.int64)
        if not classes:
            return Images(read.store, indices, None, classes)
        numbers: dict[str | None, int] = {name: number for number, name in enumerate(classes)}
        of_split = torch.tensor([numbers[image.label] for image in places[split]], dtype=torch.int64)
        return Images(read.store, indices, of_split, classes)

    parts = (f"{split}\0{x.name}\0{x.label}\0{x.digest}" for split in SPLITS for x in places[split])
    listed = MemberList(config.source, compute_fingerprint(config, classes, parts), members, classes)
    if known is not None:
        listed = append_history(listed, known, differences if training else NO_DIFFERENCES)
    train, validation, test = map(make_images, SPLITS)
    return Data(train, validation, test, classes, listed.fingerprint, listed, differences)


def _label(source: Source, usable: Sequence[int]) -> tuple[tuple[str, ...], dict[int, str | None]]:
    """Return the classes of a set, and the class of each image that can be read by its index."""
    if source.label_by_folder:
        return label_by_folder({index: source.reader.get_name(index) for index in usable})
    classes = tuple(make_encodable(source.classes))
    if source.labels is None:
        return classes, dict.fromkeys(usable)
    numbers = source.labels.tolist()
    return classes, {index: classes[numbers[index]] for index in usable}


def _assign_splits(found: Sequence[Found], source: Source, config: DataConfig) -> list[str]:
    """Return the split of each image: that which the set comes with, of which those that are missing are drawn."""
    if not source.official_splits:
        return assign_splits(found, config.validation, config.test)
    official = [source.official_splits[image.index] for image in found]
    validation, test = (0 if split in official else getattr(config, split) for split in SPLITS[1:])
    trained = [image for image, split in zip(found, official, strict=True) if split == "train"]
    drawn = iter(assign_splits(trained, validation, test))
    return [next(drawn) if split == "train" else split for split in official]


def _update(member: Member, image: Found | None) -> Member:
    """Return a member with the digest and the class that its image has now; one that was never used stays as it is."""
    if image is None or member.split is None:
        return member
    return Member(member.name, image.label, image.digest, member.split)


def _find_places(
    members: Sequence[Member], found: Sequence[Found], config: DataConfig, known: MemberList | None, training: bool
) -> dict[str, list[Found]]:
    """Return the images of each split in their order, by the split's name."""
    by_name = {image.name: image for image in found}
    names = {split: [member.name for member in members if member.split == split] for split in SPLITS}
    if known is not None and training:
        names["train"] = fill_places(names["train"], by_name.__contains__)
    if known is not None and not training:
        held_out = find_held_out(known, found, config.validation, config.test)
        names |= {split: [name for name in held_out if held_out[name] == split] for split in SPLITS[1:]}
    return {split: [by_name[name] for name in names[split] if name in by_name] for split in SPLITS}


def append_history(listed: MemberList, known: MemberList, differences: Differences) -> MemberList:
    """Return an updated list that remembers the fingerprints before it, and what was changed."""
    earlier = [one for one in dict.fromkeys((*known.earlier, known.fingerprint)) if one != listed.fingerprint]
    changes, missing = known.changes, (*differences.missing, *differences.broken, *differences.removed)
    gone = tuple(dict.fromkeys((*known.gone, *missing)))
    if differences and (line := differences.describe()) not in changes[-1:]:
        changes += (line,)
    return replace(listed, earlier=tuple(earlier), changes=changes, gone=gone)


def _report_copies(found: Sequence[Found], notify: Callable[[str], None]) -> None:
    """Say in one line which images are copies of others."""
    firsts = find_first_copies(found)
    copies = [f"{image.name} = {found[first].name}" for image, first in zip(found, firsts, strict=True)
              if found[first] is not image]  # fmt: skip
    if copies:
        equal = "1 image has" if len(copies) == 1 else f"{len(copies):,} images have"
        notify(f"data: {equal} the pixels of another ({join_names(copies)}), and share the split of the first")


def describe_settings(config: DataConfig) -> str:
    """Return the settings that images and splits are a function of; one that is at its default is not named."""
    settings = config.model_dump(mode="json", exclude=SETTINGS_WITHOUT_PIXELS, exclude_defaults=True)
    return repr((sorted(settings.items()), config.version))


def compute_fingerprint(config: DataConfig, classes: tuple[str, ...], parts: Iterable[str]) -> str:
    """Compute a digest of an image set as configured, in hex; the same whatever `data.cache` is.

    Args:
        config: The `data` section.
        classes: Names of the classes.
        parts: What the images, labels and splits are.
    """
    digest = blake2b(repr((describe_settings(config), classes)).encode(), digest_size=16)
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
