"""`vaegan inspect` and `vaegan traverse` on a tiny run."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan import Run, load
from vaegan.applications.code_statistics import compute_code_statistics
from vaegan.applications.encoding import encode_images
from vaegan.applications.traversals import (
    HEADER_PIXELS,
    choose_typical_code,
    compute_prior_quantiles,
    get_margin_pixels,
    get_probabilities,
    traverse_codes,
)
from vaegan.data import open_data, read_image
from vaegan.images import draw_image_grid, to_float


@pytest.fixture
def statistics(trained):
    """The statistics of the codes of the run's training images."""
    data = open_data(Run(trained).config.data)
    return compute_code_statistics(encode_images(load(trained), data.train))


def test_inspect_prints_what_it_writes(trained, vaegan):
    code, out, err = vaegan("inspect", trained, "-o", "found")
    assert code == 0 and out.endswith("found/inspection.html: the page, beside its pictures and inspection.json\n")
    tree = json.loads((trained.parents[1] / "found" / "inspection.json").read_text())
    assert f"{tree['active_units']} of 2 dimensions active, {tree['kl']:.2f} nats an image; " in out
    assert f"{tree['images']} test images" in out
    for name, probe in tree["linear_probe"].items():
        assert f"linear probe of {name}: {100 * probe['accuracy']:.1f} % correct" in out
    assert all(note in err for note in tree["notes"])
    assert vaegan("inspect", trained, "--split", "train")[0] == 0
    assert json.loads((trained / "inspection" / "inspection.json").read_text())["split"] == "train"


def test_traversals_are_decoded_in_the_order_of_divergence(trained, statistics, vaegan):
    order = statistics.kl.argsort(descending=True)
    active = order[statistics.active[order]]
    assert len(active) > 0, "there is something to draw"
    code, out, _ = vaegan("traverse", trained, "--steps", 3)
    assert code == 0 and out.startswith("traversal.png: ")
    model = load(trained)
    training = encode_images(model, open_data(Run(trained).config.data).train)
    start = choose_typical_code(training.mean)
    codes = traverse_codes(start, active, compute_prior_quantiles(get_probabilities(3), 2))
    expected = draw_image_grid(model.decode(codes.flatten(0, 1)), columns=3)
    names = [f"z{index}  {statistics.kl[index]:.2f} nats" for index in active.tolist()]
    with Image.open("traversal.png") as picture:
        rows = picture.crop((get_margin_pixels(names), HEADER_PIXELS, *picture.size))
        assert rows.tobytes() == expected.tobytes()
    silent = (~statistics.active).nonzero().flatten().tolist()
    line = f"not drawn, as they carry no information: {', '.join(f'z{index}' for index in silent)}"
    assert (line in out) == bool(silent)


def test_an_image_is_the_middle_of_its_own_traversal(trained, vaegan):
    Image.effect_noise((8, 8), 90).convert("RGB").save("photo.png")
    code, out, _ = vaegan("traverse", trained, "photo.png", "--rows", 1, "--steps", 3, "-o", "moves.gif")
    assert code == 0 and out.startswith("moves.gif: 4 frames of 64 x 64 pixels\nfrom left to right, row by row: z")
    dimension = int(out.splitlines()[1][-1])
    model = load(trained)
    start = model.encode(to_float(torch.from_numpy(read_image("photo.png", 8, 3)))[None]).mean[0]
    values = compute_prior_quantiles(get_probabilities(3), 2)
    images = model.decode(traverse_codes(start, torch.tensor([dimension]), values)[0])
    with Image.open("moves.gif") as picture:
        assert picture.n_frames == 4 and picture.info["loop"] == 0
        for frame, step in enumerate((0, 1, 2, 1)):
            picture.seek(frame)
            expected = np.array(draw_image_grid(images[step, None], 1), dtype=int)
            # A GIF has 256 colours.
            assert np.abs(np.array(picture.convert("RGB"), dtype=int) - expected).mean() < 8
    assert vaegan("traverse", trained, "-o", "moves.webp")[0] == 0
    with Image.open("moves.webp") as picture:
        assert picture.is_animated


def test_families_without_a_prior_or_an_order(work, vaegan, get_error):
    assert vaegan("train", "tiny.yaml", "model.family=ae", "--output", "ae")[0] == 0
    code, _, err = vaegan("traverse", "ae")
    assert code == 0 and "these codes have no prior N(0, 1): dimensions in the order of their variance" in err
    vector = "model: {family: vae, network: mlp, width: 8, latent_size: 2}"
    (work / "vq.yaml").write_text((work / "tiny.yaml").read_text().replace(vector, "model: {family: vqvae, width: 8}"))
    assert vaegan("train", "vq.yaml", "evaluate.metrics=[psnr]", "--output", "vq")[0] == 0
    for command in ("inspect", "traverse"):
        assert get_error(command, "vq").startswith("vq: codes of a VQ-VAE are entries of a codebook")


def test_a_conditional_run_needs_its_class(work, vaegan, get_error):
    for name in ("bird", "cat"):
        (work / "images" / name).mkdir(parents=True)
        for number in range(10):
            Image.effect_noise((8, 8), 90).convert("RGB").save(work / "images" / name / f"{number}.png")
    folder = "data={source: folder, image_size: 8, root: images, count: null}"
    assert vaegan("train", "tiny.yaml", folder, "model.labels=2", "--output", "run")[0] == 0
    assert get_error("traverse", "run").startswith("--label: run is conditional")
    assert vaegan("traverse", "run", "--label", "cat")[0] == 0
    assert "inside" in get_error("traverse", "run", "--label", "cat", "-o", "images/new.png")
    assert "inside" in get_error("inspect", "run", "-o", "images/new")
    code, _, err = vaegan("inspect", "run", "--split", "train")
    assert code == 0, err
    assert "The encoder is given the class of each image" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "a.txt"], "--output a.txt: not a picture; let it end in .png or .jpg"),
        (["--steps", "1"], "steps: got 1"), (["."], ".: a folder; name an image"), (["no.png"], "no.png: "),
    ],
)  # fmt: skip
def test_wrong_words_are_named(trained, get_error, words, message):
    assert message in get_error("traverse", trained, *words)
