"""The splits of an image set whose contents can change, by the names of its images or by the list of a run."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

import torch

from vaegan.config.data import DataConfig
from vaegan.text import make_encodable

from .dataset import Data, Images, Source
from .folder import label_by_folder
from .leakage import find_held_out, find_leaks
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
    join_names,
)
from .reading import MAX_VERIFIED_IMAGES, ReadImages

OFFICIAL_SPLITS_ARE_KEPT = "official splits are kept as they are"
"""Clause about copies across splits that a set comes with."""
SETTINGS_WITHOUT_PIXELS = {"root", "hub", "crop", "cache", "workers", "strict", "download", "horizontal_flip", "sha256"}
"""Settings of the `data` section that change no image before it is trained on, and no split."""


def split_members(
    source: Source, config: DataConfig, read: ReadImages, known: MemberList | None, training: bool,
    notify: Callable[[str], None],
) -> Data:  # fmt: skip
    """Return a set with its splits and its list of members, and how it differs from that of a run.

    Without a list an image's split is a property of its name. With one, members keep their splits; the places of those
    that are missing, or that have an image of another split, are taken by the next ones if the set is trained on, and
    else left out; images that are new are left out, except that an evaluation may use those that are held out by their
    name.

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
    official = source.official_splits or (None,) * len(names)
    found = [Found(i, names[i], labels[i], read.digests[i], read.contents[i].hex(), official[i]) for i in usable]
    differences = NO_DIFFERENCES
    if known is None:
        splits = _assign_splits(found, config)
        _report_copies(found, splits, bool(source.official_splits), notify)
        rows = {image.index: _make_member(image, split, len(found)) for image, split in zip(found, splits, strict=True)}
        members = tuple(rows.get(index, Member(name, None, "", None)) for index, name in enumerate(names))
        places = {split: [found[n] for n, its in enumerate(splits) if its == split] for split in SPLITS}
    else:
        classes, broken = known.classes, [names[index] for index in sorted(read.broken)]
        members, differences, places = _follow_list(known, found, broken, config, training)

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
        return label_by_folder({index: source.get_class_path(index) for index in usable})
    classes = tuple(make_encodable(source.classes))
    if source.labels is None:
        return classes, dict.fromkeys(usable)
    numbers = source.labels.tolist()
    return classes, {index: classes[numbers[index]] for index in usable}


def _assign_splits(found: Sequence[Found], config: DataConfig) -> list[str]:
    """Return the split of each image: that which the set comes with, of which those that are missing are drawn."""
    undecided = [image for image in found if image.split in (None, "train")]
    drawn = iter(assign_splits(undecided, *_get_shares(found, config)))
    return [next(drawn) if image.split in (None, "train") else image.split for image in found]


def _get_shares(found: Iterable[Found], config: DataConfig) -> tuple[float, float]:
    """Return the fractions of the images that are drawn to validate and to test on; 0 of splits that the set has."""
    official = {image.split for image in found}
    validation, test = (0 if split in official else getattr(config, split) for split in SPLITS[1:])
    return validation, test


def _make_member(image: Found, split: str, count: int) -> Member:
    """Return the member that an image of a set of ``count`` images becomes."""
    pixels = image.pixels if count <= MAX_VERIFIED_IMAGES and image.pixels != image.digest else ""
    return Member(image.name, image.label, image.digest, split, pixels)


def _update(member: Member, image: Found | None) -> Member:
    """Return a member with the digest and the class that its image has now; one that was never used stays as it is."""
    if image is None or member.split is None or (image.digest, image.label) == (member.digest, member.label):
        return member
    if image.digest == member.digest:
        return member._replace(label=image.label)
    pixels = image.pixels if member.pixels else ""
    return Member(member.name, image.label, image.digest, member.split, pixels, tuple(dict.fromkeys(member.states)))


def _follow_list(
    known: MemberList, found: Sequence[Found], broken: Sequence[str], config: DataConfig, training: bool
) -> tuple[tuple[Member, ...], Differences, dict[str, list[Found]]]:
    """Return the members of a run as they are now, what differs from its list, and the images of each split in order.

    Args:
        known: The run's list.
        found: Images that can be read, in the order of the source.
        broken: Names of those that cannot.
        config: The `data` section.
        training: Whether others take the places of training images that cannot be used.
    """
    by_name = {image.name: image for image in found}
    leaks = find_leaks(known, by_name)
    differences = replace(compare(known, by_name, broken), leaked=tuple(leaks.items()))
    usable = {name: image for name, image in by_name.items() if name not in leaks}
    members = tuple(_update(member, usable.get(member.name)) for member in known.members)
    usable = {name: image for name, image in usable.items() if not known.classes or image.label in known.classes}
    names = {split: [member.name for member in members if member.split == split] for split in SPLITS}
    if training:
        names["train"] = fill_places(names["train"], usable.__contains__)
    else:
        held_out, repeated = find_held_out(known, list(usable.values()), *_get_shares(found, config))
        more = set(differences.more)
        differences = replace(differences, repeated=tuple(pair for pair in repeated.items() if pair[0] in more))
        names |= {split: [name for name in held_out if held_out[name] == split] for split in SPLITS[1:]}
    places = {split: [usable[name] for name in names[split] if name in usable] for split in SPLITS}
    return members, differences, places


def compare_set(data: Data, config: DataConfig, known: MemberList | None, training: bool) -> Data:
    """Return a set whose contents should never change with its list, and with how it differs from that of a run."""
    listed, differences = MemberList(config.source, data.fingerprint, (), data.classes), data.differences
    if known is not None:
        if known.fingerprint != data.fingerprint:
            differences = Differences(other=f"the set {config.source} is another one")
        listed = append_history(listed, known, differences if training else NO_DIFFERENCES)
    return replace(data, members=listed, differences=differences)


def append_history(listed: MemberList, known: MemberList, differences: Differences) -> MemberList:
    """Return an updated list that remembers the fingerprints before it, and what was changed."""
    earlier = [one for one in dict.fromkeys((*known.earlier, known.fingerprint)) if one != listed.fingerprint]
    changes, missing = known.changes, (*differences.missing, *differences.broken, *differences.removed)
    gone = tuple(dict.fromkeys((*known.gone, *missing)))
    if differences and (line := differences.describe()) not in changes[-1:]:
        changes += (line,)
    return replace(listed, earlier=tuple(earlier), changes=changes, gone=gone)


def _report_copies(
    found: Sequence[Found], splits: Sequence[str], official: bool, notify: Callable[[str], None]
) -> None:
    """Say which images are copies of others: in one line, or of official splits in a line for two of them.

    Args:
        found: Images that can be read.
        splits: Their splits.
        official: Whether the set comes with splits, in several of which copies may lie.
        notify: Called with the lines.
    """
    firsts = find_first_copies(found)
    if not official:
        copies = [f"{image.name} = {found[first].name}" for image, first in zip(found, firsts, strict=True)
                  if found[first] is not image]  # fmt: skip
        if copies:
            have, share = ("has", "shares") if len(copies) == 1 else ("have", "share")
            text = f"{have} the pixels of another ({join_names(copies)}), and {share} the split of the first"
            notify(f"data: {_count_images(copies)} {text}")
        return
    names: dict[tuple[str, int], str] = {}  # of the first image of each split and kind of pixels
    rows = list(zip(found, firsts, splits, strict=True))
    for image, first, split in rows:
        names.setdefault((split, first), image.name)
    for split, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        equal = [f"{image.name} = {names[other, first]}" for image, first, its in rows
                 if its == split and (other, first) in names]  # fmt: skip
        if equal:
            text = f"of the {split} split equal images of the {other} split ({join_names(equal)})"
            notify(f"data: {_count_images(equal)} {text}; {OFFICIAL_SPLITS_ARE_KEPT}")


def _count_images(names: Sequence[str]) -> str:
    return f"{len(names):,} image{'s' * (len(names) != 1)}"


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
