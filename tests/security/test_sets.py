"""Files of MNIST and CIFAR-10 whose contents would crash Python, fill the memory or change an object."""

import gzip
import pickle
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from vaegan.config.data import DataConfig
from vaegan.data import Data, open_data
from vaegan.data.cifar_pickle import ALLOWED_GLOBALS, read_cifar_batch
from vaegan.errors import UserError

from ..standins import write_cifar, write_mnist


def open_set(source: Literal["mnist", "cifar10"], root: Path) -> Data:
    return open_data(DataConfig(source=source, root=root, image_size=32), lambda _: None)


def test_tuples_inside_tuples_that_would_crash_python_are_refused(tmp_path: Path) -> None:
    """A tuple that is the key of a mapping is hashed, which recurses in C: a million nested ones end the process."""
    (tmp_path / "batch").write_bytes(b"\x80\x02}K\x00" + b"\x85" * 200 + b"K\x01s.")
    with pytest.raises(UserError, match="more than 100 tuples"):
        read_cifar_batch(tmp_path / "batch")


@pytest.mark.parametrize(
    "name", ["_codecs\nencode", "numpy\nndarray", "numpy\ndtype", "numpy.core.multiarray\n_reconstruct"]
)
def test_a_batch_changes_nothing_outside_of_it(tmp_path: Path, name: str) -> None:
    """The pickle instruction BUILD sets attributes of any object on the stack that has no way of its own."""
    before = [dict(vars(each)) for each in ALLOWED_GLOBALS.values()]
    state = b"(N}X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00z\x85st"
    (tmp_path / "batch").write_bytes(b"\x80\x02}K\x00c" + name.encode() + b"\n" + state + b"bs.")
    with pytest.raises(UserError, match="refused as a CIFAR-10 batch file"):
        read_cifar_batch(tmp_path / "batch")
    assert [dict(vars(each)) for each in ALLOWED_GLOBALS.values()] == before


def nest_twice(depth: int) -> list[object]:
    """Return a list with a short pickle but a text of more than 2^depth characters."""
    return [] if depth == 0 else [below := nest_twice(depth - 1), below]


@pytest.mark.parametrize("names", [5, "abcdefghij", ["a"] * 9, ["a"] * 9 + [b"b"], [nest_twice(18)] * 10, [["a"] * 10]])
def test_names_of_classes_are_ten_words(tmp_path: Path, names: object) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py")
    meta = tmp_path / "cifar-10-batches-py" / "batches.meta"
    meta.write_bytes(pickle.dumps({"label_names": names}, protocol=2))
    with pytest.raises(UserError, match=r"batches\.meta: no list `label_names` of 10 words in it"):
        open_set("cifar10", tmp_path)
    meta.write_bytes(pickle.dumps({}, protocol=2))
    assert open_set("cifar10", tmp_path).classes == tuple("0123456789")


@contextmanager
def within(most: int) -> Iterator[None]:
    """See that a block does not need more memory than so many bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


SHAPES = {
    (2**32 - 1,) * 3: "more than 1,073,741,824 bytes",
    (2**30, 1, 1): "cannot reshape",
    (20, 28, 27): "cannot reshape",
    (20, 28, 29): "cannot reshape",
    (): "cannot reshape",
    (1,) * 255: "damaged",
    (20, 784): "do not belong together",
    (10, 56, 28): "do not belong together",
    (20, 14, 56): "do not belong together",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_in_a_header_are_not_trusted(tmp_path: Path, shape: tuple[int, ...], packed: bool) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, packed)
    content = struct.pack(f">I{len(shape)}I", 0x800 + len(shape), *shape) + bytes(20 * 28 * 28)
    next(raw.glob("t10k-images*" if shape == (20, 14, 56) else "train-images*")).write_bytes(
        gzip.compress(content) if packed else content
    )
    with within(2**23), pytest.raises(UserError, match=SHAPES[shape]) as caught:
        open_set("mnist", tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_packed_is_unpacked_no_further_than_its_header_says(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, packed=True)
    bomb = gzip.compress(struct.pack(">4I", 0x803, 20, 28, 28) + bytes(2**26))
    assert len(bomb) < 2**17
    (raw / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    with within(2**23), pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz: damaged"):
        open_set("mnist", tmp_path)
