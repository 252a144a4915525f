"""Pictures that commands make of files: their inputs, their classes and where they are written."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from vaegan import load
from vaegan.data import read_image
from vaegan.images import draw_pairs, get_grid_size, to_float, to_uint8


def write_classes(root, count=12):
    """Write a folder of two classes."""
    for name in ("bird", "cat"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.effect_noise((8, 8), 40 + 90 * (name == "cat")).convert("RGB").save(root / name / f"{number}.png")


@pytest.fixture
def conditional(work, vaegan):
    """A finished conditional run of two classes, in `run`, and the folder of its images, `images`."""
    write_classes(work / "images")
    folder = "data={source: folder, image_size: 8, root: images, count: null}"
    assert vaegan("train", "tiny.yaml", folder, "model.labels=2", "--output", "run")[0] == 0
    return work


def test_class_folders_are_the_classes_of_their_images(conditional, vaegan, get_error):
    model = load("run")
    write_classes(conditional / "new", 2)
    names = [f"new/{name}/{number}.png" for name in ("bird", "cat") for number in range(2)]
    given = torch.stack([torch.from_numpy(read_image(conditional / name, 8, 3)) for name in names])
    expected = draw_pairs(given, to_uint8(model.reconstruct(to_float(given), torch.tensor([0, 0, 1, 1]))), columns=4)
    for words in (["new"], ["new/bird", "new/cat"]):
        assert vaegan("reconstruct", "run", *words, "-o", "made.png")[0] == 0
        with Image.open("made.png") as picture:
            assert picture.tobytes() == expected.tobytes()
    assert vaegan("reconstruct", "run", "new", "--label", "cat", "-o", "cats.png")[0] == 0
    with Image.open("cats.png") as picture:
        assert (
            picture.tobytes() == draw_pairs(given, to_uint8(model.reconstruct(to_float(given), 1)), columns=4).tobytes()
        )
    (conditional / "new" / "cat").rename(conditional / "new" / "dog")
    message = get_error("reconstruct", "run", "new", "-o", "made.png")
    assert (
        message == "--label: run is conditional, and dog is no class of it; give 0 to 1, or by name: 0 (bird), 1 (cat)"
    )
    assert "the images come without labels" in get_error("reconstruct", "run", "new/bird/0.png", "-o", "made.png")


def test_a_picture_does_not_join_the_images_of_its_run(conditional, get_error):
    Image.new("RGB", (8, 8)).save("a.png")
    for words in (["sample"], ["reconstruct", "a.png"], ["interpolate", "a.png", "a.png"]):
        command, *images = words
        message = get_error(command, "run", *images, "-o", "images/new.png")
        assert message.startswith(f"--output images/new.png: inside {conditional}/images, whose images are read")


def test_a_picture_does_not_join_the_images_where_they_have_moved_to(conditional, get_error):
    moved = ("--data-root", "moved", "-o", "moved/new.png")
    shutil.move("images", "moved")
    for words in (["sample", "run", "--density", "gmm"], ["traverse", "run"], ["anomaly", "run", "a.png"]):
        assert get_error(*words, *moved).startswith("--output moved/new.png: inside moved, whose images are read")
    moved = ("--data-root", "moved", "-o", "moved/made")
    for words in (["generate", "run", "--density", "gmm", "-n", "3"], ["encode", "run"]):
        assert get_error(*words, *moved).startswith("--output moved/made: inside moved, wh")


def test_a_broken_file_of_a_folder_is_skipped_and_a_named_one_refused(trained, work, vaegan, get_error):
    write_classes(work / "images", 2)
    (work / "images" / "cat" / "1.png").write_bytes(b"no picture")
    code, out, err = vaegan("reconstruct", trained, "images")
    assert code == 0 and out == f"reconstructions.png: {' x '.join(map(str, get_grid_size(6, 8, 3)))} pixels\n"
    assert err == "1 file that cannot be used as images skipped: images/cat/1.png (not an image)\n"
    assert get_error("reconstruct", trained, "images/cat/1.png") == "images/cat/1.png: not an image"
    shutil.copy("images/cat/1.png", "images/cat/0.png")
    shutil.rmtree("images/bird")
    assert "none of the files can be used as an image: images/cat/0.png" in get_error("reconstruct", trained, "images")


def test_an_output_is_no_input(trained, work, vaegan, get_error):
    write_classes(work / "images", 2)
    shutil.copy("images/cat/0.png", "photo.png")
    (work / "link.png").symlink_to("photo.png")
    (work / "away").symlink_to("images")
    before = (work / "photo.png").read_bytes()
    for output in ("photo.png", "./photo.png", "link.png", work / "photo.png"):
        message = get_error("reconstruct", trained, "photo.png", "-o", output)
        assert (
            message == f"--output {Path(output)}: the image photo.png itself, which it would replace; name another file"
        )
        assert "itself" in get_error("interpolate", trained, "images/cat/1.png", "photo.png", "-o", output)
    for output in ("images/new.png", "images/dog/new.png", "away/new.png", "images/cat/../new.png"):
        assert "inside images, whose images are read" in get_error("reconstruct", trained, "images", "-o", output)
    (work / "away").unlink()  # it would be named as a folder that is passed over
    assert "inside ., whose" in get_error("reconstruct", trained, ".")
    os.link("images/bird/1.png", "hard.png")
    os.replace("images/cat/1.png", "elsewhere.png")
    (work / "images" / "cat" / "1.png").symlink_to(work / "elsewhere.png")
    for output, image in (("hard.png", "bird/1.png"), ("elsewhere.png", "cat/1.png")):
        assert f"the image images/{image} itself" in get_error("reconstruct", trained, "images", "-o", output)
    assert (work / "photo.png").read_bytes() == before and not list(work.glob("**/new.png"))
    (work / "images" / ".made").mkdir()
    assert vaegan("reconstruct", trained, "images", "-o", "images/.made/new.png")[0] == 0  # hidden: not read
    assert vaegan("reconstruct", trained, "photo.png", "-o", "images/new.png")[0] == 0


def test_what_a_format_cannot_hold_is_refused_before_anything_is_drawn(trained, work, vaegan, get_error):
    for suffix in ("ico", "icns", "gif", "xbm", "pgm", "eps", "pdf"):
        message = get_error("sample", "any", "-o", f"x.{suffix}")
        assert message == f"--output x.{suffix}: .{suffix} cannot hold every picture; let it end in .png or .jpg"
    Image.new("RGB", (8, 8)).save("a.png")
    message = get_error("interpolate", trained, "a.png", "a.png", "--steps", "1000", "-o", "x.jpg")
    assert message.startswith("--output x.jpg: 66002 x 68 pixels, and a side of .jpg has at most 65,500; let it end")
    assert vaegan("sample", trained, "-n", 3, "-o", "old.png")[0] == 0
    for suffix in ("jpg", "webp", "tiff", "bmp", "ppm", "tga", "jp2", "PNG"):
        assert vaegan("sample", trained, "-n", 3, "-o", f"x.{suffix}")[0] == 0
        with Image.open(f"x.{suffix}") as picture, Image.open("old.png") as old:
            assert picture.size == old.size == get_grid_size(3, 8, 2)


def test_a_destination_is_tried_before_the_work(trained, work, vaegan, get_error, monkeypatch):
    monkeypatch.setenv("HOME", str(work / "home"))
    assert get_error("sample", "any", "--output=/proc/x.png", code=1).startswith("/proc: cannot be written (")
    assert get_error("sample", "any", "--output", "x" * 300 + ".png", code=1).endswith(
        "cannot be written (File name too long); name another file"
    )
    for command in (["sample", "any"], ["train", "tiny.yaml"], ["compare", "quickstart"]):
        assert get_error(*command, "--output", "") == "--output: empty; name a folder or a file"
    assert get_error("evaluate", "") == "RUN: empty; name a folder or a file"
    assert vaegan("sample", trained, "-n", 1, "--output=~/x.png")[0] == 0
    assert (work / "home" / "x.png").is_file() and not (work / "~").exists()


def test_a_run_is_not_trained_into_the_folder_of_its_images(work, vaegan, get_error):
    write_classes(work / "images")
    folder = "data={source: folder, image_size: 8, root: images, count: null}"
    for output in ("images/run", "images/bird"):
        message = get_error("train", "tiny.yaml", folder, "--output", output)
        assert message.startswith(f"--output {output}: inside data.root={work}/images, whose images would be joined")
    assert vaegan("train", "tiny.yaml", folder, "--output", "images/.runs/a")[0] == 0


def test_a_run_that_cannot_be_written_is_not_evaluated_and_what_cannot_be_stored_is_shown(
    trained, vaegan, get_error, monkeypatch
):
    def fail(*arguments, **options):
        raise OSError(30, "Read-only file system", "there")

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", fail)  # the tests may be root's, who may write everywhere
        message = get_error("evaluate", trained, "--metrics", "psnr", code=1)
        assert message == f"{trained}: cannot be written (Read-only file system); evaluate a copy of the run"
    monkeypatch.setattr("vaegan.evaluate.result.write_result", fail)
    code, out, err = vaegan("evaluate", trained, "--metrics", "psnr")
    assert code == 1 and "reconstruction/psnr" in out and "written to" not in out
    assert err == "vaegan: there: Read-only file system\n"
