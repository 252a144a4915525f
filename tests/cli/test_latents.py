"""The commands `encode` and `decode` as a user meets them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.config import dump_config
from vaegan.data import open_data
from vaegan.images import to_uint8
from vaegan.io import load_tensors
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import tiny, train_once


@pytest.fixture
def folder(work: Path) -> Path:
    """A folder of images in three classes, one of which is no image."""
    draw = np.random.default_rng(0)
    for number in range(12):
        file = work / "images" / "cba"[number % 3] / f"{number}.{('png', 'bmp')[number % 2]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8 + number, 9, 3), dtype=np.uint8)).save(file)
    (work / "images" / "a" / "broken.png").write_bytes(b"no image")
    return work / "images"


def test_a_folder_there_and_back(vaegan, trained: Path, folder: Path, work: Path) -> None:
    code, out, err = vaegan("encode", trained, folder, "-o", "latents", "--shard-rows", "5")
    assert (code, out.splitlines()[0]) == (0, "latents: 12 rows of 2, float32, in 3 files")
    assert out.splitlines()[1].startswith("means of the channels ") and len(out.splitlines()) == 2
    assert "broken.png" in err and len(err.splitlines()) == 1
    lines = [json.loads(line) for line in (work / "latents" / "index.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    names = [line["name"] for line in lines]
    assert names[0] == "a/11.bmp" and sorted(names) == names
    labels = torch.cat([load_tensors(file)["labels"] for file in sorted((work / "latents").glob("*.safetensors"))])
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert vaegan("encode", trained, folder, "-o", "latents", "--shard-rows", "5")[:2] == (0, out)

    assert vaegan("decode", "latents", "-o", "pictures") == (0, "pictures: 12 pictures\n", "")
    config = Run(trained).config.data
    settings = {"source": "folder", "root": folder, "validation": 0.0, "test": 0.0, "image_size": 8}
    images = open_data(config.model_copy(update={**settings, "count": None}), notify=lambda _: None).train
    with torch.no_grad():
        expected = to_uint8(load(trained).reconstruct(images[torch.arange(12)])).permute(0, 2, 3, 1)
    for name, pixels in zip(names, expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(work / "pictures" / f"{name[:-4]}.png")), pixels)
    assert len(list((work / "pictures").rglob("*.*"))) == 13


def test_a_run_encodes_its_own_images(vaegan, trained: Path, work: Path) -> None:
    for words, split in (((), "train"), (("--split", "test"), "test")):
        code, out, err = vaegan("encode", trained, "-o", f"of-{split}", "--dtype", "bfloat16", "--no-flip", *words)
        assert (code, err) == (0, "")
        images = getattr(open_data(Run(trained).config.data), split)
        assert out.startswith(f"of-{split}: {len(images)} rows of 2, bfloat16, in 1 file\n")
        tensors = load_tensors(work / f"of-{split}" / "latents_rank00_shard000.safetensors")
        assert tensors["latents"].dtype == torch.bfloat16 and tensors["labels"].tolist() == images.labels.tolist()


def test_a_run_that_has_moved_is_named(vaegan, get_error, trained: Path, work: Path) -> None:
    vaegan("encode", trained, "-o", "latents")
    trained.rename(work / "moved")
    error = get_error("decode", "latents", "-o", "pictures")
    assert error == f"{trained}: no run is there, which has made latents; name its folder by --run"
    assert vaegan("decode", "latents", "-o", "pictures", "--run", "moved")[0] == 0
    assert vaegan("train", "tiny.yaml", "seed=1")[0] == 0
    for words in ((), ("--run", "runs/tiny")):
        error = get_error("decode", "latents", "-o", "others", *words)
        assert error.endswith("its model is another one than that which has made latents; name the run by --run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "nowhere: no such folder; name a folder of images"),
        (("tiny.yaml",), "tiny.yaml: a file; name a folder of images"),
        (("images", "-o", "images/latents"), "--output images/latents: inside images, which is read; name a folder"),
        (
            ("images", "--split", "test"),
            "--split: of the run's own images, and all of images are encoded; leave it out",
        ),
        (("images", "--data-root", "x"), "--data-root: of the run's own images"),
        (("empty",), "empty: no image in it; files ending in"),
        (("--split", "x"), "--split x: allowed: train, validation, test"),
        (("--dtype", "int8"), "--dtype int8: allowed: float32, float16, bfloat16"),
        (("--seed", "3"), "--seed: posterior means have no noise; give --sample as well, or leave it out"),
        (("--shard-rows", "0"), "--shard-rows: got 0; allowed: integer >= 1"),
    ],
)
def test_wrong_arguments_are_one_line(words, message, get_error, trained: Path, folder: Path, work: Path) -> None:
    (work / "empty").mkdir()
    error = get_error("encode", trained, "-o", "latents", *words)
    assert message in error and not (work / "latents").exists()


def test_wrong_runs_are_one_line(vaegan, get_error, trained: Path, folder: Path, work: Path) -> None:
    assert get_error("encode", "nowhere", "-o", "latents").startswith("nowhere: not a run folder")
    assert get_error("encode", trained, "images").startswith("--output: missing")
    assert get_error("decode", "images", "-o", "x").startswith("images: no folder of latents (it has no latents.json)")
    vqvae = train_once("vqvae")
    for option, reason in (("--sample", "have no spread"), ("--dtype=float16", "int32")):
        assert reason in get_error("encode", vqvae, "-o", "latents", option)
    Run(work / "prior").write_config(tiny("pixelcnn"))
    error = get_error("encode", "prior", "-o", "latents")
    assert error == f"prior: a prior over codes; give the run of its VQ-VAE, {vqvae}, whose codes they are"
    Run(work / "flow").write_config(tiny("flow"))
    error = get_error("encode", "flow", "-o", "latents")
    autoencoder = train_once("vae")
    assert error == f"flow: a prior over codes; give the run of its autoencoder, {autoencoder}, whose codes they are"
    (folder / "a" / "broken.png").unlink()
    by_class = tiny("vae", "model.labels=10", "train.steps=1", "model.network=mlp", "data.channels=1")
    train(by_class, work / "by-class", open_data(by_class.data))
    error = get_error("encode", "by-class", "images", "-o", "latents")
    assert error.startswith("by-class: knows the classes 0, 1, 2, 3") and "and the images have a; put them" in error
    for old, new in (("a", "7"), ("b", "1"), ("c", "3")):
        (folder / old).rename(folder / new)
    assert vaegan("encode", "by-class", "images", "-o", "latents")[0] == 0
    labels = load_tensors(work / "latents" / "latents_rank00_shard000.safetensors")["labels"]
    assert labels.tolist() == [1] * 4 + [3] * 4 + [7] * 4
    assert get_error("decode", "latents", "-o", "images/pictures").startswith("--output images/pictures: inside ")
    assert get_error("decode", "latents", "-o", "latents/pictures").startswith("--output latents/pictures: inside ")


def test_a_folder_of_a_run_is_not_written_into(vaegan, get_error, folder: Path, work: Path) -> None:
    config = tiny("ae", "train.steps=1", "model.network=mlp", "data.source=folder", f"data.root={folder}")
    (work / "run.yaml").write_text(dump_config(config))
    assert vaegan("train", "run.yaml", "--output", "run")[0] == 0
    assert get_error("encode", "run", "-o", folder / "latents").startswith(
        f"--output {folder}/latents: inside {folder}"
    )
    code, out, _ = vaegan("encode", "run", "-o", "latents")
    assert code == 0
    names = [json.loads(line)["name"] for line in (work / "latents" / "index.jsonl").read_text().splitlines()]
    assert names == [member.name for member in Run(work / "run").members.members if member.split == "train"]
    assert "--sample: codes of a run of ae have no spread" in get_error("encode", "run", "-o", "latents", "--sample")
    shutil.move(folder, work / "elsewhere")
    assert vaegan("encode", "run", "-o", "latents", "--data-root", "elsewhere")[:2] == (0, out)
