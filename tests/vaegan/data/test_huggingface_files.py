"""Files of tables of the library `datasets`: which ones are read, in which state, and what their numbers mean."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from vaegan.data import open_data
from vaegan.errors import UserError

datasets = pytest.importorskip("datasets")
import pyarrow.parquet as pq  # noqa: E402

from .table_sets import (  # noqa: E402
    IMAGES,
    LABELS,
    NAMES,
    encode,
    make_config,
    make_dataset,
    make_table,
    write_file,
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def test_a_file_that_is_replaced_is_read_again_though_its_time_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    for start in (0, 12):
        pq.write_table(make_table(start, start + 12), file)
        os.utime(file, (10**9, 10**9))
        label_of = {encode(IMAGES[number]): LABELS[number] for number in range(start, start + 12)}
        images = open_data(make_config(file)).train
        assert images.labels is not None
        for pixels, label in zip(images[torch.arange(len(images))].numpy(), images.labels, strict=True):
            assert label_of[encode(Image.fromarray(pixels.transpose(1, 2, 0)))] == label


@pytest.mark.parametrize("saved", [True, False])
def test_parts_that_name_the_classes_differently_are_refused(tmp_path: Path, saved: bool) -> None:
    parts, root = {"train": make_dataset(0, 18), "test": make_dataset(18, 24)}, tmp_path / "set"
    parts["test"] = make_dataset(18, 24).cast_column("label", datasets.ClassLabel(names=["x", *NAMES[1:]]))
    if saved:
        datasets.DatasetDict(parts).save_to_disk(str(root))
    else:
        root.mkdir()
        for split, part in parts.items():
            part.to_parquet(str(root / f"{split}.parquet"))
    with pytest.raises(UserError, match="column label: the numbers are not the same classes in all of it: "):
        open_data(make_config(root))


def test_tables_in_linked_folders_are_found_and_those_of_computations_are_none(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    (root / "here").mkdir(parents=True)
    write_file(root / "here" / "all")
    (root / "here" / "state.json").write_text("{}")
    pq.write_table(make_table(), root / "here" / "cache-0123456789abcdef.parquet")
    elsewhere.mkdir()
    pq.write_table(make_table(0, 10), elsewhere / "more.parquet")
    (root / "linked").symlink_to(elsewhere)
    (root / "again").symlink_to(root)
    data = open_data(make_config(root))
    assert sum(map(len, (data.train, data.validation, data.test))) == len(IMAGES) + 10
