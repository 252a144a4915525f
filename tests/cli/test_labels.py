"""--label: a class by its name or its number, of a run that knows classes."""

import pytest
import torch
from PIL import Image

from vaegan import load
from vaegan.data import read_image
from vaegan.data.shapes import SHAPE_CLASSES
from vaegan.images import draw_image_grid, draw_pairs, to_float, to_uint8


@pytest.fixture
def conditional(work, vaegan):
    """A finished conditional run of the six classes of shapes."""
    assert vaegan("train", "tiny.yaml", "model.labels=6", "--output", "cvae")[0] == 0
    return "cvae"


def pixels(file: str) -> bytes:
    with Image.open(file) as picture:
        return picture.tobytes()


def test_a_class_is_drawn_by_number_and_by_name(conditional, vaegan):
    model = load(conditional)
    names = list(SHAPE_CLASSES)
    drawn = set()
    for words, labels in (((), None), (("--label", 3), 3), (("--label", names[3]), 3), (("--label", names[5]), 5)):
        assert vaegan("sample", conditional, *words, "-n", 9, "--seed", 4, "-o", "drawn.png")[0] == 0
        assert pixels("drawn.png") == draw_image_grid(model.sample(9, 4, labels=labels), columns=3).tobytes()
        drawn.add(pixels("drawn.png"))
    assert len(drawn) == 3
    assert vaegan("evaluate", conditional, "--metrics", "psnr,sharpness")[0] == 0


def test_images_of_files_have_the_given_class(conditional, work, vaegan):
    model = load(conditional)
    for number in range(2):
        Image.effect_noise((8, 8), 60 + 60 * number).convert("RGB").save(f"{number}.png")
    files = ("0.png", "1.png")
    given = torch.stack([torch.from_numpy(read_image(work / file, 8, 3)) for file in files])
    assert vaegan("reconstruct", conditional, *files, "--label", 2, "-o", "made.png")[0] == 0
    made = model.reconstruct(to_float(given), 2)
    assert pixels("made.png") == draw_pairs(given, to_uint8(made), columns=2).tobytes()
    assert not torch.equal(made, model.reconstruct(to_float(given), 1))
    assert vaegan("interpolate", conditional, *files, "--steps", 2, "--label", 2, "-o", "way.png")[0] == 0
    ends = model.decode(model.encode(to_float(given), 2).mean, 2)
    assert pixels("way.png") == draw_image_grid(to_uint8(ends), columns=2).tobytes()


def test_invalid_labels(conditional, trained, work, vaegan):
    listed = "give 0 to 5, or by name: " + ", ".join(f"{number} ({name})" for number, name in enumerate(SHAPE_CLASSES))
    Image.new("RGB", (8, 8)).save("a.png")
    for words, message in (
        (("sample", conditional, "--label", "6"), f"--label 6: no class of cvae; {listed}"),
        (("sample", conditional, "--label", "-1"), f"--label -1: no class of cvae; {listed}"),
        (("sample", conditional, "--label", "dog"), f"--label dog: no class of cvae; {listed}"),
        (("reconstruct", conditional, "a.png"), "--label: cvae is conditional, and the images come without labels"),
        (("interpolate", conditional, "a.png", "a.png"), "--label: cvae is conditional"),
        (("sample", trained, "--label", "1"), f"--label 1: {trained} is unconditional; leave it out"),
        (("train", "tiny.yaml", "model.labels=5", "--output", "x"), "model.labels: 5, but the images of data.source"),
    ):
        code, out, err = vaegan(*words)
        assert (code, out) == (2, "") and err.startswith(f"vaegan: {message}") and err.count("\n") == 1, err
