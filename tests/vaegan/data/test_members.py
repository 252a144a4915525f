"""Members of a set: splits by name, copies, and what differs from a run's list."""

import errno
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vaegan.data import image_file, reading, sources
from vaegan.data.members import (
    Differences,
    Found,
    Member,
    MemberList,
    assign_splits,
    compare,
    fill_places,
    hash_name,
    parse_members,
)
from vaegan.data.splits import draw_splits
from vaegan.errors import UserError

from .image_sets import folder_config, list_splits, make_image, open_image_tree, read_all, write_image_tree


def find(*names: str, **contents: str) -> list[Found]:
    """Return images of these names, each of its own bytes and pixels unless ``contents`` has others."""
    return [Found(n, name, None, contents.get(name, name), contents.get(name, name)) for n, name in enumerate(names)]


def number(count: int) -> list[Found]:
    return find(*(f"{n:04}.png" for n in range(count)))


def test_hashes_of_names_are_fixed_and_uniform() -> None:
    assert hash_name("cat/00.png") == 0.9235323858303879
    values = torch.tensor([hash_name(image.name) for image in number(4000)])
    assert torch.histc(values, 8, 0, 1).sub(500).abs().max() < 100


def test_one_image_more_moves_no_other() -> None:
    images = number(200)
    names = [image.name for image in images]
    before = dict(zip(names, assign_splits(images, 0.1, 0.25), strict=True))
    more = find("000.png", *names, "zzz.png")
    after = dict(zip([image.name for image in more], assign_splits(more, 0.1, 0.25), strict=True))
    assert before.items() <= after.items()
    counts = Counter(before.values())
    assert 30 < counts["test"] < 70 and 8 < counts["validation"] < 35


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_every_fraction_above_zero_holds_out_an_image_and_one_is_left(count: int) -> None:
    for start in range(40):
        names = [f"{start}-{n}" for n in range(count)]
        assert set(assign_splits(find(*names), 0.01, 0.01)) == {"train", "validation", "test"}
        assert set(assign_splits(find(*names), 0.49, 0.5)) == {"train", "validation", "test"}
        assert set(assign_splits(find(*names), 0, 0)) == {"train"}
    with pytest.raises(
        UserError, match=r"^data: 2 images cannot be split with data\.validation=0\.1 and data\.test=0\.1"
    ):
        assign_splits(find("a", "b"), 0.1, 0.1)
    with pytest.raises(UserError, match="2 different images cannot be split"):
        assign_splits(find("a", "b", "c", c="a"), 0.1, 0.1)


def test_images_with_equal_pixels_share_the_split_of_the_first_name() -> None:
    names = [f"{n}.png" for n in range(60)]
    splits = assign_splits(find(*names), 0.2, 0.2)
    first, other = next((a, b) for a in range(60) for b in range(a, 60) if splits[a] != splits[b])
    copied = assign_splits(find(*names, **{names[other]: names[first]}), 0.2, 0.2)
    assert (
        copied[other] == splits[first]
        and copied[:other] == splits[:other]
        and copied[other + 1 :] == splits[other + 1 :]
    )


LISTED = MemberList(
    "folder", "f1",
    (Member("a", "cat", "a", "train"), Member("b", "cat", "b", "train"), Member("c", "cat", "c", "test"),
     Member("d", "cat", "d", None)),
    ("cat",),
)  # fmt: skip


def see(**images: str) -> dict[str, Found]:
    """Return images by name; the text is digest and class."""
    return {name: Found(0, name, text.split()[1], text.split()[0]) for name, text in images.items()}


@pytest.mark.parametrize(
    ("images", "broken", "text"),
    [
        (see(a="a cat", b="b cat", c="c cat"), [], ""),
        (see(a="a cat", b="b cat", c="c cat", d="d cat"), [], ""),
        (see(a="a cat", b="b cat", c="c cat", e="e cat"), [], "1 image more: e"),
        (see(a="a dog", b="b dog", c="c cat"), [], "2 labels changed: a, b"),
        (see(a="a cat", b="x cat", c="c cat"), [], "1 changed: b"),
        (see(a="a cat"), [], "2 missing: b, c"),
        (see(a="a cat", b="b cat"), ["c", "z"], "1 cannot be read: c"),
        (see(a="a cat", b="b cat", n="c cat"), [], "1 moved: c -> n"),
        (see(b="x cat", c="c cat", e="e cat"), [], "1 image more: e; 1 changed: b; 1 missing: a"),
    ],
)  # fmt: skip
def test_what_differs_is_named(images: dict[str, Found], broken: list[str], text: str) -> None:
    differences = compare(LISTED, images, broken)
    assert differences.describe() == text and bool(differences) is bool(text)
    assert differences.only_changed is (text == "1 changed: b")


def test_many_names_are_counted() -> None:
    assert Differences(missing=tuple("abcde")).describe() == "5 missing: a, b, c and 2 more"
    assert Differences(more=("line\nbreak", "\udcff.png")).describe() == r"2 images more: line\nbreak, \udcff.png"


def test_the_next_member_takes_the_place_of_a_missing_one() -> None:
    assert fill_places(list("abcde"), "abcde".__contains__) == list("abcde")
    assert fill_places(list("abcde"), "bd".__contains__) == list("bbddb")
    assert fill_places(["a"], "".__contains__) == []


def test_a_list_is_read_as_it_was_written() -> None:
    member = Member("line\nbreak/\udcff\N{SNOWMAN}.png", None, "00", "validation")
    listed = replace(LISTED, members=(*LISTED.members, member), earlier=("f0",), changes=("1 changed: b",))
    lines = [line.encode("ascii") for line in listed.to_lines()]
    assert parse_members(lines) == listed
    header = json.loads(lines[0])
    damaged: list[list[bytes]] = [
        lines[:-1], lines[1:], [*lines, lines[-1]], [], [b"[]"], [b"{"], [lines[0], *[b"{}"] * 5],
        [json.dumps(header | {"classes": [1]}).encode(), *lines[1:]],
        [lines[0], *[lines[1]] * 5],
        [*lines[:-1], lines[-1].replace(b"validation", b"all")],
    ]  # fmt: skip
    for one in damaged:
        with pytest.raises(ValueError, match=r"not a list|twice|not that of|unpack|Expecting|not enough"):
            parse_members(one)


def test_the_splits_of_a_folder_do_not_move(tmp_path: Path) -> None:
    before, _ = open_image_tree(write_image_tree(tmp_path, 24), test=0.25)
    make_image(20, 20, 99).save(tmp_path / "cat" / "!.png")
    after, _ = open_image_tree(tmp_path, test=0.25)
    assert before.members is not None and after.members is not None
    moved = set(before.members.members) - set(after.members.members)
    assert not moved and len(after.members.members) == 25
    assert [len(split) for split in list_splits(before)] == [16, 3, 5]


def test_version_1_splits_by_number_as_before(tmp_path: Path) -> None:
    data, _ = open_image_tree(write_image_tree(tmp_path, 24), test=0.25, version=1)
    drawn = draw_splits(24, 0.1, 0.25)
    assert all(torch.equal(split.indices, indices) for split, indices in zip(list_splits(data), drawn, strict=True))
    assert data.members is None


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_a_file_cut_short_is_left_out_whatever_the_cache(tmp_path: Path, cache: str) -> None:
    write_image_tree(tmp_path, 20)
    whole = (tmp_path / "cat" / "00.png").read_bytes()
    (tmp_path / "cat" / "00.png").write_bytes(whole[: len(whole) // 2])
    data, warnings = open_image_tree(tmp_path, cache=cache)
    again, repeated = open_image_tree(tmp_path, cache=cache, workers=1)  # with the verdicts that were kept
    assert "cat/00.png" in warnings[0] and warnings == repeated and data.fingerprint == again.fingerprint
    assert data.members is not None and data.members.members[0] == Member("cat/00.png", None, "", None)
    in_memory, _ = open_image_tree(tmp_path)
    assert data.fingerprint == in_memory.fingerprint and data.members == in_memory.members
    assert all(
        torch.equal(read_all(a), read_all(b)) for a, b in zip(list_splits(data), list_splits(in_memory), strict=True)
    )


def test_a_kept_verdict_ends_when_the_file_is_written(tmp_path: Path) -> None:
    write_image_tree(tmp_path, 20)
    file = tmp_path / "cat" / "00.png"
    whole = file.read_bytes()
    file.write_bytes(whole[:50] + bytes(len(whole) - 50))  # of the same size
    assert "00.png" in open_image_tree(tmp_path, cache="none")[1][0]
    file.write_bytes(whole)
    data, warnings = open_image_tree(tmp_path, cache="none")
    assert not warnings and sum(map(len, list_splits(data))) == 20


def test_a_file_that_the_system_could_not_open_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image_tree(tmp_path, 20)

    def fail(path: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(image_file, "open_regular_file", fail)
        with pytest.raises(UserError, match="too many open files"):
            open_image_tree(tmp_path, cache="none")
    data, warnings = open_image_tree(tmp_path, cache="none")
    assert not warnings and sum(map(len, list_splits(data))) == 20


def test_a_set_too_large_to_be_verified_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reading, sources):
        monkeypatch.setattr(module, "MAX_VERIFIED_IMAGES", 19)
    write_image_tree(tmp_path, 20)
    data, warnings = open_image_tree(tmp_path, cache="none")
    checked = "data: 20 images, more than 19: only their headers were checked"
    assert warnings == [f"{checked}; `vaegan data` with these settings reads them all once"]
    assert data.members is not None and data.members.members[0].digest == str((tmp_path / "cat/00.png").stat().st_size)
    in_memory, warnings = open_image_tree(tmp_path)
    assert not warnings and in_memory.fingerprint == data.fingerprint and in_memory.members == data.members


def test_copies_are_said_in_one_line(tmp_path: Path) -> None:
    write_image_tree(tmp_path, 20)
    make_image(16, 30, 0).save(tmp_path / "dog" / "copy.bmp")  # other bytes, the same pixels
    data, warnings = open_image_tree(tmp_path)
    assert warnings == [
        "data: 1 image has the pixels of another (dog/copy.bmp = cat/00.png), and shares the split of the first"
    ]
    assert data.members is not None
    splits = {member.name: member.split for member in data.members.members}
    assert splits["dog/copy.bmp"] == splits["cat/00.png"]


@pytest.mark.parametrize("version", [1, 2])
def test_a_class_of_broken_files_alone_is_none(tmp_path: Path, version: int) -> None:
    write_image_tree(tmp_path, 20)
    (tmp_path / "bird").mkdir()
    (tmp_path / "bird" / "x.png").write_bytes(b"?")
    data, _ = open_image_tree(tmp_path, version=version)
    assert data.classes == (("bird", "cat", "dog") if version == 1 else ("cat", "dog"))
    labels = torch.cat([split.labels for split in list_splits(data) if split.labels is not None])
    assert labels.unique().tolist() == ([1, 2] if version == 1 else [0, 1])


def test_a_broken_file_beside_class_folders_takes_no_labels_away(tmp_path: Path) -> None:
    write_image_tree(tmp_path, 20)
    (tmp_path / "stray.png").write_bytes(b"?")
    assert open_image_tree(tmp_path)[0].classes == ("cat", "dog")


def test_the_config_without_a_version_is_version_2(tmp_path: Path) -> None:
    assert folder_config(tmp_path).version == 2
