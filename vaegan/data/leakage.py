"""Leakage between the splits of a set that changes: images that are held out and were trained on.

Images are known by digests of their bytes and of their pixels, those of now and those that a name has had before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .members import SPLITS, Found, Member, MemberList, hash_name

DIGEST_CHARACTERS = 32
"""Length of a digest of bytes or pixels; where images are too many to be read, sizes stand in their place."""


def find_leaks(known: MemberList, found: Mapping[str, Found]) -> dict[str, str]:
    """Return the members that have an image of another split, and which member had it or has it.

    Neither is a training to see what was held out, nor is held out what was trained on. Images that were equal when the
    run was started, as in official splits, are no leak.

    Args:
        known: The run's list.
        found: Images that can be read, by name.
    """
    if not any(
        member.earlier or (member.name in found and found[member.name].digest != member.digest)
        for member in known.members
    ):
        return {}
    trained = [member for member in known.members if member.split == "train"]
    held_out = [member for member in known.members if member.split in SPLITS[1:]]
    leaks = _find_equal(trained, held_out, found, {})
    now = [found[member.name] for member in trained if member.name in found and member.name not in leaks]
    return leaks | _find_equal(
        held_out, trained, found, {digest: image.name for image in now for digest in _list_digests(image)}
    )


def _find_equal(
    members: Iterable[Member], others: Sequence[Member], found: Mapping[str, Found], now: Mapping[str, str]
) -> dict[str, str]:
    """Return the members whose image is that of one of the others, and the name of that one.

    Args:
        members: The members.
        others: Those of the other splits.
        found: Images that can be read, by name.
        now: Names of the others by the digests of the images that they have now.
    """
    names = {digest: other.name for other in others for state in other.states for digest in state} | dict(now)
    at_start = {digest for other in others for digest in other.states[0]}
    equal = {}
    for member in members:
        if (image := found.get(member.name)) is None:
            continue
        digests = _list_digests(image)
        other = next((names[digest] for digest in digests if digest in names), None)
        were_equal = image.digest == member.states[0][0] and not at_start.isdisjoint(digests)
        if other is not None and not were_equal:
            equal[member.name] = other
    return equal


def find_held_out(
    known: MemberList, found: Sequence[Found], validation: float, test: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the split of each image that is there and was not trained on, by name, and what was trained on instead.

    Members keep their split. An image that the list does not have is held out if the set or its name says so, unless it
    has the bytes or the pixels of a member that the run was trained on; it then is in the second result, with that
    member.

    Args:
        known: The run's list.
        found: Images that can be read and are no leak, in the order of the source.
        validation: Fraction to validate on.
        test: Fraction to test on.
    """
    listed = {member.name: member for member in known.members}
    trained = {}
    if len(found) > len(listed) or any(image.name not in listed for image in found):
        members = [member for member in known.members if member.split == "train"]
        trained = {digest: member.name for member in members for state in member.states for digest in state if digest}
        by_name = {image.name: image for image in found}
        now = [by_name[member.name] for member in members if member.name in by_name]
        trained |= {digest: image.name for image in now for digest in _list_digests(image)}
    splits, repeated = dict[str, str](), dict[str, str]()
    for image in found:
        member, number = listed.get(image.name), hash_name(image.name)
        split = "test" if number < test else "validation" if number < validation + test else None
        if member is not None:
            split = member.split
        elif image.split in SPLITS[1:]:
            split = image.split
        if split not in SPLITS[1:] or (known.classes and image.label not in known.classes):
            continue
        originals = [trained[digest] for digest in (image.digest, image.pixels) if digest in trained]
        if member is None and originals:
            repeated[image.name] = originals[0]
        else:
            splits[image.name] = split
    return splits, repeated


def merge_states(known: MemberList, others: Iterable[MemberList]) -> MemberList:
    """Return the list of a run that also remembers which images its names have had in other runs.

    Args:
        known: The list.
        others: Lists of other runs of the same images.
    """
    states: dict[str, dict[tuple[str, str], None]] = {}
    for other in others:
        if other.members != known.members:
            for member in other.members:
                states.setdefault(member.name, {}).update(dict.fromkeys(member.states))
    members = []
    for member in known.members:
        more = [state for state in states.get(member.name, ()) if state not in member.states]
        members.append(member._replace(earlier=(*member.states, *more)) if more else member)
    return replace(known, members=tuple(members))


def hold_out_alike(fresh: MemberList, other: MemberList) -> MemberList:
    """Return a list with the splits of another run's where the images are the same ones, by bytes or pixels.

    Args:
        fresh: The list.
        other: The list of a run that was trained before.
    """
    split_of: dict[str, str] = {}
    for split in ("validation", "test", "train"):  # what was also trained on is not held out
        members = [member for member in other.members if member.split == split]
        split_of |= {digest: split for member in members for state in member.states for digest in state}
    members = []
    for member in fresh.members:
        known = [split_of[digest] for digest in _list_digests(member) if digest in split_of]
        members.append(member._replace(split=known[0]) if known and member.split is not None else member)
    return replace(fresh, members=tuple(members))


def _list_digests(image: Found | Member) -> list[str]:
    """Return the digests by which an image is known."""
    return [digest for digest in (image.digest, image.pixels) if len(digest) == DIGEST_CHARACTERS]
