"""The command `vaegan uncertainty`."""

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan import load
from vaegan.applications.uncertainty import draw_shared_noise, predict_pixels
from vaegan.data import read_image
from vaegan.images import to_float


@pytest.fixture
def pictures(work):
    """Three images, in `images`."""
    (work / "images").mkdir()
    for number in range(3):
        Image.effect_noise((8, 8), 30 + 30 * number).convert("RGB").save(work / "images" / f"{number}.png")
    return work / "images"


def test_the_array_holds_what_the_functions_say_and_no_image_changes_another(trained, pictures, vaegan):
    code, out, err = vaegan("uncertainty", trained, pictures, "--draws", 5, "--seed", 3, "-o", "made/c.png")
    assert (code, err) == (0, "") and "made/c.npy: float32, shape 3 x 3 x 3 x 8 x 8\n" in out
    values = np.load("made/c.npy")
    model = load(trained)
    images = torch.stack([torch.from_numpy(read_image(pictures / f"{number}.png", 8, 3)) for number in range(3)])
    with torch.no_grad():
        prediction = predict_pixels(model, model.encode(images), draw_shared_noise(2, 5, seed=3))
    for index, expected in enumerate((prediction.mean, prediction.spread, prediction.total)):
        assert values[:, index] == pytest.approx(expected.numpy(), abs=1e-6)
    error = (to_float(images[1]) - prediction.mean[1]).square().mean().sqrt().item()
    assert f"1.png   {error:.4f}" in out and out.count("%  \n") == 3
    with Image.open("made/c.png") as picture:
        assert picture.width > 5 * 66 and picture.height == 3 * 66 + 2 + 24
    assert vaegan("uncertainty", trained, pictures / "1.png", "--draws", 5, "--seed", 3, "-o", "one.png")[0] == 0
    assert np.load("one.npy")[0] == pytest.approx(values[1], abs=1e-6)
    assert vaegan("uncertainty", trained, pictures / "1.png", "--draws", 5, "--seed", 4, "-o", "one.png")[0] == 0
    assert np.load("one.npy")[0] != pytest.approx(values[1], abs=1e-6)


def test_a_calibrated_scale_is_said_and_is_in_the_total(trained, pictures, vaegan):
    code, out, _ = vaegan("uncertainty", trained, pictures / "1.png", "--calibrate", "-o", "c.png")
    scale = float(out.split()[1])
    assert code == 0 and out.startswith(f"scale {scale:.4g} instead of 0.2, by 6 validation images\n")
    _, spread, total = np.load("c.npy")[0]
    assert np.sqrt(total**2 - spread**2) == pytest.approx(np.full(total.shape, scale), rel=1e-3)


def test_without_a_scale_there_is_the_spread_alone(work, pictures, vaegan, get_error):
    assert vaegan("train", "tiny.yaml", "model.likelihood=bernoulli", "--output", "run")[0] == 0
    code, out, err = vaegan("uncertainty", "run", pictures, "-o", "c.png")
    assert code == 0 and "total" not in out and "inside" not in out
    assert err == "run: it has no scale of p(x | z), so that the spread of decoded draws is all that it can tell\n"
    assert np.load("c.npy").shape == (3, 2, 3, 8, 8)
    message = get_error("uncertainty", "run", pictures, "--calibrate", "-o", "c.png")
    assert message == "--calibrate: run has no scale of p(x | z) to calibrate; leave it out"


def test_an_array_does_not_replace_the_images_of_the_run(work, pictures, vaegan, get_error):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    (work / "set").mkdir()
    np.save("set/images.npy", pixels)
    for root in ("set/images.npy", "set"):
        source = f"data={{source: arrays, image_size: 8, channels: 3, root: {root}, count: null}}"
        assert vaegan("train", "tiny.yaml", source, "--output", "run")[0] == 0
        for words in (["uncertainty"], ["upscale"], ["inpaint", "--mask", "mask.png"]):
            message = get_error(words[0], "run", pictures, *words[1:], "-o", "set/images.png")
            expected = "a file of the images that run was trained on, which it would replace; name another file"
            assert message == f"--output set/images.npy: {expected}"
        (work / "run").rename(work / f"run of {root.replace('/', ' ')}")
    assert np.array_equal(np.load("set/images.npy"), pixels)


def test_what_it_cannot_do_is_said_in_one_line(work, pictures, vaegan, get_error):
    ae = "model={family: ae, network: mlp, width: 8, latent_size: 2}"
    assert vaegan("train", "tiny.yaml", ae, "evaluate.metrics=[psnr]", "--output", "run")[0] == 0
    message = get_error("uncertainty", "run", pictures, "-o", "c.png")
    assert message.startswith("run: this model's code of an image is a point") and message.endswith(
        "family vae or vaegan"
    )
    message = get_error("uncertainty", "run", pictures, "--data-root", ".", "-o", "c.png")
    assert message.endswith("no images of the run are read; give --calibrate as well")
    (work / "d.npy").mkdir()
    message = get_error("uncertainty", "run", pictures, "-o", "d.png")
    assert message == "--output d.png: d.npy, the array beside the picture, is a folder; name another picture"
    assert "allowed: integer >= 2" in get_error("uncertainty", "run", pictures, "--draws", 1)
    assert not (work / "c.npy").exists() and not (work / "c.png").exists()
