"""Sets of the library `datasets` that are broken, each named in one line."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vaegan.data import open_data
from vaegan.errors import UserError

datasets = pytest.importorskip("datasets")
import pyarrow as pa  # noqa: E402

from .table_sets import LABELS, make_config, write_arrow, write_file, write_parquet, write_saved  # noqa: E402


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def cut(file: Path, count: int) -> Path:
    file.write_bytes(file.read_bytes()[:count])
    return file


def cut_saved(place: Path) -> Path:
    file = next(write_saved(place).glob("*.arrow"))
    cut(file, 3000)
    return place


def write_two_kinds(place: Path) -> Path:
    place.mkdir()
    write_file(place / "a")
    write_arrow(place / "b")
    return place


def write_pipe(place: Path) -> Path:
    place.mkdir()
    os.mkfifo(place / "a.parquet")
    return place


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda p: p, "no such folder or file"),
    "missing file": (lambda p: p.with_suffix(".parquet"), "no such folder or file"),
    "empty folder": (lambda p: p.mkdir() or p, "no file ending in .parquet or .arrow in it"),
    "pipe": (write_pipe, "a.parquet: a pipe, or a link that leads nowhere"),
    "two kinds": (write_two_kinds, "both Parquet and Arrow files"),
    "other file": (lambda p: p.write_text("x") and p, "neither a folder nor a Parquet or Arrow file"),
    "torn parquet": (lambda p: cut(write_file(p), 3000), "Parquet magic bytes not found in footer"),
    "torn arrow": (lambda p: cut(write_arrow(p), 3000), "cannot be read: "),
    "torn save_to_disk": (cut_saved, "cannot be read: "),
    "no column": (
        lambda p: write_parquet(p.with_suffix(".parquet"), {"x": LABELS}),
        "no column of images; its columns are x; name it by data.image_column",
    ),
    "floats as labels": (
        lambda p: write_parquet(p.with_suffix(".parquet"), {"i": [b"x"] * 24, "label": np.arange(24) / 2}), "",
    ),
    "no rows": (lambda p: write_parquet(p.with_suffix(".parquet"), {"i": pa.array([], pa.binary())}), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_set_is_named_in_one_line(tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, message = BAD[case]
    root = make(tmp_path / "set")
    capfd.readouterr()
    with pytest.raises(UserError) as error:
        open_data(make_config(root), notify=lambda _: None)
    assert str(error.value).startswith(f"data.root: {root}: ") and message in str(error.value)
    assert "\n" not in str(error.value) and capfd.readouterr() == ("", "")
