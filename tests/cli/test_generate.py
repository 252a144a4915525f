"""The command `generate` as a user meets it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vaegan as library
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.images import to_uint8
from vaegan.storage.loading import load
from vaegan.trainers import train

from ..tiny import tiny


@pytest.fixture(scope="module")
def vaegan3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny("vaegan3", "model.labels=10", "train.steps=2", "model.network=mlp", "evaluate.batch_size=64")
    return train(config, tmp_path_factory.mktemp("vaegan3") / "run", open_data(config.data)).path


def read(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.png")}


def test_images_are_those_of_sample(vaegan, trained: Path, work: Path) -> None:
    assert vaegan("generate", trained, "-n", "8", "-o", "made") == (0, "made: 8 images, drawn from the prior\n", "")
    expected = to_uint8(load(trained).sample(8))
    for row, pixels in enumerate(expected):
        with Image.open(work / "made" / f"{row:06d}.png") as image:
            assert torch.equal(torch.from_numpy(np.array(image)).permute(2, 0, 1), pixels)
    assert vaegan("evaluate", "--images", "made", "made", "--metrics", "psnr")[0] == 0


def test_a_density_and_both_rejections(vaegan, vaegan3: Path, work: Path) -> None:
    assert vaegan("train-features", "digits/features", "train.steps=2", "--output", "features")[0] == 0
    plain = ("generate", vaegan3, "-n", "12", "--label", "7")
    assert vaegan(*plain, "-o", "plain")[0] == 0
    images = {"plain": read(work / "plain")}
    for name, words, said in (
        ("density", ("--density", "gaussian"), "drawn from Gaussian, fitted to 1,437 codes"),
        ("realness", ("--reject", "realness=0.5"), "drawn anew were those of realness under "),
        (
            "distance",
            ("--reject", "distance=0.25", "--features", "features"),
            "drawn anew were those of distance over ",
        ),
    ):
        code, out, err = vaegan(*plain, *words, "-o", name)
        assert code == 0 and said in out and "over -" not in out, err
        images[name] = read(work / name)
        assert images[name].keys() == {f"7/{row:06d}.png" for row in range(12)}
    assert len({tuple(sorted(pictures.items())) for pictures in images.values()}) == 4


def test_python_generates_what_the_command_does(vaegan, vaegan3: Path, work: Path) -> None:
    assert vaegan("generate", vaegan3, "-n", "5", "-o", "command", "--label", "2", "--seed", "4")[0] == 0
    folder = library.generate_dataset(vaegan3, 5, output="python", label=2, seed=4, progress=False)
    assert folder == Path("python") and read(work / "python") == read(work / "command") != {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--number: missing"),
        (("-n", "0"), "--number: got 0; allowed: integer >= 1"),
        (("-n", "2", "--format", "zip"), "--format zip: allowed: folder, npz, tar"),
        (("-n", "2", "--reject", "best"), "--reject best: allowed: realness=SHARE or distance=SHARE, with a SHARE"),
        (("-n", "2", "--reject", "realness=1"), "--reject realness=1: allowed: realness=SHARE or distance=SHARE"),
        (("-n", "2", "--reject", "realness=nan"), "--reject realness=nan: allowed: realness=SHARE or"),
        (("-n", "2", "--reject", "realness=0.5"), "has no discriminator; use a VAE-GAN, or distance"),
        (("-n", "2", "--reject", "distance=0.5", "--features", "none"), "--features: none: not a run folder"),
        (("-n", "2", "--features", "none"), "--features: the distance is measured in them; give --reject distance="),
        (("-n", "2", "--allow-other-data"), "samples of the prior need no images; give --density or --reject distance"),
        (("-n", "2", "--density", "kde"), "evaluate.density: got"),
        (("-n", "2", "--label", "3"), "is unconditional; leave it out, or use a run with model.labels"),
    ],
)
def test_wrong_arguments_are_one_line(words, message: str, get_error, trained: Path, work: Path) -> None:
    error = get_error("generate", trained, "-o", "made", *words)
    assert message in error and not (work / "made").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"number": 10**10}, "number 10000000000: give a whole number from 1 to 1,000,000,000"),
        ({"number": 2.0}, "number 2.0: give a whole number from 1"),
        ({"seed": -1}, "seed -1: give a whole number from 0"),
        ({"seed": "a"}, "seed a: give a whole number from 0"),
        ({"shard_rows": 0}, "shard_rows 0: give a whole number from 1 to 10,000,000"),
        ({"reject": 0.5}, "reject 0.5: allowed: realness=SHARE or distance=SHARE"),
    ],
)
def test_wrong_arguments_of_python_are_one_line(arguments, message: str, trained: Path, work: Path) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        library.generate_dataset(trained, **{"number": 2, "output": "made", **arguments})
    assert not (work / "made").exists()


def test_a_model_that_cannot_be_sampled_is_refused(vaegan, get_error, work: Path) -> None:
    config = tiny("ae", "train.steps=1", "model.network=mlp")
    train(config, work / "ae", open_data(config.data))
    assert "density" in get_error("generate", "ae", "-n", "2", "-o", "made")
    assert vaegan("generate", "ae", "-n", "2", "-o", "made", "--density", "gaussian")[0] == 0
    config = tiny("vaegan1-grid", "train.steps=1")
    train(config, work / "patches", open_data(config.data))
    error = get_error("generate", "patches", "-n", "2", "-o", "others", "--reject", "realness=0.5")
    assert "the discriminator of patches has never seen a sample; use a VAE-GAN that has, or distance" in error
