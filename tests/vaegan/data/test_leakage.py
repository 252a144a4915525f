"""What was trained on is not held out, and what was held out is not trained on, whatever its name is now."""

from dataclasses import replace

import pytest

from vaegan.data.leakage import find_held_out, find_leaks, hold_out_alike, merge_states
from vaegan.data.members import Found, Member, MemberList, hash_name


def make_digest(text: str) -> str:
    return text.rjust(32, "0")


def list_members(**texts: str) -> MemberList:
    """Return a list of members by name; the text is split, bytes and earlier bytes, each with its own pixels."""
    members = []
    for name, text in texts.items():
        split, *states = text.split()
        now, *earlier = [(make_digest(state), make_digest(f"pixels {state}")) for state in states]
        members.append(Member(name, "cat", now[0], split, now[1], tuple(earlier)))
    return MemberList("folder", "f", tuple(members), ("cat",))


def see(**texts: str) -> dict[str, Found]:
    """Return images by name; the text is the bytes, and perhaps other pixels than those of these bytes."""
    words = {name: text.split() for name, text in texts.items()}
    return {
        name: Found(n, name, "cat", make_digest(word[0]), make_digest(f"pixels {word[-1]}"))
        for n, (name, word) in enumerate(words.items())
    }


LISTED = list_members(a="train a", b="train b", c="test c", d="validation d")


@pytest.mark.parametrize(
    ("listed", "images", "leaks"),
    [
        (LISTED, see(a="a", b="b", c="c", d="d"), {}),
        (LISTED, see(a="x", b="b", c="y", d="d"), {}),
        (LISTED, see(a="a", b="b", c="a", d="d"), {"c": "a"}),
        (LISTED, see(a="a", b="b", c="?? a", d="d"), {"c": "a"}),  # other bytes, the same pixels
        (LISTED, see(a="c", b="b", c="c", d="d"), {"a": "c"}),  # `c` is not trained on, so that it stays held out
        (LISTED, see(a="c", b="b", c="a", d="d"), {"a": "c", "c": "a"}),
        (LISTED, see(a="c", b="b", c="new", d="d"), {"a": "c"}),
        (LISTED, see(a="d", b="b"), {"a": "d"}),
        (LISTED, see(a="new", b="b", c="new", d="d"), {"c": "a"}),
        (LISTED, see(a="a", b="b", c="d", d="c"), {}),  # validation and test are both held out
        (list_members(a="train x a", c="test y c"), see(a="x", c="a"), {"c": "a"}),
        (list_members(a="train x a", c="test y c"), see(a="c", c="y"), {"a": "c"}),
        (list_members(a="train a", b="train b", c="test a"), see(a="a", b="b", c="a"), {}),  # official splits
        (list_members(a="train a", b="train b", c="test a"), see(a="a", b="new", c="a"), {}),
        (list_members(a="train a", b="train b", c="test a"), see(a="a", b="a", c="a"), {"b": "c"}),
        (list_members(a="train a", b="train b", c="test c"), see(a="a", b="b", c="?? b"), {"c": "b"}),
    ],
)
def test_an_image_of_another_split_is_named(
    listed: MemberList, images: dict[str, Found], leaks: dict[str, str]
) -> None:
    assert find_leaks(listed, images) == leaks


def test_sizes_are_no_digests() -> None:
    listed = MemberList("folder", "f", (Member("a", None, "512", "train"), Member("b", None, "600", "test")))
    assert not find_leaks(listed, {"a": Found(0, "a", None, "512"), "b": Found(1, "b", None, "512")})


def test_a_held_out_image_is_never_one_that_was_trained_on() -> None:
    new = see(**{f"new{n}": str(n) for n in range(200)})
    known = see(a="a", c="c")
    held_out, repeated = find_held_out(LISTED, [*known.values(), *new.values()], 0.2, 0.3)
    assert held_out["c"] == "test" and "a" not in held_out and not repeated
    assert {name: split for name, split in held_out.items() if name != "c"} == {
        name: "test" if hash_name(name) < 0.3 else "validation" for name in new if hash_name(name) < 0.5
    }
    tested = next(name for name in new if held_out.get(name) == "test")
    earlier = replace(LISTED, members=(LISTED.members[0]._replace(earlier=(("before", ""),)), *LISTED.members[1:]))
    for bytes_, pixels in (("b", "?"), ("?", "b"), ("x", "?")):  # `b` is no longer there
        copy = see(**{tested: f"{bytes_} {pixels}"})[tested]
        found = [*see(a="x").values(), copy]
        assert find_held_out(LISTED, found, 0.2, 0.3) == ({}, {tested: "a" if bytes_ == "x" else "b"})
    assert find_held_out(earlier, [Found(0, tested, "cat", "before")], 0.2, 0.3) == ({}, {tested: "a"})
    assert find_held_out(LISTED, [Found(0, tested, "a new class", "?")], 0.2, 0.3) == ({}, {})


def test_a_new_image_is_held_out_where_the_set_says_so() -> None:
    new = [replace(image, split="train" if number % 2 else "test") for number, image in
           enumerate(see(**{f"new{n}": str(n) for n in range(200)}).values())]  # fmt: skip
    held_out, repeated = find_held_out(LISTED, new, 0.2, 0)
    assert not repeated and held_out == {
        image.name: "test" if image.split == "test" else "validation"
        for image in new if image.split == "test" or hash_name(image.name) < 0.2
    }  # fmt: skip


def test_a_study_remembers_what_any_of_its_runs_was_trained_on() -> None:
    merged = merge_states(LISTED, [LISTED, list_members(a="train x a", b="train b", c="test c")])
    assert merged.members[1:] == LISTED.members[1:]
    assert [digest.strip("0") for digest, _ in merged.members[0].states] == ["a", "x", "a"]
    assert find_leaks(merged, see(a="a", b="b", c="x")) == {"c": "a"}
    assert merge_states(LISTED, []) == LISTED


def test_a_prior_of_other_images_holds_out_nothing_that_its_autoencoder_was_trained_on() -> None:
    fresh = list_members(n="test a", m="train c", o="train o", p="validation p b")
    fresh = replace(fresh, members=(*fresh.members, Member("broken", None, "", None)))
    alike = hold_out_alike(fresh, list_members(a="train a", b="train b", c="test c"))
    assert [member.split for member in alike.members] == ["train", "test", "train", "validation", None]
