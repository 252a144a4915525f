"""The commands that keep the size of each image: `reconstruct`, `evaluate` and `compress` with `--native-size`."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan import compress, evaluate_run, load
from vaegan.compression.container import read_compressed
from vaegan.errors import UserError
from vaegan.images import to_uint8

SIZES = {"bird/a.png": (24, 16), "bird/b.png": (17, 33), "cat/a.png": (9, 8)}
GRID = """model: {family: ae, code: grid, downsampling: 4, width: 8}
data: {source: shapes, image_size: 8, channels: 3, count: 60}
train: {steps: 4, batch_size: 8, log_every: 2}
track: {wandb: disabled}
"""


@pytest.fixture
def folders(work, vaegan):
    """A finished run whose code is a grid, in `run`, and a folder of images of several sizes, `images`."""
    (work / "grid.yaml").write_text(GRID)
    assert vaegan("train", "grid.yaml", "--output", "run")[0] == 0
    for name, size in SIZES.items():
        (work / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 60).convert("RGB").save(work / "images" / name)
    return work


def test_each_image_becomes_a_file_of_its_size_and_name(folders, vaegan):
    code, out, err = vaegan("reconstruct", "run", "images", "--native-size", "-o", "made")
    assert (code, out, err) == (0, "made: 3 reconstructions, each as large as its image\n", "")
    model = load("run")
    for name, (width, height) in SIZES.items():
        with Image.open(folders / "images" / name) as image, Image.open(folders / "made" / name) as made:
            assert made.size == image.size
            pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())[None]
            padding = (0, -width % 4, 0, -height % 4)
            padded = torch.nn.functional.pad(pixels.float(), padding, mode="replicate").to(torch.uint8)
            expected = to_uint8(model.reconstruct(padded))[0, :, :height, :width]
            assert np.abs(np.asarray(made).transpose(2, 0, 1) - expected.numpy().astype(int)).max() <= 1
    code, _, _ = vaegan("reconstruct", "run", "images/bird/a.png", "--native-size", "--tile", "16", "-o", "tiles")
    with Image.open(folders / "tiles" / "a.png") as tiles, Image.open(folders / "made" / "bird" / "a.png") as whole:
        assert code == 0 and tiles.size == whole.size and tiles.tobytes() != whole.tobytes()


def test_images_that_differ_in_their_ending_alone_keep_it(folders, vaegan):
    Image.effect_noise((8, 8), 60).save(folders / "images" / "cat" / "a.webp")
    assert vaegan("reconstruct", "run", "images/cat", "--native-size", "-o", "made")[0] == 0
    assert sorted(path.name for path in (folders / "made").iterdir()) == ["a.png.png", "a.webp.png"]


def test_no_warning_reaches_the_user(folders):
    """Each process of Python gives a warning of torch once, so that this is one of its own."""
    command = [sys.executable, "-m", "vaegan", "reconstruct", "run", "images", "--native-size", "-o", "made"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("made: 3 reconstructions, each as large as its image\n", "")


def test_an_evaluation_is_that_of_the_reconstructed_files(folders, vaegan, get_error):
    for number in range(12):
        size = [(24, 16), (17, 33), (40, 9)][number % 3]
        (folders / "many" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 40 + number).convert("RGB").save(folders / "many" / str(number % 2) / f"{number}.png")
    data = "{source: folder, root: many, image_size: 8, channels: 3, test: 0.4}"
    (folders / "many.yaml").write_text(GRID.replace("{source: shapes, image_size: 8, channels: 3, count: 60}", data))
    assert vaegan("train", "many.yaml", "--output", "of-many")[0] == 0
    metrics = ("--metrics", "psnr,ssim,lpips")
    named = ("--metrics", "psnr,ssim,lpips,elbo")
    code, out, err = vaegan("evaluate", "of-many", "--native-size", "--tile", "16", *named, "--processes", "1")
    assert code == 0 and "evaluate.metrics: left out are elbo: needs images of one size" in err, err
    assert "left out, since a run" not in out
    result = json.loads((folders / "of-many" / "metrics.json").read_text())
    held_out = [json.loads(line) for line in (folders / "of-many" / "members.jsonl").read_text().splitlines()]
    names = [member["name"] for member in held_out if member.get("split") == "test"]
    assert len(names) == result["protocol"]["pairs"] > 1 and result["protocol"]["resolution"] == "native"
    for name in names:
        (folders / "held-out" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folders / "many" / name, folders / "held-out" / name)
    assert vaegan("reconstruct", "of-many", "held-out", "--native-size", "--tile", "16", "-o", "made")[0] == 0
    words = ("--images", "held-out", "made", "--native-size", *metrics, "-o", "judged.json")
    assert vaegan("evaluate", *words)[0] == 0
    assert result["metrics"] == json.loads((folders / "judged.json").read_text())["metrics"]
    assert len(result["metrics"]) == 3
    with pytest.raises(UserError, match=r"^density: samples have one size"):
        evaluate_run("of-many", metrics="psnr", density="gmm", native_size=True)
    assert evaluate_run("of-many", metrics="psnr", native_size=True, progress=False).metrics.keys() == {
        "reconstruction/psnr"
    }
    error = get_error("evaluate", "run", "--native-size", "--metrics", "psnr")
    assert error == "--native-size: images of data.source=shapes have one size; leave it out"
    error = get_error("evaluate", "of-many", "--native-size", "--metrics", "sharpness,elbo")
    assert error.startswith("--native-size: measures frechet, kid, lpips")
    assert get_error("evaluate", "of-many", "--tile", "16").startswith("--tile: belongs to --native-size")


def read_picture(file):
    with Image.open(file) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("tile", [(), ("--tile", "16")])
def test_decompressed_images_are_the_reconstructions_of_their_size(tile, folders, vaegan):
    """But for the rounding of codes, to which those of a very fine step hardly add."""
    assert vaegan("reconstruct", "run", "images", "--native-size", *tile, "-o", "made")[0] == 0
    words = ("compress", "run", "images", "--native-size", *tile, "--step", "1e-9", "-o", "a.vg")
    code, out, err = vaegan(*words)
    assert code == 0, err
    compressed, pixels = read_compressed(folders / "a.vg"), sum(width * height for width, height in SIZES.values())
    assert f"{8 * compressed.file_bytes / pixels:.4g} bits per pixel" in out.splitlines()[0]
    assert f": {8 * compressed.message_bytes / pixels:.4g} bits per pixel" in out.splitlines()[1]
    assert vaegan("decompress", "run", "a.vg", "-o", "back") == (0, "back: 3 pictures\n", "")
    for row, (name, (width, height)) in enumerate(SIZES.items()):
        assert compressed.get_size(row) == (height, width)
        back, made = read_picture(folders / "back" / name), read_picture(folders / "made" / name)
        assert back.shape == (height, width, 3) and np.abs(back - made).max() <= 1
        assert vaegan("decompress", "run", "a.vg", "-o", "one", "--only", name)[0] == 0
        assert (folders / "one" / name).read_bytes() == (folders / "back" / name).read_bytes()
    if not tile:
        assert (
            vaegan("compress", "run", "images", "--native-size", "--tile", "16", "--step", "1e-9", "-o", "b.vg")[0] == 0
        )
        assert read_compressed(folders / "b.vg").message_bytes > 1.2 * compressed.message_bytes  # overlaps, coded twice


def test_pictures_are_what_the_model_decodes_from_the_rounded_codes(folders, vaegan):
    assert vaegan("compress", "run", "images", "--native-size", "--step", "0.5", "-o", "a.vg")[0] == 0
    assert vaegan("decompress", "run", "a.vg", "-o", "back")[0] == 0
    model, step, changed = load("run"), read_compressed(folders / "a.vg").description.step, 0
    for name, (width, height) in SIZES.items():
        pixels = torch.from_numpy(read_picture(folders / "images" / name).transpose(2, 0, 1).copy())[None]
        padded = torch.nn.functional.pad(pixels.float(), (0, -width % 4, 0, -height % 4), mode="replicate")
        with torch.no_grad():
            means = model.encode(padded.to(torch.uint8)).mean.unflatten(1, (-1, -(-height // 4), -(-width // 4)))
            rounded = (means.double() / step).round() * step
            expected = to_uint8(model.decode(rounded.float()))[0, :, :height, :width].numpy().transpose(1, 2, 0)
            plain = to_uint8(model.decode(means))[0, :, :height, :width].numpy().transpose(1, 2, 0)
        assert np.abs(read_picture(folders / "back" / name) - expected).max() <= 1
        changed += int((plain != expected).sum())
    assert changed  # by the rounding of the codes


def test_compression_in_one_size_is_as_before_and_refusals_are_one_line(folders, trained, vaegan, get_error):
    assert vaegan("compress", "run", "images", "-o", "a.vg")[0] == 0
    assert vaegan("decompress", "run", "a.vg", "-o", "back")[0] == 0
    assert all(read_picture(folders / "back" / name).shape == (8, 8, 3) for name in SIZES)
    native = ("compress", "run", "images", "-o", "b.vg", "--native-size")
    assert get_error(*native, "--tile", "8") == "--tile 8: less than four times the downsampling; give 16 or more"
    assert get_error("compress", "run", "images", "-o", "b.vg", "--tile", "16").startswith("--tile: belongs to")
    error = get_error("compress", trained, "images", "-o", "b.vg", "--native-size")
    assert (
        error.startswith(f"--native-size: {trained}: takes images of 8 pixels alone; ")
        and not trained.joinpath("compression").exists()
    )
    assert not (folders / "b.vg").exists()
    sizes = compress("run", "images", output="c.vg", native_size=True, tile_side=0, progress=False)
    assert sizes.images == 3 and sizes.pixels == sum(width * height for width, height in SIZES.values())
    with pytest.raises(UserError, match=r"^tile_side -1: give a whole number of pixels, or 0"):
        compress("run", "images", output="c.vg", native_size=True, tile_side=-1)


def test_refusals(folders, trained, get_error):
    native = ("images", "--native-size")
    assert "takes images of 8 pixels alone" in get_error("reconstruct", trained, *native, "-o", "made")
    assert "inside images, whose images are read" in get_error("reconstruct", "run", *native, "-o", "images/made")
    message = get_error("reconstruct", "run", "images/bird/a.png", "images/cat/a.png", "--native-size", "-o", "made")
    assert message.startswith("--output made: images/bird/a.png and images/cat/a.png have the same name")
    message = get_error("reconstruct", "run", "images/bird/a.png", "--native-size", "-o", "images/bird")
    assert message == "--output images/bird: images/bird/a.png is an image that is read; name another folder"
    assert get_error("reconstruct", "run", "images", "--tile", "16").startswith("--tile: belongs to --native-size")
    message = get_error("reconstruct", "run", *native, "--tile", "8", "-o", "made")
    assert message == "--tile 8: less than four times the downsampling; give 16 or more"
    assert not (folders / "made").exists()
