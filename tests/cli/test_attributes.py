"""`attribute`, `edit` and `translate`: what they write is what the library computes, and each refusal is one line."""

import os
import shutil

import pytest
import torch
from PIL import Image

from vaegan import Run, load
from vaegan.applications.attributes import edit_images, learn_attribute, load_attribute
from vaegan.cli.labelled_codes import HELD_OUT, choose_classes
from vaegan.data import open_data, read_image
from vaegan.data.members import hash_name
from vaegan.errors import UserError
from vaegan.images import draw_pairs, to_float
from vaegan.storage.loading import load_weights_hash

FOLDER = "data={source: folder, image_size: 8, root: images, count: null}"
CLASSES = ("bird", "cat", "dog")


@pytest.fixture
def work(work):
    """A working folder with images of three classes."""
    for place, name in enumerate(CLASSES):
        (work / "images" / name).mkdir(parents=True)
        for number in range(20):
            noise = Image.effect_noise((8, 8), 30).point(lambda value, place=place: value // 2 + 60 * place)
            noise.convert("RGB").save(work / "images" / name / f"{number}.png")
    return work


@pytest.fixture
def run(work, vaegan):
    """A finished unconditional run, in `run`."""
    assert vaegan("train", "tiny.yaml", FOLDER, "--output", "run")[0] == 0
    return work


@pytest.fixture
def conditional(work, vaegan):
    """A finished conditional run, in `told`."""
    assert vaegan("train", "tiny.yaml", FOLDER, "model.labels=3", "--output", "told")[0] == 0
    return work


def read_files(names):
    return to_float(torch.stack([torch.from_numpy(read_image(name, 8, 3)) for name in names]))


def test_directions_of_a_runs_own_classes_are_those_of_its_splits(run, vaegan):
    words = ["--positive", "dog", "--negative", "bird", "-o", "new/dog.safetensors"]
    code, out, err = vaegan("attribute", "run", "--by", "labels", *words)
    model, data, parts = load("run"), open_data(Run("run").config.data), []
    for images in (data.train, data.test):
        chosen = (images.labels != 1).nonzero()[:, 0]
        parts += [model.encode(to_float(images[chosen])).mean, images.labels[chosen] == 2]
    expected = learn_attribute(*parts, positive="dog", negative="bird", weights=load_weights_hash("run"))
    written = load_attribute("new/dog.safetensors", load_weights_hash("run"))
    is_better = any(each.low > expected.header.majority for each in expected.header.accuracies.values())
    assert (code, "not shown to be better" in err) == (0, not is_better)
    assert out.endswith("new/dog.safetensors: directions of 2 values\n")
    counts = f"{len(parts[1])} images to learn from, {len(parts[3])} held out"
    assert out.startswith(f"dog against bird: {counts}, {expected.header.majority:.1%} of the larger class\n")
    assert written.header == expected.header
    for method, direction in expected.directions.items():
        torch.testing.assert_close(written.directions[method], direction)
        assert f"{expected.header.accuracies[method].value:.1%}" in out
    assert vaegan("attribute", "run", "--by", "labels", "--positive", "cat", "-n", 9, "-o", "c.safetensors")[0] == 0
    header = load_attribute("c.safetensors").header
    assert (header.images, header.negative) == (9, "all others")


def test_directions_of_a_label_file_hold_out_what_a_training_would(run, vaegan, monkeypatch):
    names = [f"{name}/{number}.png" for name in CLASSES for number in range(20)]
    lines = [f"{name},{'dark' if name.startswith('bird') else 'light'}\n" for name in names]
    (run / "images" / "labels.csv").write_text("file,label\n" + "".join(lines))
    monkeypatch.setenv("HOME", str(run))
    assert vaegan("attribute", "run", "--by", "~/images/labels.csv", "-o", "light.safetensors")[0] == 0
    paths = sorted((run / "images" / "bird").glob("*.png"))[:2]
    assert vaegan("edit", "run", *paths, "--add", "~/light.safetensors=1", "-o", "edit.png")[0] == 0
    header = load_attribute("light.safetensors").header
    held_out = [name for name in names if hash_name(name) < HELD_OUT]
    members = {member.name: member.split for member in Run("run").members.members}
    assert {members[name] for name in held_out} == {"validation", "test"}
    assert all(members[name] == "train" for name in names if name not in held_out)
    parts = []
    for part in ([name for name in names if name not in held_out], held_out):
        codes = load("run").encode(read_files([run / "images" / name for name in part])).mean
        parts += [codes, torch.tensor([not name.startswith("bird") for name in part])]
    expected = learn_attribute(*parts, positive="light", negative="dark", weights=load_weights_hash("run"))
    assert header == expected.header


def test_an_edit_is_that_of_the_library_and_one_of_nothing_is_the_reconstruction(run, vaegan, get_error):
    for name in ("dog", "cat"):
        assert vaegan("attribute", "run", "--by", "labels", "--positive", name, "-o", f"{name}.safetensors")[0] == 0
    paths = sorted((run / "images" / "bird").glob("*.png"))[:5]
    assert vaegan("reconstruct", "run", *paths, "-o", "made.png")[0] == 0
    assert vaegan("edit", "run", *paths, "--add", "dog.safetensors=0", "-o", "edit.png")[0] == 0
    assert Image.open("edit.png").tobytes() == Image.open("made.png").tobytes()
    additions = ["--add", "dog.safetensors=40", "--add", "cat.safetensors=-2.5"]
    changes = [(load_attribute("dog.safetensors"), 40.0), (load_attribute("cat.safetensors"), -2.5)]
    for words, method, residual in (([], "mean", False), (["--method", "logistic", "--residual"], "logistic", True)):
        assert vaegan("edit", "run", *paths, *additions, *words, "-o", "edit.png")[0] == 0
        chosen = [(attribute.directions[method], strength) for attribute, strength in changes]
        expected = edit_images(load("run"), images := read_files(paths), chosen, residual=residual)
        assert Image.open("edit.png").tobytes() == draw_pairs(images, expected, 5).tobytes()
        assert Image.open("edit.png").tobytes() != Image.open("made.png").tobytes()
    for text in ("dog.safetensors", "dog.safetensors=x", "=1", "dog.safetensors=nan"):
        message = f"--add {text}: give FILE=STRENGTH, as in smiling.safetensors=1.5"
        assert get_error("edit", "run", paths[0], "--add", text) == message
    for words in ([], ["--residual"]):
        message = get_error("edit", "run", paths[0], "--add", "dog.safetensors=1e300", *words)
        assert message == "--add: moved so far that the images are not finite; give smaller strengths"
    assert vaegan("train", "tiny.yaml", FOLDER, "seed=1", "--output", "other")[0] == 0
    message = "dog.safetensors: directions of the codes of another model; make those of this one by `vaegan attribute`"
    assert get_error("edit", "other", paths[0], "--add", "dog.safetensors=1") == message


def test_a_translation_under_the_own_class_is_the_reconstruction(conditional, vaegan, get_error):
    shutil.copytree("images/bird", "new/bird")
    shutil.copytree("images/dog", "new/dog")
    assert vaegan("reconstruct", "told", "new/bird", "-o", "made.png")[0] == 0
    assert vaegan("translate", "told", "new/bird", "--label", "bird", "-o", "same.png")[0] == 0
    assert Image.open("same.png").tobytes() == Image.open("made.png").tobytes()
    model, names = load("told"), ["new/bird/0.png", "new/bird/1.png"]
    for words in (["--from", "bird"], ["--from", "0"]):
        assert vaegan("translate", "told", *names, *words, "--label", "cat", "-o", "cats.png")[0] == 0
        expected = model.decode(model.encode(images := read_files(names), 0).mean, 1)
        assert Image.open("cats.png").tobytes() == draw_pairs(images, expected, 2).tobytes()
    classes = "give 0 to 2, or by name: 0 (bird), 1 (cat), 2 (dog)"
    assert get_error("translate", "told", "new", "--label", "cow") == f"--label cow: no class of told; {classes}"
    message = get_error("translate", "told", names[0], "--label", "cat")
    assert message == f"--from: told is conditional, and the images come without labels; {classes}"
    assert get_error("translate", "told", names[0], "--label", "cat", "--from", "3").startswith("--from 3: no class")


def test_refusals_are_one_line_before_any_work(run, conditional, get_error):
    message = get_error("attribute", "run", "--by", "labels", "-o", "a.png")
    assert message == "--output a.png: let it end in .safetensors"
    (run / "b.safetensors").mkdir()
    assert get_error("attribute", "run", "--by", "labels", "-o", "b.safetensors").endswith(": a folder, not a file")
    os.mkfifo("pipe.safetensors")
    assert "a pipe or a device" in get_error("attribute", "run", "--by", "labels", "-o", "pipe.safetensors")
    assert "--positive: name the class to lead to, one of bird, cat, dog" in get_error(
        "attribute", "run", "--by", "labels"
    )
    assert "told is told the class of an image" in get_error("attribute", "told", "--by", "labels")
    assert get_error("attribute", "run", "--by", "none.csv").startswith("none.csv: no CSV file of labels (")
    assert get_error("attribute", "run", "--by", "labels", "--label", "0").startswith(
        "--label: the class of images of a"
    )
    message = get_error("attribute", "run", "--by", "none.csv", "--allow-other-data")
    assert message == "--data-root, --allow-other-data: the images are those of a label file; leave them out"
    rows = [f"images/bird/{number}.png,{number % 2}\n" for number in range(2)]
    (run / "labels.csv").write_text("file,label\n" + "".join(rows))
    message = get_error("attribute", "run", "--by", "labels.csv")
    assert message in [f"{name}: no image of this class to learn from; give more images" for name in (0, 1)]
    rows = [f"images/none{number}.png,{number % 2}\n" for number in range(50)]
    (run / "labels.csv").write_text("file,label\n" + "".join(rows))
    assert get_error("attribute", "run", "--by", "labels.csv").startswith("labels.csv: images/none")
    weights = "run/model/model.safetensors"
    before = (run / weights).read_bytes()
    message = get_error("attribute", "run", "--by", "labels", "--positive", "dog", "-o", weights)
    assert message == f"{weights}: a file that is none of directions, which it would replace; name another file"
    assert (run / weights).read_bytes() == before
    message = get_error("translate", "run", "images/bird/0.png", "--label", "cat")
    assert message.startswith("run is unconditional; train one with model.labels, or move its codes along a direction")


def test_classes_are_chosen_by_name() -> None:
    assert choose_classes(["no", "yes"], None, None) == ("yes", "no")
    assert choose_classes(["no", "yes"], None, "yes") == ("no", "yes")
    assert choose_classes(["a", "b", "c"], "b", None) == ("b", "all others")
    assert choose_classes(["a", "b", "c"], "b", "c") == ("b", "c")
    for classes, *named, message in (
        (["a"], None, None, "images of one class alone, a; give"),
        (["a", "b", "c"], None, "a", "--positive: name the class to lead to, one of a, b, c"),
        (["a", "b"], "c", None, "--positive c: no such class; the classes are a, b"),
        (["a", "b"], "a", "a", "--negative a: the positive class itself"),
    ):
        with pytest.raises(UserError, match=message):
            choose_classes(classes, *named)
