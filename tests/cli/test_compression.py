"""The commands `compress` and `decompress` as a user meets them."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vaegan as library
from vaegan.compression import coders
from vaegan.compression.container import read_compressed
from vaegan.compression.prior import load_prior
from vaegan.data import open_data, read_image
from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import tiny, train_once

NAMES = (
    "a/two words.png", "a/ä.bmp", "b/x.png", "b/x.bmp", "b/line\nbreak.png", "b/\udcff.png", "c/-n.png", "c/$HOME.png",
)  # fmt: skip


@pytest.fixture
def folder(work: Path) -> Path:
    """A folder of more images than are compressed at a time, one of which is no image."""
    draw = np.random.default_rng(0)
    for number, name in enumerate((*NAMES, *(f"d/{number}.png" for number in range(12)))):
        file = work / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8 + number % 3, 9, 3), dtype=np.uint8)).save(file)
    (work / "images" / "c" / "broken.png").write_bytes(b"no image")
    return work / "images"


def read_pictures(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_there_and_back(vaegan, trained: Path, folder: Path, work: Path) -> None:
    code, out, err = vaegan("compress", trained, folder, "-o", "a.vg")
    size = (work / "a.vg").stat().st_size
    assert code == 0 and out.startswith(f"a.vg: 20 images in {size:,} bytes, {8 * size / (20 * 64):.4g} bits per pixel")
    notes = err.splitlines()
    assert notes[0].endswith("compression/prior.safetensors: fitted to the codes of 48 training images")
    assert "1 file that cannot be used as images skipped" in notes[1] and "broken.png" in notes[1] and len(notes) == 2
    compressed = read_compressed(work / "a.vg")
    assert f": {8 * compressed.message_bytes / (20 * 64):.4g} bits per pixel" in out.splitlines()[1]

    assert vaegan("decompress", trained, "a.vg", "-o", "pictures") == (0, "pictures: 20 pictures\n", "")
    model, step = load(trained), compressed.description.step
    for name in compressed.names:
        pixels = torch.from_numpy(read_image(folder / name, 8, 3))[None]
        with torch.no_grad():
            values = model.encode(to_float(pixels)).mean.double()
            expected = to_uint8(model.decode(((values / step).round() * step).float()))[0].permute(1, 2, 0)
        picture = np.asarray(Image.open(work / "pictures" / f"{name}.png"), dtype=np.int16)
        assert np.abs(picture - expected.numpy()).max() <= 1  # of batches of another size
    assert len(read_pictures(work / "pictures")) == 21

    before = read_pictures(work / "pictures")
    (work / "pictures" / "d" / "3.png.png").unlink()
    (work / "pictures" / "b" / "x.bmp.png").write_bytes(before["b/x.bmp.png"][:-5])
    assert vaegan("decompress", trained, "a.vg", "-o", "pictures")[0] == 0
    assert read_pictures(work / "pictures") == before
    names = ("b/\udcff.png", "d/11.png")
    code, out, err = vaegan("decompress", trained, "a.vg", "-o", "some", *(w for n in names for w in ("--only", n)))
    assert (code, out, err) == (0, "some: 2 pictures\n", "")
    some = read_pictures(work / "some")
    assert some.keys() == {"decoded.json", *(f"{name}.png" for name in names)}
    assert all(before[name] == content for name, content in some.items())


@pytest.mark.parametrize(
    ("names", "pictures"),
    [
        (("a.jpg", "a.png/b.jpg"), {"a.jpg.png", "a.png/b.jpg.png"}),
        (("n" * 251 + ".jpg",), {"n" * 251 + ".png"}),
    ],
)
def test_folders_and_long_names_are_no_obstacle(names, pictures, vaegan, trained: Path, work: Path) -> None:
    for name in names:
        file = work / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8, 8), 50).save(file)
    assert vaegan("compress", trained, "images", "-o", "a.vg")[0] == 0
    assert vaegan("decompress", trained, "a.vg", "-o", "out")[0] == 0
    assert read_pictures(work / "out").keys() == {"decoded.json", *pictures}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": "0.1"}, "step 0.1: give a number above 0"),
        ({"rate": True}, "rate True: give a number above 0"),
        ({"output": "a.png"}, "output a.png: let it end in .vg"),
        ({"output": "images/d/1.png/a.vg"}, "output images/d/1.png/a.vg: images/d/1.png is a file, not a folder"),
        ({"images": []}, "none of the files can be used as an image: none was named"),
    ],
)
def test_wrong_arguments_of_python_are_one_line(arguments, message: str, trained, folder: Path, work: Path) -> None:
    given = {"images": folder, "output": "a.vg", "progress": False, **arguments}
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        library.compress(trained, given.pop("images"), **given)
    assert not list(work.glob("a.*"))


def test_one_name_of_python_is_one_image(vaegan, trained: Path, folder: Path, work: Path) -> None:
    library.compress(trained, folder, output="a.vg", progress=False)
    library.decompress(trained, "a.vg", output="out", only="d/3.png", progress=False)
    assert read_pictures(work / "out").keys() == {"decoded.json", "d/3.png.png"}


def test_the_prior_is_fitted_once_and_files_are_the_same(vaegan, trained: Path, folder: Path, work: Path) -> None:
    assert vaegan("compress", trained, folder, "-o", "a.vg")[0] == 0
    prior = (trained / "compression" / "prior.safetensors").read_bytes()
    code, _, err = vaegan("compress", trained, folder, "-o", "b.vg")
    assert code == 0 and "fitted to the codes" not in err
    assert (work / "a.vg").read_bytes() == (work / "b.vg").read_bytes()
    shutil.rmtree(trained / "compression")
    assert vaegan("compress", trained, folder, "-o", "b.vg")[0] == 0
    assert (trained / "compression" / "prior.safetensors").read_bytes() == prior


def test_a_run_folder_that_cannot_be_written_is_found_before_the_fit(get_error, trained: Path, folder: Path) -> None:
    (trained / "compression").write_text("no folder")
    error = get_error("compress", trained, folder, "-o", "a.vg", code=1)
    assert error.endswith("cannot be written (Not a directory); compress with a copy of the run")


def test_the_rate_meets_its_target(vaegan, trained: Path, folder: Path, work: Path) -> None:
    sizes = {}
    for rate in ("0.13", "0.25"):  # a message of one byte or two
        code, out, err = vaegan("compress", trained, folder, "-o", "a.vg", "--rate", rate)
        found = re.search(rf"--rate {rate}: ([0-9.]+) bits per pixel of 6 validation images", err)
        assert code == 0 and found and 0.5 * float(rate) < float(found[1]) <= float(rate), err
        sizes[rate] = read_compressed(work / "a.vg").message_bytes
    assert sizes["0.13"] < sizes["0.25"]
    code, out, _ = vaegan("compress", trained, folder, "-o", "new/folder/a.vg", "--step", "0.3")
    step = read_compressed(work / "new" / "folder" / "a.vg").description.step
    prior = load_prior(trained / "compression" / "prior.safetensors")
    assert code == 0 and prior is not None and abs(step - 0.3) <= prior.get_step(1) / 2
    assert f"rounded to multiples of {step:g}: " in out


def test_indices_of_a_vqvae_and_a_prior_over_them(vaegan, get_error, folder: Path, work: Path) -> None:
    vqvae = train_once("vqvae")
    shutil.copytree(vqvae, work / "vqvae")
    config = tiny("pixelcnn", "train.steps=3", "evaluate.batch_size=8")
    train(config, work / "pixelcnn", open_data(config.data))
    for run in ("vqvae", "pixelcnn"):
        code, out, _ = vaegan("compress", run, folder, "-o", f"{run}.vg")
        assert code == 0 and out.splitlines()[1].startswith("the codes alone: ")
        assert vaegan("decompress", run, f"{run}.vg", "-o", f"of-{run}")[0] == 0
        assert "are indices, which have no step; leave it out" in get_error(
            "compress", run, folder, "-o", "x.vg", "--rate", "1"
        )
    Run(work / "flow").write_config(tiny("flow"))
    error = get_error("compress", "flow", folder, "-o", "x.vg")
    autoencoder = train_once("vae")
    assert error == f"flow: a prior over codes; give the run of its autoencoder, {autoencoder}, whose codes they are"
    pictures = {name: content for name, content in read_pictures(work / "of-vqvae").items() if name != "decoded.json"}
    others = read_pictures(work / "of-pixelcnn")
    assert len(pictures) == 20
    for name in pictures:
        one, two = (np.asarray(Image.open(work / part / name), dtype=np.int16) for part in ("of-vqvae", "of-pixelcnn"))
        assert np.abs(one - two).max() <= 1 and name in others


def test_a_pixelcnn_that_predicts_otherwise_is_found(vaegan, get_error, folder, work, monkeypatch) -> None:
    config = tiny("pixelcnn", "train.steps=3")
    train(config, work / "pixelcnn", open_data(config.data))
    assert vaegan("compress", "pixelcnn", folder, "-o", "a.vg")[0] == 0
    monkeypatch.setattr(coders, "round_logits", lambda logits: (logits * 16 + 3 * logits.sin()).round().long())
    error = get_error("decompress", "pixelcnn", "a.vg", "-o", "out", code=1)
    assert re.match(r"a.vg: (.*: the PixelCNN predicts otherwise here than|damaged)", error)
    assert not [name for name in read_pictures(work / "out") if name != "decoded.json"]


def test_classes_of_a_conditional_run(vaegan, get_error, folder: Path, work: Path) -> None:
    config = tiny("vae", "model.labels=10", "train.steps=2", "model.network=mlp", "evaluate.batch_size=8")
    train(config, work / "by-class", open_data(config.data))
    error = get_error("compress", "by-class", folder, "-o", "a.vg")
    assert error.startswith("--label: by-class is conditional, and ") and " is in a, no class of it; put" in error
    assert vaegan("compress", "by-class", folder, "-o", "sevens.vg", "--label", "7")[0] == 0
    assert read_compressed(work / "sevens.vg").columns["labels"].tolist() == [7] * 20
    for old, new in zip("abcd", "7135", strict=True):
        (folder / old).rename(folder / new)
    assert vaegan("compress", "by-class", folder, "-o", "a.vg")[0] == 0
    compressed = read_compressed(work / "a.vg")
    assert [str(label) for label in compressed.columns["labels"]] == [name[0] for name in compressed.names]
    assert vaegan("decompress", "by-class", "a.vg", "-o", "out")[0] == 0
    assert vaegan("decompress", "by-class", "sevens.vg", "-o", "sevens")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "nowhere: no such file or directory"),
        (("empty",), "empty: no image in it"),
        (("images", "--rate", "0"), "--rate 0: give a number above 0"),
        (("images", "--step", "nan"), "--step nan: give a number above 0"),
        (("images", "--step", "1", "--rate", "1"), "--rate: chooses the step; leave --step out, or --rate"),
        (("images", "--label", "3"), "is unconditional; leave it out"),
        (("images", "images/d/1.png", "more/1.png"), "1.png: images/d/1.png and more/1.png would have one name"),
        (("images/c/broken.png",), "images/c/broken.png: not an image"),
        (("images", "-o", "a.png"), "--output a.png: let it end in .vg"),
        (("images", "-o", "images/a.vg"), "--output images/a.vg: inside images"),
    ],
)
def test_wrong_arguments_are_one_line(words, message, get_error, trained: Path, folder: Path, work: Path) -> None:
    (work / "empty").mkdir()
    (work / "more").mkdir()
    shutil.copy(folder / "d" / "1.png", work / "more" / "1.png")
    output = () if "-o" in words else ("-o", "a.vg")
    error = get_error("compress", trained, *words, *output)
    assert message in error and not (work / "a.vg").exists()
    assert not list(work.rglob("*.partial"))


def test_a_folder_of_which_nothing_is_an_image_is_refused_with_the_reason(vaegan, trained: Path, work: Path) -> None:
    (work / "broken").mkdir()
    (work / "broken" / "x.png").write_bytes(b"no image")
    code, out, err = vaegan("compress", trained, "broken", "-o", "a.vg")
    problem = "vaegan: none of the files can be used as an image: broken/x.png (not an image)"
    assert (code, out) == (2, "") and err.splitlines()[-1] == problem and not list(work.glob("a.vg*"))


def test_what_belongs_to_something_else_is_refused(vaegan, get_error, trained: Path, folder: Path, work: Path) -> None:
    assert vaegan("compress", trained, folder, "-o", "a.vg")[0] == 0
    assert vaegan("train", "tiny.yaml", "seed=1", "--output", "other")[0] == 0
    error = get_error("decompress", "other", "a.vg", "-o", "out")
    assert error == "a.vg: made with another model than that of other; name its run"
    file = trained / "compression" / "prior.safetensors"
    file.rename(work / "kept")
    error = get_error("decompress", trained, "a.vg", "-o", "out")
    assert error == f"{file}: the prior of a.vg is not there; restore that by which it was compressed"
    assert vaegan("train", "tiny.yaml", "data.count=50", "--output", "fewer")[0] == 0
    assert vaegan("compress", "other", folder, "-o", "b.vg")[0] == 0
    shutil.copy(work / "other" / "compression" / "prior.safetensors", file)
    error = get_error("decompress", trained, "a.vg", "-o", "out")
    assert error == f"{file}: the prior of a.vg is another one; restore that by which it was compressed"
    code, _, err = vaegan("compress", trained, folder, "-o", "c.vg")  # a prior of other weights is fitted anew
    assert code == 0 and "fitted to the codes of 48 training images" in err
    assert file.read_bytes() == (work / "kept").read_bytes()
    assert get_error("decompress", trained, "a.vg", "-o", "out", "--only", "x").startswith("--only x: no image of a.vg")
    (work / "out").mkdir()
    (work / "out" / "mine").touch()
    assert "holds other files, such as mine" in get_error("decompress", trained, "a.vg", "-o", "out")
    assert vaegan("decompress", trained, "a.vg", "-o", "pictures")[0] == 0
    assert vaegan("compress", trained, folder / "a", "-o", "d.vg")[0] == 0
    error = get_error("decompress", trained, "d.vg", "-o", "pictures")
    assert error == "--output pictures: holds pictures of other codes; name another folder"
    assert get_error("decompress", trained, "tiny.yaml", "-o", "x") == (
        "tiny.yaml: no compressed images; give a file that `vaegan compress` has written"
    )
    mark = json.loads((work / "pictures" / "decoded.json").read_text())
    assert mark["images"] == 20 and os.path.isfile("a.vg")


def test_a_damaged_message_is_one_line(vaegan, get_error, trained: Path, folder: Path, work: Path) -> None:
    assert vaegan("compress", trained, folder, "-o", "a.vg")[0] == 0
    content = bytearray((work / "a.vg").read_bytes())
    content[10] ^= 4
    (work / "a.vg").write_bytes(content)
    error = get_error("decompress", trained, "a.vg", "-o", "out", code=1)
    assert error == "a.vg: damaged (a/two words.png does not match its checksum)"
    code, out, _ = vaegan("decompress", trained, "a.vg", "-o", "some", "--only", "d/3.png")
    assert (code, out) == (0, "some: 1 picture\n")  # any other is whole
