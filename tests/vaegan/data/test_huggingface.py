"""Sets of the library `datasets`: every way to store the same images is the same set, and only its bytes are read."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaegan.cli.data import _describe_facts
from vaegan.config.data import DataConfig
from vaegan.config.source_files import guess_source
from vaegan.data import open_data
from vaegan.data.description import describe_data
from vaegan.data.huggingface import NO_BYTES, HuggingFaceReader
from vaegan.errors import Failure, UserError
from vaegan.progress import Reporter
from vaegan.trainers import train

from ...tiny import are_bit_identical, flatten, load_newest, tiny
from .image_sets import list_splits, read_all

datasets = pytest.importorskip("datasets")
import pyarrow.parquet as pq  # noqa: E402

from .table_sets import (  # noqa: E402
    IMAGES,
    LABELS,
    NAMES,
    WRITERS,
    encode,
    make_config,
    make_dataset,
    make_table,
    write_parquet,
    write_saved,
    write_shards,
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


@pytest.mark.parametrize("kind", WRITERS)
def test_every_way_to_store_images_is_the_same_set(tmp_path: Path, kind: str) -> None:
    root = WRITERS[kind](tmp_path / "set")
    stored, read = (open_data(make_config(root, cache=cache, workers=2)) for cache in ("memory", "none"))
    assert isinstance(read.train.store, HuggingFaceReader) and stored.fingerprint == read.fingerprint
    assert stored.classes == tuple(NAMES) and sum(map(len, list_splits(stored))) == 24
    for one, other in zip(list_splits(stored), list_splits(read), strict=True):
        expected = np.stack([np.asarray(IMAGES[index]).transpose(2, 0, 1) for index in one.indices])
        assert np.array_equal(read_all(one), expected) and torch.equal(read_all(one), read_all(other))
        assert one.labels.tolist() == other.labels.tolist() == [LABELS[index] for index in one.indices]


def test_weights_are_those_of_an_array_of_the_same_pixels(tmp_path: Path) -> None:
    """Trained on all images, since which are held out is a property of their names."""
    np.save(tmp_path / "images.npy", np.stack([np.asarray(image) for image in IMAGES]))
    roots = {"arrays": tmp_path, "huggingface": write_shards(tmp_path / "set")}
    states = []
    for source, root in roots.items():
        overrides = [f"data.source={source}", f"data.root={root}", "data.validation=0", "data.test=0"]
        config = tiny("ae", *overrides, "data.cache=none", "data.workers=1", "data.horizontal_flip=true")
        states.append(flatten(load_newest(train(config, tmp_path / f"run-{source}", open_data(config.data)).path)))
    assert are_bit_identical(*states)


def test_the_splits_of_a_set_are_kept_and_the_missing_one_is_drawn(tmp_path: Path) -> None:
    parts = {"train": (0, 18), "test": (18, 24)}
    datasets.DatasetDict({name: make_dataset(*part) for name, part in parts.items()}).save_to_disk(str(tmp_path / "a"))
    data = open_data(make_config(tmp_path / "a", validation=0.2, test=0.5))
    assert data.test.indices.tolist() == list(range(18, 24)) and 1 <= len(data.validation) < 9
    assert sorted([*data.train.indices.tolist(), *data.validation.indices.tolist()]) == list(range(18))
    assert data.members.members[20].name == "test/2"
    parts = {"train": (0, 10), "valid": (10, 14), "test": (14, 18), "extra": (18, 24)}
    datasets.DatasetDict({name: make_dataset(*part) for name, part in parts.items()}).save_to_disk(str(tmp_path / "b"))
    notes: list[str] = []
    data = open_data(make_config(tmp_path / "b"), notes.append)
    assert [split.indices.tolist() for split in list_splits(data)] == [
        list(range(*parts[name])) for name in list(parts)[:3]
    ]
    assert notes == [f"data.root: {tmp_path / 'b'}: left out its splits extra"]


def test_copies_across_official_splits_stay_where_they_are_and_are_named(tmp_path: Path) -> None:
    parts = {"train": (0, 18), "validation": (2, 4), "test": (16, 24)}
    datasets.DatasetDict({name: make_dataset(*part) for name, part in parts.items()}).save_to_disk(str(tmp_path))
    notes: list[str] = []
    config = make_config(tmp_path)
    assert [len(split) for split in list_splits(open_data(config, notes.append))] == [18, 2, 8]
    kept, equal = "official splits are kept as they are", "equal images of the train split"
    assert notes == [
        f"data: 2 images of the {split} split {equal} ({split}/0 = train/{row}, {split}/1 = train/{row + 1}); {kept}"
        for split, row in (("validation", 2), ("test", 16))
    ]
    facts = _describe_facts(describe_data(config, Reporter()))
    assert facts["duplicates"] == f"0 within a split, 4 across splits ({kept})"


def test_files_are_split_by_their_names(tmp_path: Path) -> None:
    for name, part in {"fine/train/0": (0, 10), "fine/train/1": (10, 18), "fine/a-test-0": (18, 24)}.items():
        file = tmp_path / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(make_table(*part), file)
    (tmp_path / "README.md").write_text("---\nconfigs:\n- config_name: x\n  data_files: elsewhere.parquet\n---\n")
    data = open_data(make_config(tmp_path, validation=0))
    assert [split.indices.tolist() for split in list_splits(data)] == [list(range(18)), [], list(range(18, 24))]


def test_a_file_whose_name_tells_no_split_is_not_dropped_beside_one_that_does(tmp_path: Path) -> None:
    for name, part in {"a": (0, 10), "test": (18, 24), "._a": (0, 1), ".cache/b": (0, 1)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(make_table(*part), tmp_path / f"{name}.parquet")
    (tmp_path / "._test.parquet").write_bytes(b"\0\5\x16\7")
    message = (
        r"the names of 1 of its files, such as a\.parquet, tell no split, and others do \(test\.parquet of test\); put"
    )
    with pytest.raises(UserError, match=message):
        open_data(make_config(tmp_path))
    (tmp_path / "a.parquet").rename(tmp_path / "train-a.parquet")
    found = describe_data(make_config(tmp_path, validation=0), Reporter())
    assert [len(images) for images in found.splits.values()] == [10, 0, 6]
    assert found.official == found.to_json()["official_splits"] == {"train": 10, "test": 6}


def test_hidden_files_are_no_tables(tmp_path: Path) -> None:
    write_shards(tmp_path)
    for name in ("._train.parquet", "data/._train-00000-of-00002.parquet", ".DS_Store"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "._x.png").write_bytes(b"")
    assert guess_source(tmp_path) == "huggingface"
    assert sum(map(len, list_splits(open_data(make_config(tmp_path))))) == 24


def test_paths_and_addresses_in_rows_are_not_followed(tmp_path: Path) -> None:
    IMAGES[0].save(tmp_path / "secret.png")
    rows = [{"bytes": encode(image), "path": "x.png"} for image in IMAGES[:10]]
    rows += [
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        {"bytes": None, "path": "https://example.com/a.png"},
    ]
    root = write_parquet(tmp_path / "a.parquet", {"image": rows})
    found = describe_data(make_config(root), Reporter())
    assert found.count == 10
    assert found.broken == {"train/10": NO_BYTES, "train/11": NO_BYTES}


def test_broken_rows_are_left_out_and_named(tmp_path: Path) -> None:
    contents = [encode(image) for image in IMAGES]
    contents[3], contents[5] = contents[3][:200], b"text"
    root = write_parquet(tmp_path / "a.parquet", {"picture": contents})
    notes: list[str] = []
    for cache in ("memory", "none"):
        data = open_data(make_config(root, cache=cache), notes.append)
        assert sum(map(len, list_splits(data))) == 22
    assert len(notes) == 2 and all(f"{root}: train/5 (not an image)" in note for note in notes)
    kinds = describe_data(make_config(root), Reporter())
    assert (kinds.count_stored("format"), kinds.count_stored("size")) == ([("PNG", 22)], [("16x16", 22)])


def test_labels_are_numbers_names_or_not_known(tmp_path: Path) -> None:
    contents = {"png": [encode(image) for image in IMAGES]}
    words = [NAMES[label] for label in LABELS]
    root = write_parquet(tmp_path / "a.parquet", {**contents, "label": LABELS, "kind": words, "hidden": [-1] * 24})
    notes: list[str] = []
    assert open_data(make_config(root), notes.append).classes == ("0", "1", "2")
    data = open_data(make_config(root, label_column="kind"), notes.append)
    assert data.classes == tuple(NAMES) and data.train.labels.tolist() == [LABELS[i] for i in data.train.indices]
    with pytest.raises(
        UserError, match=r"column hidden: 24 rows without a label, such as train/0; name another column"
    ):
        open_data(make_config(root, label_column="hidden"))
    with pytest.raises(
        UserError, match=r"^data\.label_column: y: no such column of .*; it has png, label, kind, hidden"
    ):
        open_data(make_config(root, label_column="y"))
    hidden = write_parquet(tmp_path / "b.parquet", {**contents, "label": [*LABELS[:-1], -1]})
    assert open_data(make_config(hidden), notes.append).classes == ()
    texts = write_parquet(tmp_path / "d.parquet", {**contents, "label": words})
    assert open_data(make_config(texts), notes.append).classes == tuple(NAMES)
    truths = write_parquet(
        tmp_path / "e.parquet", {**contents, "label": [label > 0 for label in LABELS], "class": words}
    )
    assert open_data(make_config(truths), notes.append).classes == ("0", "1")
    captions = write_parquet(tmp_path / "f.parquet", {**contents, "label": [f"no. {number}" for number in range(24)]})
    assert open_data(make_config(captions), notes.append).classes == ()
    several = write_parquet(tmp_path / "c.parquet", {**contents, "label": LABELS, "class": LABELS})
    assert open_data(make_config(several), notes.append).classes == ()
    assert "1 row without a label, such as train/23; the images have no labels" in notes[0]
    assert "column label: 24 different texts for 24 images, which are taken for no classes; data.label_c" in notes[1]
    assert "columns of classes: label, class; data.label_column chooses one" in notes[2]


def test_the_column_of_images_is_found_or_given(tmp_path: Path) -> None:
    one, other = ([encode(image) for image in images] for images in (IMAGES, IMAGES[::-1]))
    root = write_parquet(tmp_path / "a.parquet", {"a": one, "b": other, "n": LABELS})
    with pytest.raises(UserError, match=r"several columns of images, a, b; name it by data\.image_column$"):
        open_data(make_config(root))
    data = open_data(make_config(root, image_column="b"))
    assert np.array_equal(read_all(data.train)[0], np.asarray(IMAGES[23 - data.train.indices[0]]).transpose(2, 0, 1))


def test_a_reader_is_sent_without_its_images(tmp_path: Path) -> None:
    store = open_data(make_config(write_saved(tmp_path / "set"), cache="none")).train.store
    sent = pickle.dumps(store)
    assert len(sent) < 5000 and np.array_equal(pickle.loads(sent)(7), store(7))


def test_a_name_on_the_hub_is_fetched_without_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[object, ...]] = []

    def load_dataset(*arguments: object, **options: object) -> Any:
        asked.append((*arguments, options))
        if len(asked) > 1:
            raise ConnectionError("Couldn't reach it\non the Hub")
        return datasets.load_from_disk(str(tmp_path / "set"))

    write_saved(tmp_path / "set")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert make_config(None, hub="hf://owner/name:small") == make_config(None, hub="owner/name:small")
    data = open_data(make_config(None, hub="owner/name:small"))
    assert data.classes == tuple(NAMES) and asked == [("owner/name", "small", {})]
    assert data.fingerprint == open_data(make_config(tmp_path / "set")).fingerprint
    (tmp_path / "owner").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^data\.hub: owner: a folder or file of this name is here"):
        open_data(make_config(None, hub="owner"))
    with pytest.raises(Failure, match=r"^data\.hub: owner/other: could not be fetched: Couldn't reach it on the Hub$"):
        open_data(make_config(None, hub="owner/other"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "data.root: missing; data.source=huggingface needs either data.root or data.hub"),
        ({"root": "a", "hub": "b/c"}, "data.root: given beside data.hub"),
        ({"hub": "../c"}, "hub\n"),
        ({"source": "folder", "root": "a", "image_column": "x"}, "data.image_column: only huggingface takes it"),
        ({"source": "digits", "hub": "a/b"}, "data.hub: only huggingface takes it"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        DataConfig.model_validate({"source": "huggingface", "image_size": 16, **settings})
