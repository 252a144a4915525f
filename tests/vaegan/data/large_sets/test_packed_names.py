"""Packed names are the sequence of text that they were made of, without an object for each."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from vaegan.data.folder import FileReader
from vaegan.data.large_sets.packed_names import PackedNames

from ..image_sets import open_image_tree, write_image_tree

NAMES = ("a.png", "", "caf\u00e9/\u732b.jpg", os.fsdecode(b"caf\xe9.png"), "b/c d.png", "\U0001f408.webp")


@pytest.mark.parametrize("names", [NAMES, (), ("",), tuple(f"{n:05}.png" for n in range(300))])
def test_they_are_a_sequence_of_the_same_text(names: tuple[str, ...]) -> None:
    packed = PackedNames.pack(iter(names))
    assert list(packed) == list(names) and len(packed) == len(names) and packed == names and names == packed
    assert [packed[index] for index in range(-len(names), len(names))] == [*names, *names]
    for part in (slice(1, 4), slice(None, None, -2), slice(-2, None), slice(9, 99)):
        assert packed[part] == names[part]
    for index in (len(names), -len(names) - 1):
        with pytest.raises(IndexError):
            packed[index]
    assert all(name in packed for name in names) and "x" not in packed
    assert [packed.index(name) for name in names] == [names.index(name) for name in names]
    sent = pickle.loads(pickle.dumps(packed))
    assert sent == packed and hash(sent) == hash(packed) and PackedNames.pack(packed) is packed


def test_other_names_are_not_equal() -> None:
    packed = PackedNames.pack(NAMES)
    for others in (
        NAMES[1:],
        (*NAMES[:-1], "b"),
        PackedNames.pack(NAMES[1:]),
        PackedNames.pack(["a.pn", "g", *NAMES[2:]]),
    ):
        assert packed != others
    assert packed != "a.png"


def test_a_block_may_be_mapped_into_memory(tmp_path: Path) -> None:
    packed = PackedNames.pack(NAMES)
    packed.blob.tofile(tmp_path / "blob")
    assert PackedNames(np.memmap(tmp_path / "blob", mode="r"), packed.ends) == NAMES


def test_a_folder_holds_no_object_for_each_name(tmp_path: Path) -> None:
    data, _ = open_image_tree(write_image_tree(tmp_path, 40), cache="none")
    reader = data.train.store
    assert isinstance(reader, FileReader) and isinstance(reader.names, PackedNames)
    assert reader.names.blob.nbytes + reader.names.ends.nbytes == sum(len(name) + 4 for name in reader.names)
    assert 3 * (len(reader.names[0]) + 4) < sys.getsizeof(reader.names[0]) + 8  # a tuple's share of it
