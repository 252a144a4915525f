"""`vaegan data`: what a person and a program read of an image set."""

import json
import os
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from vaegan.data.shapes import SHAPE_CLASSES

from ..standins import write_mnist


@pytest.fixture
def pictures(work):
    """A folder of twelve images of two classes; one is a copy, and one more is broken."""
    for number in range(12):
        folder = work / "pictures" / ("cats", "dogs")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number:02}.png")
    shutil.copy(folder / "11.png", folder / "copy.png")
    (folder / "bad.jpg").write_text("no image")
    return "pictures"


def test_a_folder_is_shown_and_drawn(pictures, vaegan):
    code, out, err = vaegan("data", pictures, "-o", "new/sheet.png")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[-1] for line in lines if line[:1] in (["cats"], ["dogs"]) or line[:2] == ["all", "images"]] == [
        "6",
        "7",
        "13",
    ]
    for line in ("sizes 30x20", "modes RGB", "formats PNG", "enlarged 13 smaller than 64 pixels", "broken 1",
        "duplicates 1 within a split, 0 across splits", "broken: dogs/bad.jpg: not an image"):  # fmt: skip
        assert line.split() in lines
    assert "dogs/11.png (" in out and ") = dogs/copy.png (" in out
    with Image.open("new/sheet.png") as sheet:
        assert f"new/sheet.png: {sheet.width} x {sheet.height} pixels" in out


def test_an_image_beside_class_folders_is_named(pictures, vaegan):
    shutil.copy("pictures/cats/00.png", "pictures/loose.png")
    reason = "its folders are no labels, since loose.png lies beside them"
    assert f"no classes: {reason}\n" in vaegan("data", pictures)[1]
    assert json.loads(vaegan("data", pictures, "--json")[1])["strays"] == reason


def test_json_has_every_name(pictures, vaegan):
    code, out, err = vaegan("data", pictures, "--json", "data.image_size=16", "data.channels=1", "data.test=0")
    found = json.loads(out)
    assert (code, err, found["images"], found["splits"]["test"]) == (0, "", 13, 0)
    assert json.loads(vaegan("data", pictures, "--json", "-o", "sheet.png")[1])["images"] == 13
    assert (len(found["mean"]), found["sizes"], found["broken"]) == (1, {"30x20": 13}, {"dogs/bad.jpg": "not an image"})
    assert {name: sum(counts.values()) for name, counts in found["classes"].items()} == {"cats": 6, "dogs": 7}


def test_a_run_shows_its_own_splits_and_what_has_changed(pictures, work, vaegan):
    settings = ("data.source=folder", f"data.root={pictures}", "data.count=null", "train.steps=1")
    assert vaegan("train", "tiny.yaml", *settings, "--output", "run")[0] == 0
    before = json.loads(vaegan("data", "run", "--json")[1])
    assert (before["image_size"], before["images"], before["differences"]) == (8, 13, "")
    Image.new("RGB", (9, 9)).save(work / pictures / "cats" / "new.png")
    after = json.loads(vaegan("data", "run", "--json")[1])
    assert (
        after["splits"]["train"] == before["splits"]["train"] and "1 image more: cats/new.png" in after["differences"]
    )
    assert "not as the run was trained on: 1 image more: cats/new.png" in vaegan("data", "run")[1]


def test_sets_and_configs_are_named(work, vaegan):
    code, out, _ = vaegan("data", "tiny.yaml")
    assert code == 0 and "drawn at any size" in out and all(name in out for name in SHAPE_CLASSES)
    assert "1,797" in vaegan("data", "digits")[1]


def test_many_classes_are_summed_up(work, vaegan):
    images = np.random.default_rng(0).integers(0, 256, (90, 8, 8), dtype=np.uint8)
    np.savez("many.npz", images=images, labels=np.arange(90) // 3)
    out = vaegan("data", "many.npz", "data.image_size=8", "data.channels=1")[1]
    assert "10 smaller classes" in out and "0 within a split" in out


def test_a_strict_set_is_shown_and_then_refused(pictures, vaegan):
    code, out, err = vaegan("data", pictures, "--json", "data.strict=true")
    assert code == 2 and json.loads(out)["broken"] == {"dogs/bad.jpg": "not an image"}
    assert err == "vaegan: data.strict: 1 of the files cannot be used as images, and a training refuses the set\n"


def test_the_splits_of_a_set_are_shown(work, vaegan):
    write_mnist(work / "data/MNIST/raw")
    assert "set's splits  train (20), test (10)" in vaegan("data", "mnist")[1]
    assert json.loads(vaegan("data", "mnist", "--json")[1])["official_splits"] == {"train": 20, "test": 10}
    assert "set's splits" not in vaegan("data", "tiny.yaml")[1]


def test_one_line_says_what_is_wrong(pictures, work, get_error):
    assert get_error("data", "picture").startswith("picture: neither a folder, a file, a recipe nor a set of images")
    assert "let it end in .png" in get_error("data", pictures, "-o", "sheet")
    assert "whose images are read" in get_error("data", pictures, "-o", f"{pictures}/sheet.png")
    os.mkfifo("sheet.png")
    assert "a pipe or a device, not a regular file; name another" in get_error("data", pictures, "-o", "sheet.png")
    assert get_error("data", pictures, "data.root=other").startswith("data.root: other images than those of pictures")
    (work / "broken").mkdir()
    for name in ("a.png", "b.jpg"):
        (work / "broken" / name).write_bytes(b"")
    assert "none of the 2 files can be used as an image: " in (error := get_error("data", "broken"))
    assert "a.png (not an image)" in error and "b.jpg (not an image)" in error
    (work / "empty").mkdir()
    assert "no image in it" in get_error("data", "empty")
    (work / "torn.npz").write_bytes(b"PK\3\4")
    assert "cannot be read as .npz" in get_error("data", "torn.npz")


def test_shards_are_indexed_and_shown(pictures, work, vaegan):
    with tarfile.open("shard.tar", "w") as archive:
        archive.add(pictures)
    code, out, err = vaegan("data", "shard.tar")
    assert (code, out) == (2, "") and "its shards have no index; run `vaegan index " in err
    code, out, err = vaegan("index", "shard.tar")
    assert code == 0 and out == "shard.tar.vaegan-index.safetensors: 14 images in 1 shard, no labels, 1 broken\n"
    assert err.count("\n") == 1 and "1 image that cannot be used: shard.tar/pictures/dogs/bad.jpg (not an image)" in err
    assert vaegan("index", "--decode", "shard.tar")[1] == out
    found = json.loads(vaegan("data", "shard.tar", "--json")[1])
    assert (found["images"], found["broken"]) == (13, {"shard.tar/pictures/dogs/bad.jpg": "not an image"})
    for word, message in (("nowhere", "no such folder or file"), ("pictures", "no shard in it"), ("", "empty")):
        code, out, err = vaegan("index", word)
        assert (code, out) == (2, "") and message in err and err.count("\n") == 1
