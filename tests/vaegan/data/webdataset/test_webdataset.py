"""Images in tar shards: the set of the same files in a folder, with access to any of them, and nothing unpickled."""

import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from vaegan.config.source_files import guess_source
from vaegan.data import Data, Images, open_data, reading, sources
from vaegan.data.description import describe_data
from vaegan.data.members import SPLITS, MemberList
from vaegan.data.webdataset.build_index import build_index
from vaegan.data.webdataset.index import INDEX_NAME
from vaegan.data.webdataset.reader import ShardReader
from vaegan.errors import Failure, UserError
from vaegan.progress import Reporter
from vaegan.storage.run_data import open_run_data, open_training_data
from vaegan.trainers import train

from ....tiny import are_bit_identical, flatten, load_newest, tiny
from ..image_sets import list_splits, read_all
from .shard_sets import IMAGES, LABELS, encode, make_large, make_samples, shard_config, write_shards, write_tar


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEGAN_CACHE", str(tmp_path_factory.mktemp("cache")))


def list_names(data: Data, split: str) -> set[str]:
    """Return the names of the images of a split of the shards that a config names."""
    images: Images = getattr(data, split)
    reader = images.store if isinstance(images.store, ShardReader) else None
    assert reader is not None
    return {reader.get_name(int(index)) for index in images.indices}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", ["cls", "json", ""])
def test_images_and_labels_are_those_of_the_entries(
    tmp_path: Path, kind: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        make_large(monkeypatch)
    root = write_shards(tmp_path / "set", kind)
    stored, read = (open_data(shard_config(root, cache=cache)) for cache in ("memory", "none"))
    assert isinstance(read.train.store, ShardReader) and stored.train.in_memory
    assert stored.fingerprint == read.fingerprint and stored.members == read.members
    assert stored.classes == (("0", "1", "2") if kind else ()) and sum(map(len, list_splits(stored))) == 24
    for one, other in zip(list_splits(stored), list_splits(read), strict=True):
        expected = np.stack([np.asarray(IMAGES[index]).transpose(2, 0, 1) for index in one.indices])
        assert np.array_equal(read_all(one), expected) and torch.equal(read_all(one), read_all(other))
        for images in (one, other):
            assert (images.labels is None) is (kind == "")
            assert images.labels is None or images.labels.tolist() == [LABELS[index] for index in images.indices]


def test_names_are_those_of_the_shard_and_the_entry_whatever_the_rest_of_the_set(tmp_path: Path) -> None:
    before = open_data(shard_config(write_shards(tmp_path)))
    assert before.members is not None
    assert [member.name for member in before.members.members[8:12]] == [
        "a.tar/0008.png", "a.tar/0009.png", "b/c.tar/0010.png", "b/c.tar/0011.png",
    ]  # fmt: skip
    write_tar(tmp_path / "aa.tar", [(f"{number}.jpg", encode(IMAGES[number], "JPEG")) for number in range(4)])
    build_index(tmp_path)
    after = open_data(shard_config(tmp_path))
    assert after.members is not None
    splits = {member.name: member.split for member in after.members.members}
    assert {member.name: member.split for member in before.members.members}.items() <= splits.items()


@pytest.mark.parametrize("large", [False, True])
def test_weights_are_those_of_a_folder_of_the_same_files(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained on all images, since which are held out is a property of their names."""
    root = write_shards(tmp_path / "shards", "")
    (tmp_path / "files").mkdir()
    for number, image in enumerate(IMAGES):
        image.save(tmp_path / "files" / f"{number:04}.png")
    states = []
    for source, place in (("folder", tmp_path / "files"), ("webdataset", root)):
        if large and source == "webdataset":
            make_large(monkeypatch)
        overrides = [f"data.source={source}", f"data.root={place}", "data.validation=0", "data.test=0"]
        config = tiny("ae", *overrides, "data.cache=none", "data.workers=1", "data.horizontal_flip=true")
        states.append(flatten(load_newest(train(config, tmp_path / f"run-{source}", open_data(config.data)).path)))
    assert are_bit_identical(*states)


@pytest.mark.parametrize("fractions", [(0.1, 0.1), (0.3, 0.2), (0, 0), (0.001, 0.001), (0, 0.5), (0.5, 0.49)])
@pytest.mark.parametrize("names", [("a.tar", "b.tar"), ("train.tar", "val.tar"), ("train.tar", "x-test.tar")])
def test_splits_of_a_large_set_are_those_of_a_listed_one(
    tmp_path: Path, fractions: tuple[float, float], names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shard_config(write_shards(tmp_path, "cls", names), validation=fractions[0], test=fractions[1])
    small = open_data(config)
    make_large(monkeypatch)
    sources._read_cache.clear()
    for _ in range(2):  # the second time from the file in the cache folder
        large = open_data(config)
        for one, other in zip(list_splits(small), list_splits(large), strict=True):
            assert torch.equal(one.indices, other.indices) and other.indices.dtype == torch.int64
            assert torch.equal(one.labels, other.labels)
        sources._read_cache.clear()
    if names[1] != "b.tar":
        official = small.validation if names[1] == "val.tar" else small.test
        assert official.indices.tolist() == list(range(10, 24))


def test_shards_of_which_only_some_names_tell_a_split_are_refused(tmp_path: Path) -> None:
    root = write_shards(tmp_path, "cls", ("train.tar", "x.tar"))
    with pytest.raises(
        UserError, match=r"1 of its files, such as x\.tar, tell no split, and others do \(train\.tar of"
    ):
        open_data(shard_config(root))


@pytest.mark.parametrize("large", [False, True])
def test_what_a_run_was_trained_on_is_compared(tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        make_large(monkeypatch)
    config = shard_config(write_shards(tmp_path))
    known = open_data(config).members
    assert known is not None and not open_data(config, known=known).differences
    assert len(known.members) == (2 if large else 24)
    changed = [(name, encode(IMAGES[3]) if name == "0012.png" else x) for name, x in make_samples(range(10, 24))]
    write_tar(tmp_path / "b" / "c.tar", changed)
    build_index(tmp_path)
    described = open_data(config, known=known).differences.describe()
    assert described == ("its shards are others: 1 changed: b/c.tar" if large else LEAKED)
    write_tar(tmp_path / "b" / "c.tar", make_samples(range(10, 24)))
    (tmp_path / "b" / "c.tar").rename(tmp_path / "b" / "d.tar")
    build_index(tmp_path)
    described = open_data(config, known=known).differences.describe()
    assert described.startswith(
        "its shards are others: 1 image more: b/d.tar" if large else "14 moved: b/c.tar/0010.png"
    )


LEAKED = "1 changed: b/c.tar/0012.png"


def test_a_list_of_shards_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_large(monkeypatch)
    config = tiny("ae", "data.source=webdataset", f"data.root={write_shards(tmp_path / 'set')}")
    run = train(config, tmp_path / "run", data := open_data(config.data))
    assert isinstance(run.members, MemberList) and run.members == data.members


@pytest.mark.parametrize("large", [False, True])
def test_a_run_is_resumed_to_the_bit_whatever_the_cache(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        make_large(monkeypatch)
    states, root = [], write_shards(tmp_path / "set")
    for name, cache, stops in (("whole", "memory", (5,)), ("resumed", "none", (3, 5))):
        for steps in stops:
            overrides = ["data.source=webdataset", f"data.root={root}", "data.crop=random", f"data.cache={cache}"]
            config = tiny("vae", *overrides, "data.workers=0", f"train.steps={steps}")
            opened, _ = open_training_data(config, tmp_path / name, Reporter())
            run = train(config, tmp_path / name, opened, resume=steps == 5, extend=steps == 5)
        states.append(flatten(load_newest(run.path)))
    assert are_bit_identical(*states)


@pytest.mark.parametrize("large", [False, True])
def test_a_finished_run_opens_its_images_or_refuses_others(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        make_large(monkeypatch)
    root = write_shards(tmp_path / "set")
    config = tiny("ae", "data.source=webdataset", f"data.root={root}", "data.cache=none", "data.workers=0")
    run = train(config, tmp_path / "run", open_training_data(config, tmp_path / "run", Reporter())[0])
    before = open_run_data(run, run.config, Reporter())[0]
    splits = {split: list_names(before, split) for split in SPLITS}
    shutil.copytree(root, tmp_path / "moved")
    moved, _ = open_run_data(run, run.config, Reporter(), data_root=tmp_path / "moved")
    assert moved.fingerprint == before.fingerprint and run.config.data.root == tmp_path / "moved"
    write_tar(root / "a.tar", make_samples(range(9)))
    build_index(root)
    what = "its shards are others: 1 changed: a.tar" if large else "1 missing: a.tar/0009.png"
    with pytest.raises(UserError, match=f"the images are not those that the run was trained on: {what}; restore them"):
        open_run_data(run, run.config, Reporter(), data_root=root)
    data, _ = open_run_data(run, run.config, Reporter(), data_root=root, allow_other_data=True)
    assert all(list_names(data, split) <= splits[split] for split in SPLITS)  # names keep their splits


def test_images_that_are_no_longer_those_of_the_index_are_not_read(tmp_path: Path) -> None:
    """Also where a shard has the size and the time that it had: the bytes of each image are compared."""
    root = write_shards(tmp_path)
    data = open_data(shard_config(root, cache="none"))
    reader, shard = data.train.store, root / "a.tar"
    assert isinstance(reader, ShardReader)
    content, offset = bytearray(shard.read_bytes()), int(reader.index.offsets[3])
    content[offset + 60] ^= 1
    shard.write_bytes(content)
    with pytest.raises(Failure, match=r"a\.tar/0003\.png: not the image that was indexed; restore its shard, or run"):
        data.train[torch.arange(len(data.train))] if 3 in data.train.indices else data.test[torch.arange(9)]
    reader(4)
    shard.unlink()
    with pytest.raises(reading.UnreadableImageError) as caught:
        reader(4)
    assert caught.value.reason == "no such file or directory" and not caught.value.is_lasting


def test_an_image_with_a_damaged_body_is_found_as_in_a_folder(tmp_path: Path) -> None:
    files = dict(make_samples(range(24), ""))
    files["0005.png"] = files["0005.png"][:300]
    files["0006.png"] = b"no image"
    write_tar(tmp_path / "a.tar", files.items())
    notes: list[str] = []
    assert build_index(tmp_path, notify=notes.append).broken == {6: "not an image"}
    assert notes == [f"{tmp_path}: 1 image that cannot be used: a.tar/0006.png (not an image)"]
    found = describe_data(shard_config(tmp_path), Reporter())
    assert set(found.broken) == {"a.tar/0005.png", "a.tar/0006.png"} and found.count == 22
    assert set(build_index(tmp_path, decode=True).broken) == {5, 6}


def test_a_large_set_leaves_out_what_indexing_found_and_says_what_it_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_large(monkeypatch)
    files = dict(make_samples(range(24), ""))
    files["0005.png"] = files["0005.png"][:300]
    write_tar(tmp_path / "a.tar", files.items())
    build_index(tmp_path)
    notes: list[str] = []
    assert sum(map(len, list_splits(open_data(shard_config(tmp_path, cache="none"), notes.append)))) == 24
    assert len(notes) == 1 and notes[0].endswith(
        "only their headers were checked; `vaegan index --decode` reads them all once"
    )
    with pytest.raises(
        UserError, match=r"0005\.png .*; `vaegan index --decode` finds such images, and they are left out"
    ):
        open_data(shard_config(tmp_path, cache="memory"))
    build_index(tmp_path, decode=True)
    notes.clear()
    for cache in ("memory", "none"):
        data = open_data(shard_config(tmp_path, cache=cache), notes.append)
        assert sum(map(len, list_splits(data))) == 23 and not any(
            (part.indices == 5).any() for part in list_splits(data)
        )
    assert len(notes) == 2 and all("1 images that cannot be used left out: " in note for note in notes)


def test_a_second_start_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdicts are about the bytes, so that they hold for shards that were copied elsewhere."""
    first = open_data(shard_config(write_shards(tmp_path), cache="none"))
    sources._read_cache.clear()
    monkeypatch.setattr(ShardReader, "read", None)
    assert open_data(shard_config(tmp_path, cache="none")).fingerprint == first.fingerprint


def test_a_reader_is_sent_without_its_index(tmp_path: Path) -> None:
    store = open_data(shard_config(write_shards(tmp_path), cache="none")).train.store
    sent = pickle.dumps(store)
    assert isinstance(store, ShardReader) and len(sent) < 1500 and np.array_equal(pickle.loads(sent)(7), store(7))


def test_shards_are_known_by_their_names(tmp_path: Path) -> None:
    assert guess_source(write_shards(tmp_path)) == "webdataset" == guess_source(tmp_path / "a.tar")
    build_index(tmp_path / "a.tar")
    assert (tmp_path / f"a.tar.{INDEX_NAME}").is_file()
    data = open_data(shard_config(tmp_path / "a.tar", validation=0.2))
    assert sum(map(len, list_splits(data))) == 10
    with pytest.raises(ValueError, match=r"data\.root: missing; data\.source=webdataset needs the folder or file"):
        shard_config(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_any_length_are_whole_in_every_format(tmp_path: Path, form: int) -> None:
    names = ["x/" * (40 if form == tarfile.USTAR_FORMAT else 150) + f"{n}.png" for n in range(3)]
    names += [] if form == tarfile.USTAR_FORMAT else [f"{'n' * 220}.jpg", "\u732b.png"]
    contents = [encode(IMAGES[n], "JPEG" if name.endswith("jpg") else "PNG") for n, name in enumerate(names)]
    write_tar(tmp_path / "a.tar", zip(names, contents, strict=True), form)
    index = build_index(tmp_path)
    assert list(index.names) == [f"a.tar/{name}" for name in names]
    reader = open_data(shard_config(tmp_path, validation=0, test=0, cache="none")).train.store
    assert [reader.read(n).content for n in range(len(names))] == contents
