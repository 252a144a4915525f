"""Shards that are torn, packed or odd, and indexes that are stale or damaged: each ends in one clear line."""

import gzip
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vaegan.data import open_data
from vaegan.data.webdataset.build_index import build_index
from vaegan.data.webdataset.index import INDEX_NAME, get_index_file
from vaegan.errors import UserError
from vaegan.io import load_tensors, save_tensors

from .shard_sets import IMAGES, encode, make_large, make_samples, shard_config, write_shards, write_tar

PNG = encode(IMAGES[0])


def write(root: Path, *files: tuple[str, bytes], name: str = "a.tar") -> Path:
    return write_tar(root / name, files)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def patch(path: Path, start: int, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[start : start + len(content)] = content
    path.write_bytes(bytes(data))


def add_links(root: Path) -> None:
    with tarfile.open(write(root, ("a.png", PNG), ("b.png", PNG)), "a") as archive:
        for name, kind in (("c.png", tarfile.SYMTYPE), ("d.png", tarfile.LNKTYPE), ("e.png", tarfile.FIFOTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)


def write_huge(root: Path) -> None:
    """An entry that claims to hold more bytes than there are."""
    entry = tarfile.TarInfo("a.png")
    entry.size = 2**40
    (root / "a.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + PNG)


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut in an image": (lambda p: cut(write(p, ("a.png", PNG), ("b.png", PNG)), 1800), "torn"),
    "cut in a header": (lambda p: cut(write(p, ("a.png", PNG), ("b.png", PNG)), 1536 + 100), r"a\.tar: torn"),
    "cut between two": (
        lambda p: cut(write(p, ("a.png", PNG), ("b.png", PNG)), 1536),
        r"a\.tar: torn: it ends after 1,536 bytes without the mark of its end; restore it",
    ),
    "damaged header": (
        lambda p: patch(write(p, ("a.png", PNG), ("b.png", PNG)), 1536 + 3, b"xyz"),
        r"a\.tar: damaged: no header of an entry at byte 1,536; restore it",
    ),
    "huge entry": (write_huge, r"a\.tar: torn"),
    "empty": (lambda p: (p / "a.tar").write_bytes(b""), r"a\.tar: torn, or no tar archive \(empty file\); restore it"),
    "text": (lambda p: (p / "a.tar").write_text("x" * 2000), r"a\.tar: torn, or no tar archive \("),
    "packed": (
        lambda p: (p / "a.tar").write_bytes(gzip.compress(write(p, ("a.png", PNG), name="b.bin").read_bytes())),
        r"a\.tar: compressed by gzip, so that images in it cannot be read one by one; decompress it",
    ),
    "packed name": (lambda p: (p / "a.tar.gz").write_bytes(b""), r"a\.tar\.gz is compressed.*; decompress the shards"),
    "no shard": (lambda p: (p / "a.png").write_bytes(PNG), r"no shard in it; files ending in \.tar are taken"),
    "no image": (lambda p: write(p, ("a.txt", b"x")), "no image in its shards"),
    "none usable": (lambda p: write(p, ("a.png", b"x")), r"none of the 1 images can be used: not an image"),
    "twice": (
        lambda p: write(p, ("a.png", PNG), ("b.png", PNG), ("./a.png", PNG)),
        r"a\.tar: a\.png is in it twice; pack it again without the copies",
    ),
    "two images": (
        lambda p: write(p, ("a.png", PNG), ("a.jpg", PNG)),
        r"a\.tar: a\.png and a\.jpg are images of one sample; keep one of them",
    ),
    "negative": (lambda p: write(p, ("a.png", PNG), ("a.cls", b"-1")), r"a\.cls: -1 is no label; labels are numbers"),
    "fraction": (lambda p: write(p, ("a.png", PNG), ("a.json", b'{"label": 0.5}')), r"a\.json: 0\.5 is no label"),
    "truth": (lambda p: write(p, ("a.png", PNG), ("a.json", b'{"label": true}')), r"a\.json: true is no label"),
    "empty label": (lambda p: write(p, ("a.png", PNG), ("a.cls", b" \n")), r'a\.cls: "" is no label'),
    "no JSON": (lambda p: write(p, ("a.png", PNG), ("a.json", b"{")), r"a\.tar: a\.json: no JSON"),
    "deep": (lambda p: write(p, ("a.png", PNG), ("a.json", b"[" * 99_999)), r"a\.tar: a\.json: no JSON"),
    "no text": (lambda p: write(p, ("a.png", PNG), ("a.cls", b"\xff\xfe")), r"a\.cls: no text in UTF-8"),
    "two kinds": (
        lambda p: write(p, ("a.png", PNG), ("a.cls", b"3"), ("b.png", PNG), ("b.cls", b"cat")),
        r"some labels are numbers \(3\) and others text \(cat\); write all as one kind",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_is_wrong_with_shards_is_one_line(tmp_path: Path, kind: str) -> None:
    make, message = MISTAKES[kind]
    make(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        build_index(tmp_path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))
    assert not (tmp_path / INDEX_NAME).exists()


def test_links_and_what_else_is_no_file_are_passed_over_in_one_line(tmp_path: Path) -> None:
    add_links(tmp_path)
    notes: list[str] = []
    assert list(build_index(tmp_path, notify=notes.append).names) == ["a.tar/a.png", "a.tar/b.png"]
    problem = "3 entries are no regular file, such as a.tar/c.png"
    assert notes == [f"{tmp_path}: {problem}; passed over, since links are not followed"]


def test_labels_count_where_every_image_has_one(tmp_path: Path) -> None:
    notes: list[str] = []
    write(tmp_path, ("a.png", PNG), ("a.cls", b"2"), ("b.png", PNG), ("c.cls", b"1"))
    index = build_index(tmp_path, notify=notes.append)
    assert index.labels is None and index.classes == ()
    assert notes == [
        f"{tmp_path}: 1 sample without an image passed over",
        f"{tmp_path}: 1 image without a label, such as a.tar/b.png; the images have no labels",
    ]
    write(
        tmp_path,
        ("b.json", b'{"label": "owl"}'),
        ("a.png", PNG),
        ("a.cls", b"cat\n"),
        ("b.png", PNG),
        ("a.json", b"{}"),
    )
    index = build_index(tmp_path)
    assert index.labels is not None and index.classes == ("cat", "owl") and index.labels.tolist() == [0, 1]
    write(tmp_path, ("a.png", PNG), ("a.json", b'{"class": 1, "label": 2}'), ("a.cls", b"4"), (".b.png", b"x"))
    assert build_index(tmp_path).classes == ("0", "1", "2", "3", "4")


def swap_kept_time(root: Path) -> None:
    """Replace a shard by one of the same size and time, whose last image is another one."""
    status = (root / "a.tar").stat()
    write_tar(
        root / "a.tar", [(name, PNG if name == "0009.png" else content) for name, content in make_samples(range(10))]
    )
    assert (root / "a.tar").stat().st_size == status.st_size
    os.utime(root / "a.tar", ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda p: (p / INDEX_NAME).unlink(), "its shards have no index; run `vaegan index {}`"),
    "touched": (lambda p: os.utime(p / "a.tar", ns=(1, 1)), "a.tar: written since it was indexed; run"),
    "replaced": (swap_kept_time, "a.tar: written since it was indexed; run `vaegan index {}` again"),
    "more": (lambda p: write(p, ("z.png", PNG), name="z.tar"), "z.tar was added to the shards since they were indexed"),
    "fewer": (lambda p: (p / "b/c.tar").unlink(), "b/c.tar was taken from the shards since they were indexed; run"),
    "cut": (lambda p: cut(p / INDEX_NAME, 700), f"{INDEX_NAME}: damaged, or of another version"),
    "text": (lambda p: (p / INDEX_NAME).write_text("x"), f"{INDEX_NAME}: damaged, or of another version"),
    "a folder": (
        lambda p: [(p / INDEX_NAME).unlink(), (p / INDEX_NAME).mkdir()], f"{INDEX_NAME}: damaged, or of another",
    ),
    "a pipe": (
        lambda p: [(p / INDEX_NAME).unlink(), os.mkfifo(p / INDEX_NAME)], f"{INDEX_NAME}: damaged, or of another",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_shards_that_are_not_those_of_the_index_are_noticed(tmp_path: Path, kind: str) -> None:
    change, message = CHANGES[kind]
    open_data(shard_config(write_shards(tmp_path)))
    change(tmp_path)
    with pytest.raises(UserError) as caught:
        open_data(shard_config(tmp_path))
    assert message.format(tmp_path) in str(caught.value) and str(caught.value).startswith("data.root: ")
    assert "\n" not in str(caught.value) and f"run `vaegan index {tmp_path}`" in str(caught.value)


@pytest.mark.parametrize(
    "harm",
    [
        lambda x: x.pop("hashes"), lambda x: x.update(offsets=x["offsets"][1:]), lambda x: x["labels"].fill_(9),
        lambda x: x["labels"].fill_(-1), lambda x: x["ends"].fill_(7),
        lambda x: x.update(description=x["names"].clone()),
        lambda x: x.update(description=torch.frombuffer(bytearray(b"[1]"), dtype=torch.uint8)),
    ],
)  # fmt: skip
def test_an_index_that_was_tampered_with_is_refused(
    tmp_path: Path, harm: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    file = get_index_file(write_shards(tmp_path))
    tensors = {name: tensor.clone() for name, tensor in load_tensors(file).items()}
    harm(tensors)
    save_tensors(tensors, file)
    with pytest.raises(UserError, match="damaged, or of another version"):
        open_data(shard_config(tmp_path))


@pytest.mark.parametrize("column", ["offsets", "sizes"])
def test_an_index_that_points_elsewhere_reads_no_image(tmp_path: Path, column: str) -> None:
    """The bytes there have another digest, so that nothing else is taken for the image."""
    file = get_index_file(write_shards(tmp_path))
    tensors = {name: tensor.clone() for name, tensor in load_tensors(file).items()}
    tensors[column][4] = 2**40 if column == "offsets" else -1
    save_tensors(tensors, file)
    notes: list[str] = []
    open_data(shard_config(tmp_path), notes.append)
    assert len(notes) == 1 and "a.tar/0004.png (not the image that was indexed; restore its shard" in notes[0]


def test_a_copy_of_shards_and_index_needs_no_new_one(tmp_path: Path) -> None:
    root = write_shards(tmp_path / "set")
    before = open_data(shard_config(root))
    shutil.copytree(root, tmp_path / "copy")  # with the times of the files
    assert open_data(shard_config(tmp_path / "copy")).fingerprint == before.fingerprint


def test_an_index_of_another_format_is_made_again(tmp_path: Path) -> None:
    file = get_index_file(write_shards(tmp_path))
    tensors = dict(load_tensors(file))
    tree = json.loads(tensors["description"].numpy().tobytes()) | {"format": 99}
    tensors["description"] = torch.frombuffer(bytearray(json.dumps(tree).encode()), dtype=torch.uint8)
    save_tensors({name: tensor.clone() for name, tensor in tensors.items()}, file)
    with pytest.raises(UserError, match=r"another version \(format 99, not 1\); run `vaegan index .*` again"):
        open_data(shard_config(tmp_path))


def test_files_in_a_shard_are_unpacked_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where their names lead outside, or a sparse file claims a terabyte."""
    outside = f"../{tmp_path.name}-outside.png"
    write(tmp_path / "set", (outside, PNG), ("/tmp/absolute.png", PNG), ("c.png", PNG), ("d.pkl", b"cos\nsystem\n"))
    monkeypatch.setattr(tarfile.TarFile, "extractfile", None)
    names = list(build_index(tmp_path / "set").names)
    assert names == [f"a.tar/{outside}", "a.tar//tmp/absolute.png", "a.tar/c.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(open_data(shard_config(tmp_path / "set", validation=0, test=0)).train) == 3


@pytest.mark.parametrize("large", [False, True])
def test_shards_of_which_none_is_to_be_trained_on_are_refused(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_shards(tmp_path, "cls", ("val.tar", "test.tar"))
    if large:
        make_large(monkeypatch)
    with pytest.raises(UserError, match=r"^data: no image to train on: by their names, all files of the set are for"):
        open_data(shard_config(root))
