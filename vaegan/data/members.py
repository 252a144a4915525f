"""The members of an image set whose contents can change: their splits, and how they differ from those of a run.

A member is an image with its name, its class, digests of its bytes and of its pixels, and its split. A run keeps the
list of the members that it was started with; the order in which it is trained is an order of that list.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from vaegan.errors import UserError
from vaegan.text import make_printable

SPLITS = ("train", "validation", "test")
"""Names of the splits."""
SPLIT_SALT = "vaegan split 2"
"""Text in front of a name whose hash decides the split; the same for every run."""
REQUIRED_FIELDS = ("name", "label", "digest", "split")
"""Word for each of them in the line of a member."""
MAX_NAMED_MEMBERS = 3
"""Members that a message names of each kind of difference; it counts the others."""


class Member(NamedTuple):
    """An image of a set."""

    name: str
    """Path under the root with forward slashes, or the number of the image."""
    label: str | None
    """Name of its class; None if the set has no labels."""
    digest: str
    """Digest of its bytes, hexadecimal; its size in bytes in sets too large to be read."""
    split: str | None
    """``train``, ``validation`` or ``test``; None: it could not be read when the run was started, and is left out."""
    pixels: str = ""
    """Digest of its pixels as the run sees them, hexadecimal; empty: they were not decoded, or the set is too large."""
    earlier: tuple[tuple[str, str], ...] = ()
    """``digest`` and ``pixels`` of the images that had this name before, the oldest first."""

    @property
    def states(self) -> tuple[tuple[str, str], ...]:
        """``digest`` and ``pixels`` of all images that have had this name, the oldest first."""
        return (*self.earlier, (self.digest, self.pixels))


@dataclass(frozen=True)
class MemberList:
    """The members that a run was started with."""

    source: str
    """The setting `data.source`."""
    fingerprint: str
    """`Data.fingerprint` of the images as they are used now."""
    members: tuple[Member, ...] = ()
    """The members, in the order of the source; none if the contents of the source cannot change."""
    classes: tuple[str, ...] = ()
    """Names of the classes, in order."""
    earlier: tuple[str, ...] = ()
    """Fingerprints that the run's images had before they were changed."""
    changes: tuple[str, ...] = ()
    """Changes with which the run was resumed, a line for each time."""
    gone: tuple[str, ...] = ()
    """Names of members that were missing then; they are missed no more."""

    def to_lines(self) -> Iterable[str]:
        """Return the list as lines of JSON: what it is of, then one line for each member."""
        header = {name: value for name, value in vars(self).items() if name != "members"}
        yield json.dumps({**header, "images": len(self.members)})  # surrogates of file names become escapes
        for member in self.members:
            row = member._asdict()
            yield json.dumps({name: row[name] for name in row if row[name] or name in REQUIRED_FIELDS})


def parse_members(lines: Iterable[bytes]) -> MemberList:
    """Return the list that `MemberList.to_lines` wrote.

    Raises:
        ValueError: The lines are something else, or some are missing.
    """
    header, *rows = (json.loads(line) for line in lines)
    match header:
        case {"source": str(), "fingerprint": str(), "images": int(count)} if count == len(rows):
            values = {name: header.get(name) for name in ("classes", "earlier", "changes", "gone")}
        case _:
            raise ValueError("not a list of images, or cut short")
    if not all(isinstance(x, list) and all(isinstance(text, str) for text in x) for x in values.values()):
        raise ValueError("not a list of images")
    members = tuple(map(_parse_member, rows))
    if len({member.name for member in members}) < len(members):
        raise ValueError("an image is listed twice")
    fields = {name: tuple(x) for name, x in values.items()}
    return MemberList(header["source"], header["fingerprint"], members, **fields)


def _parse_member(row: Any) -> Member:
    match row:
        case {"name": str(name), "label": str() | None as label, "digest": str(digest), "split": str() | None as split}:
            pixels, earlier = row.get("pixels", ""), tuple(map(tuple, row.get("earlier", ())))
            texts = [pixels, *(text for state in earlier for text in state)]
            is_whole = all(isinstance(text, str) for text in texts) and all(len(state) == 2 for state in earlier)
            if is_whole and (split is None or split in SPLITS):
                return Member(name, label, digest, split, pixels, earlier)
    raise ValueError("a line is not that of an image")


@dataclass(frozen=True)
class Differences:
    """Differences of the images that are there from those that a run was started with, each by the images' names."""

    more: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    """Old and new name of images with the same bytes."""
    leaked: tuple[tuple[str, str], ...] = ()
    """Names of images that have the bytes or pixels of a member of another split, then or now, and of that member."""
    repeated: tuple[tuple[str, str], ...] = ()
    """Names of images that the list does not have and that would be held out, had the run not been trained on them, and
    of the members that they were."""
    other: str = ""
    """Difference of a set without a list: its fingerprint is another one."""

    def __bool__(self) -> bool:
        return any(vars(self).values())

    @property
    def only_changed(self) -> bool:
        """True if nothing but the bytes of images differs."""
        return bool(self.changed) and self == Differences(changed=self.changed)

    @property
    def removed(self) -> tuple[str, ...]:
        """The old names of images that have moved."""
        return tuple(old for old, _ in self.moved)

    def describe(self) -> str:
        """Describe the differences in one line; empty if there are none."""
        kinds = (
            (self.more, "{} image{s} more"),
            (self.relabelled, "{} label{s} changed"),
            ([f"{old} -> {new}" for old, new in self.moved], "{} moved"),
            (self.changed, "{} changed"),
            (self.missing, "{} missing"),
            (self.broken, "{} cannot be read"),
            ([f"{name} = {other}" for name, other in self.leaked], "{} trained on and held out, to be left out"),
            ([f"{name} = {other}" for name, other in self.repeated], "{} trained on by another name, to be left out"),
        )
        parts = [
            f"{text.format(f'{len(names):,}', s='s' * (len(names) > 1))}: {join_names(names)}"
            for names, text in kinds
            if names
        ]
        return "; ".join([*parts, *([self.other] if self.other else [])])


NO_DIFFERENCES = Differences()
"""The images are those of the run."""


def join_names(names: Sequence[str]) -> str:
    """Return the first few names in one line, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED_MEMBERS:,} more" if len(names) > MAX_NAMED_MEMBERS else ""
    return ", ".join(map(make_printable, names[:MAX_NAMED_MEMBERS])) + more


@dataclass(frozen=True)
class Found:
    """An image that is in the source now, and can be read."""

    index: int
    """Its index in the source."""
    name: str
    label: str | None
    digest: str
    pixels: str = field(default="", repr=False)
    """Digest of its pixels as the run sees them, hexadecimal; empty: not known."""
    split: str | None = None
    """Split that the set comes with; None: it comes with none."""


def compare(known: MemberList, found: Mapping[str, Found], broken: Iterable[str] = ()) -> Differences:
    """Compare the images that are there with those of a run's list.

    An image that the run could not read when it was started is no difference, whatever has become of it, nor is one
    that is still missing since the run was allowed to go on without it.

    Args:
        known: The run's list.
        found: Images that can be read, by name.
        broken: Names of those that are there and cannot be read.
    """
    listed = {member.name: member for member in known.members}
    gone = {name for name in known.gone if name not in found}
    used = [member for member in known.members if member.split is not None and member.name not in gone]
    unreadable = set(broken)
    missing = [member for member in used if member.name not in found and member.name not in unreadable]
    more = {name: image for name, image in found.items() if name not in listed}
    targets: dict[str, str] = {}
    for name, image in more.items():
        targets.setdefault(image.digest, name)
    moved = {member.name: targets.pop(member.digest) for member in missing if member.digest in targets}
    present, destinations = (
        [(member, found[member.name]) for member in used if member.name in found],
        set(moved.values()),
    )
    return Differences(
        more=tuple(name for name in more if name not in destinations),
        relabelled=tuple(member.name for member, image in present if member.label != image.label),
        changed=tuple(member.name for member, image in present if member.digest != image.digest),
        missing=tuple(member.name for member in missing if member.name not in moved),
        broken=tuple(member.name for member in used if member.name in unreadable),
        moved=tuple(moved.items()),
    )


def hash_name(name: str) -> float:
    """Return a number in [0, 1), uniform over names, that decides the split of an image."""
    text = f"{SPLIT_SALT}\0{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=6).digest(), "big") / 2.0**48


def assign_splits(images: Sequence[Found], validation: float, test: float) -> list[str]:
    """Return the split of each image, a property of its name; images with the same pixels share that of the first.

    At least one image is held out for each fraction above 0, and one is kept to train on: those whose hashes are
    nearest.

    Args:
        images: The images.
        validation: Fraction to validate on, in [0, 1).
        test: Fraction to test on, in [0, 1).

    Raises:
        UserError: There are too few different images.
    """
    firsts = find_first_copies(images)
    groups = sorted({(hash_name(images[first].name), first) for first in firsts})
    numbers = [number for number, _ in groups]
    test_count, held_out = count_held_out(numbers, len(images), validation, test)
    splits = ["test"] * test_count + ["validation"] * (held_out - test_count)
    splits += ["train"] * (len(groups) - held_out)
    of_first = {first: split for (_, first), split in zip(groups, splits, strict=True)}
    return [of_first[first] for first in firsts]


def count_held_out(numbers: Sequence[float], images: int, validation: float, test: float) -> tuple[int, int]:
    """Return how many different images of a set are tested on, and how many are held out in all, the first by hash.

    Args:
        numbers: Hash of the name of each different image, ascending.
        images: Images of the set, with those that are equal.
        validation: Fraction to validate on, in [0, 1).
        test: Fraction to test on, in [0, 1).

    Raises:
        UserError: There are too few different images, or none that is not held out by the set's own splits.
    """
    if not images:
        problem = "no image to train on: by their names, all files of the set are for validation or test"
        raise UserError(f"data: {problem}; add those to train on, or rename the files")
    count, needed = len(numbers), 1 + (validation > 0) + (test > 0)
    if count < needed:
        different = "different " * (count < images)
        raise UserError(
            f"data: {count} {different}image{'s' * (count != 1)} cannot be split with"
            f" data.validation={validation:g} and data.test={test:g}; add images, or set one of them to 0"
        )
    test_count = max(int(test > 0), bisect_left(numbers, test))
    held_out = max(test_count + (validation > 0), bisect_left(numbers, validation + test))
    held_out = min(held_out, count - 1)
    return min(test_count, held_out - (validation > 0)), held_out


def find_first_copies(images: Sequence[Found]) -> list[int]:
    """Return for each image the position in the sequence of the first one with the same pixels, often its own."""
    first_of: dict[str, int] = {}
    return [
        first_of.setdefault(image.pixels, position) if image.pixels else position
        for position, image in enumerate(images)
    ]


def fill_places(places: Sequence[str], is_there: Callable[[str], bool]) -> list[str]:
    """Return the names in their order, each missing one replaced by the next that is there, at the end by the first.

    The result is empty if none is there.
    """
    following = next(filter(is_there, places), None)
    filled: list[str] = []
    for name in reversed(places):
        following = name if is_there(name) else following
        if following is None:
            return []
        filled.append(following)
    return filled[::-1]
