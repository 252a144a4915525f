"""`vaegan inpaint` and `vaegan upscale`: pictures, arrays, and mistakes in one line."""

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan import load
from vaegan.applications.completion import complete_images
from vaegan.applications.linear_operators import Reduce
from vaegan.applications.superresolution import enlarge_bicubically, enlarge_images
from vaegan.cli.console import Console
from vaegan.cli.masks import read_mask
from vaegan.images import draw_image_grid, to_float, to_uint8


@pytest.fixture
def image(trained):
    """The pixels (1, 3, 8, 8) of `a.png`, and the holes of `mask.png`, in the working folder."""
    pixels = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save("a.png")
    holes = torch.zeros(8, 8, dtype=torch.bool)
    holes[2:6, 3:] = True
    Image.fromarray(holes.numpy()).save("mask.png")
    return pixels, holes


def test_inpaint_shows_the_hole_and_the_answers_and_writes_them_as_an_array(trained, image, vaegan):
    pixels, holes = image
    words = ("--answers", 3, "--sampler", "importance", "--seed", 4, "-o", "out/i.png")
    code, out, err = vaegan("inpaint", trained, "a.png", "--mask", "mask.png", *words)
    assert code == 0, err
    expected, _ = complete_images(load(trained), pixels, holes, answers=3, sampler="importance", seed=4)
    array = np.load("out/i.npy", allow_pickle=False)
    assert array.dtype == np.uint8 and np.array_equal(array, expected[:, 0].numpy())
    assert np.array_equal(array[:, :, ~holes], np.repeat(pixels[:, :, ~holes].numpy(), 3, 0))
    picture = draw_image_grid(torch.cat([torch.where(holes, 255, pixels), expected[:, 0]]), 4)
    with Image.open("out/i.png") as written:
        assert written.tobytes() == picture.tobytes()
    assert out.splitlines() == ["out/i.npy: uint8, shape 3 x 3 x 8 x 8", "out/i.png: 266 x 68 pixels"]


def test_upscale_shows_the_original_its_reduction_bicubic_and_ours(trained, image, vaegan):
    pixels, _ = image
    Image.new("RGB", (12, 4), "red").save("small.png")
    assert vaegan("upscale", trained, "a.png", "--consistent", "-o", "u.png")[0] == 0
    small = to_uint8(Reduce(2).apply(to_float(pixels)))
    ours = enlarge_images(load(trained), small, consistent=True)
    boxes = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    bicubic = to_uint8(enlarge_bicubically(to_float(small), 8))
    with Image.open("u.png") as written:
        assert written.tobytes() == draw_image_grid(torch.cat([pixels, boxes, bicubic, ours]), 4).tobytes()
    array = np.load("u.npy", allow_pickle=False)
    assert np.array_equal(array, ours.numpy())
    assert (Reduce(2).apply(torch.from_numpy(array).double()) - small).abs().max() <= 1


def test_a_small_image_is_the_input_itself(work, vaegan, get_error):
    (work / "larger.yaml").write_text((work / "tiny.yaml").read_text().replace("image_size: 8", "image_size: 16"))
    assert vaegan("train", "larger.yaml", "--output", "run")[0] == 0
    small = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    Image.fromarray(small[0].permute(1, 2, 0).numpy()).save("small.png")
    code, out, _ = vaegan("upscale", "run", "small.png")
    assert code == 0 and "--consistent brings them to 1/255" in out
    assert np.array_equal(np.load("upscaled.npy"), enlarge_images(load("run"), small).numpy())
    with Image.open("upscaled.png") as written:
        assert written.size == (3 * 66 + 2, 68)  # input, bicubic and ours: there is no original
    Image.new("RGB", (16, 16)).save("large.png")
    assert vaegan("upscale", "run", "small.png", "large.png")[0] == 0
    with Image.open("upscaled.png") as written:
        assert written.size == (4 * 66 + 2, 2 * 66 + 2) and written.getpixel((10, 10)) == (255, 255, 255)
    Image.new("RGB", (20, 12)).save("between.png")
    assert get_error("upscale", "run", "between.png") == (
        "between.png: 20 x 12 pixels; give images of 8 on the short side (the model's 16 / 2), or of 16 or more, which"
        " are reduced first"
    )


@pytest.mark.parametrize("factor", [2, 4])
def test_inputs_may_have_fewer_pixels_than_images_of_a_training(trained, vaegan, get_error, factor):
    side = 8 // factor
    small = torch.randint(0, 256, (1, 3, side, side), generator=torch.Generator().manual_seed(0)).byte()
    Image.fromarray(small[0].permute(1, 2, 0).numpy()).save("small.png")
    code, _, err = vaegan("upscale", trained, "small.png", "--factor", factor, "--consistent")
    assert code == 0, err
    answer = np.load("upscaled.npy")
    assert np.array_equal(answer, enlarge_images(load(trained), small, consistent=True).numpy())
    assert (Reduce(factor).apply(torch.from_numpy(answer).double()) - small).abs().max() <= 1
    Image.new("RGB", (3, 5)).save("between.png")
    expected = f"between.png: 3 x 5 pixels; give images of {side} on the short side (the model's 8 / {factor})"
    assert get_error("upscale", trained, "between.png", "--factor", factor).startswith(expected)
    Image.new("RGB", (7, 9)).save("small_training_image.png")
    assert "fewer than 8 on a side" in get_error("reconstruct", trained, "small_training_image.png")


def test_masks_of_any_kind_are_read_in_words(work, capsys):
    Image.new("RGB", (40, 20)).save("wide.png")
    levels = np.zeros((8, 8), dtype=np.uint8)
    levels[2, 2:6] = 127, 128, 255, 10
    Image.fromarray(levels).save("grey.png")
    holes = read_mask("grey.png", "wide.png", 8, (2, "crop"), Console())
    assert torch.equal(holes, torch.from_numpy(levels >= 128))
    assert capsys.readouterr().err == "grey.png: 3 grey pixels; 128 and above count as white\n"
    large = np.zeros((20, 40), dtype=np.uint8)
    large[10:15, 20:25] = 255  # 2 pixels of the fitted mask, and the filter's reach
    Image.fromarray(large).save("large.png")
    holes = read_mask("large.png", "wide.png", 8, (2, "crop"), Console())
    assert "fitted to 8 x 8 with its image" in capsys.readouterr().err
    assert holes[4:6, 4:6].all() and holes[3:7, 3:7].all() and not holes[:2].any() and not holes[:, :2].any()


def test_mistakes_are_said_in_one_line(trained, image, work, vaegan, get_error):
    inpaint = ("inpaint", trained, "a.png", "--mask")
    Image.new("L", (9, 8)).save("wrong.png")
    Image.new("L", (8, 8)).save("black.png")
    Image.new("L", (8, 8), 255).save("white.png")
    assert get_error(*inpaint, "wrong.png") == "wrong.png: 9 x 8 pixels; give the image's 8 x 8, or the model's 8 x 8"
    assert get_error(*inpaint, "black.png") == "black.png: nothing in it is white; white is what to fill"
    assert get_error(*inpaint, "white.png") == "white.png: all of it is white; leave some of the image visible"
    Image.new("LA", (8, 8), (0, 0)).save("clear.png")
    assert get_error(*inpaint, "clear.png") == (
        "clear.png: all of it is white (transparent pixels count as white); leave some of the image visible"
    )
    Image.new("L", (8, 8), 100).save("grey.png")
    assert get_error(*inpaint, "grey.png") == "grey.png: nothing in it is white; white is what to fill"
    wide = Image.new("L", (40, 20))
    wide.save("wide.png")
    wide.paste(255, (0, 0, 4, 20))
    wide.save("margin.png")
    assert get_error("inpaint", trained, "wide.png", "--mask", "margin.png") == (
        "margin.png: nothing in it, fitted to 8 x 8 with its image, is white; white is what to fill"
    )
    assert get_error(*inpaint, "none.png") == "none.png: no such file or directory"
    assert "would replace" in get_error(*inpaint, "mask.png", "-o", "mask.png")
    assert "allowed: number > 0" in get_error(*inpaint, "mask.png", "--scale", 0)
    assert "give --density as well" in get_error(*inpaint, "mask.png", "--data-root", work)
    assert "cannot hold every picture" in get_error(*inpaint, "mask.png", "-o", "x.gif")
    (work / "ae.yaml").write_text((work / "tiny.yaml").read_text().replace("family: vae", "family: ae"))
    assert vaegan("train", "ae.yaml", "--output", "ae")[0] == 0
    assert get_error("upscale", "ae", "a.png").startswith("ae: this family has no prior of its codes; give a density")
    code, _, err = vaegan("upscale", "ae", "a.png", "--density", "gaussian")
    assert code == 0, err
