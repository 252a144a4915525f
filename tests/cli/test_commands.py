"""Every command and option, on runs of a moment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from vaegan import load
from vaegan.config import load_config
from vaegan.data import open_data
from vaegan.density_fitting import fit_density_to_images
from vaegan.images import draw_image_grid, to_uint8

HELP = """
import sys
from click.testing import CliRunner
from vaegan.cli.main import cli
for command in ([], *([name] for name in cli.commands)):
    for width in (80, 100):
        result = CliRunner().invoke(cli, [*command, "--help"], terminal_width=width)
        assert result.exit_code == 0 and max(map(len, result.output.splitlines())) <= width, result.output
    print(result.output)
print("loaded", *(name for name in ("torch", "wandb", "numpy", "pydantic", "rich") if name in sys.modules))
"""


def test_help_loads_nothing_heavy_and_knows_every_option():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded"
    for word in (
        "--output",
        "--resume",
        "--dry-run",
        "--metrics",
        "--samples",
        "--split",
        "-n",
        "-o",
        "--steps",
        "--schema",
        "--density",
        "--label",
    ):
        assert re.search(rf"\s{word}\b", done.stdout), word
    for title, commands in (
        ("Train", "train train-features"),
        ("Evaluate and compare", "evaluate compare ablate"),
        ("Use a trained model", "sample reconstruct interpolate export push"),
        ("Recipes, settings, weights", "configs weights"),
    ):
        lines = "".join(rf"  {command} +[A-Z].+\.\n" for command in commands.split())
        assert re.search(rf"^{title}:\n{lines}$", done.stdout, re.MULTILINE), title


def test_python_m_vaegan():
    done = subprocess.run([sys.executable, "-m", "vaegan", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"vaegan, version \S+\n", done.stdout)


def test_evaluate_writes_metrics(trained, vaegan):
    code, out, _ = vaegan("evaluate", trained)
    assert code == 0 and str(trained) in out and f"written to {trained}/metrics.json" in out
    first = json.loads((trained / "metrics.json").read_text())
    assert first["metrics"].keys() == {"reconstruction/psnr", "elbo", "bits_per_dim", "rate"}
    for name, value in first["metrics"].items():
        assert re.search(rf"{name} +{re.escape(f'{value:.4g}')}", out)
    assert vaegan("evaluate", trained, "--metrics", "psnr, sharpness", "--samples", 5, "--split", "train")[0] == 0
    second = json.loads((trained / "metrics.json").read_text())
    assert "elbo" not in second["metrics"] and "sample/spectrum_error" in second["metrics"]
    protocol = second["protocol"]
    assert (protocol["split"], protocol["samples"], protocol["reconstructions"]) == ("train", 5, 5)


def test_sample_draws_what_the_library_draws(trained, vaegan):
    code, out, _ = vaegan("sample", trained, "-n", 6, "-o", "new/folder/drawn.png")
    assert code == 0 and out.startswith("new/folder/drawn.png: ")
    with Image.open("new/folder/drawn.png") as drawn:
        expected = draw_image_grid(load(trained).sample(6), columns=2)
        assert drawn.size == expected.size and drawn.tobytes() == expected.tobytes()
    assert vaegan("sample", trained, "-n", 6, "--seed", 1, "-o", "other.png")[0] == 0
    with Image.open("other.png") as other:
        assert other.tobytes() != expected.tobytes()


def test_samples_in_an_array_are_compared_with_images(trained, vaegan):
    code, out, _ = vaegan("sample", trained, "-n", 6, "-o", "drawn.npz")
    assert (code, out) == (0, "drawn.npz: arr_0, uint8, shape 6 x 8 x 8 x 3\n")
    with np.load("drawn.npz", allow_pickle=False) as archive:
        drawn = archive["arr_0"]
    assert np.array_equal(drawn, to_uint8(load(trained).sample(6)).permute(0, 2, 3, 1).numpy())
    os.mkdir("real")
    for number in range(6):
        Image.fromarray(255 - drawn[number]).save(f"real/{number}.png")
    words = ("evaluate", "--images", "real", "drawn.npz", "--metrics", "psnr,sharpness", "-o", "new/out.json")
    code, out, err = vaegan(*words)
    assert code == 0 and "6 real and 6 fake images, 0 pairs\nwritten to new/out.json" in out and "left out" in err
    first = json.loads(Path("new/out.json").read_text())
    assert set(first["metrics"]) == {f"sample/{name}" for name in ("laplacian_gap", "spectrum_error", "kurtosis_gap")}
    code, out, _ = vaegan(*words, "--paired-by-index")
    second = json.loads(Path("new/out.json").read_text())
    difference = (255 - 2 * drawn.astype(float)) / 127.5
    psnr = (10 * np.log10(4 / np.square(difference).mean((1, 2, 3)))).mean()
    assert second["metrics"]["reconstruction/psnr"] == pytest.approx(psnr, rel=1e-6) and second["curves"]
    code, _, err = vaegan("evaluate", "--images", "real", "drawn.npz", "--save-statistics", "drawn.npz")
    assert (code, err) == (2, "vaegan: --save-statistics drawn.npz: one of the two sets, which it would replace\n")
    assert f"reconstruction/psnr {psnr:.4g}"[-5:] in out and second["protocol"]["fake"]["images"] == "drawn.npz"


def test_samples_of_a_density_are_those_of_an_evaluation(work, vaegan):
    """The model is an autoencoder, which cannot be sampled without a density."""
    assert vaegan("train", "tiny.yaml", "model.family=ae", "seed=7", "--output", "ae")[0] == 0
    config = load_config("ae/config.yaml")
    model, images = load("ae"), open_data(config.data).train
    pictures = set()
    for spec, name in (("gaussian", "Gaussian"), ("gmm:3", "GMM of 3"), ("gmm", "GMM of 10")):
        code, out, err = vaegan("sample", "ae", "--density", spec, "-n", 6, "--seed", 4, "-o", "drawn.png")
        description = f"drawn from a {name}, fitted to 48 codes of the training images, not from a prior\n"
        assert (code, err) == (0, "") and out.startswith("drawn.png: ") and out.endswith(description)
        full = "gmm:10" if spec == "gmm" else spec
        expected = draw_image_grid(
            model.sample(6, 4, fit_density_to_images(full, model, images, config.seed, 8)), columns=2
        )
        with Image.open("drawn.png") as drawn:
            assert drawn.tobytes() == expected.tobytes()
            pictures.add(drawn.tobytes())
    assert len(pictures) == 3


def test_metrics_of_samples_from_a_density_name_it(trained, vaegan):
    words = ("evaluate", trained, "--metrics", "psnr,sharpness")
    assert "sample/spectrum_error  " in vaegan(*words)[1]
    prior = json.loads((trained / "metrics.json").read_text())
    code, out, err = vaegan(*words, "--density", "gmm:3")
    assert (code, err) == (0, "")
    metrics = json.loads((trained / "metrics.json").read_text())
    named = "GMM of 3, fitted to 48 codes"
    for name in metrics["metrics"]:
        assert re.search(rf"{name} \({named}\) +\S" if name.startswith("sample/") else rf"{name}  +\d", out), name
    assert (prior["protocol"]["samples_from"], prior["protocol"]["density"]) == ("N(0, I)", None)
    assert metrics["protocol"]["samples_from"] == named and metrics["protocol"]["density"]["asked"] == "gmm:3"
    changed = {name for name, value in metrics["metrics"].items() if prior["metrics"][name] != value}
    assert changed == {name for name in prior["metrics"] if name.startswith("sample/")}


def test_a_long_list_of_samples_is_its_parts(trained, vaegan, monkeypatch):
    assert vaegan("sample", trained, "-n", 5, "-o", "whole.png")[0] == 0
    monkeypatch.setattr("vaegan.workflows.image_files.BATCH_IMAGES", 2)
    assert vaegan("sample", trained, "-n", 5, "-o", "parts.png")[0] == 0
    with Image.open("whole.png") as whole, Image.open("parts.png") as parts:
        assert whole.tobytes() == parts.tobytes()


def test_reconstruct_takes_files_and_folders(trained, vaegan, work):
    (work / "images/deep").mkdir(parents=True)
    for number, name in enumerate(("a.png", "images/b.jpg", "images/deep/c.webp")):
        Image.new("RGB", (20 + number, 30), (80 * number, 0, 255)).save(name)
    assert vaegan("reconstruct", trained, "a.png", "images", "-o", "out.jpg")[0] == 0
    with Image.open("out.jpg") as picture:
        cell = 64 + 2
        assert picture.size == (3 * cell + 2, 2 * cell + 2), "three images above their reconstructions"
        red, _, blue = picture.getpixel((2 * cell + 30, 30))
        assert abs(red - 160) < 12 and blue > 240, "the last real image"


def test_interpolate_goes_from_one_reconstruction_to_the_other(trained, vaegan):
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (8, 8), colour).save(name)
    assert vaegan("interpolate", trained, "a.png", "b.png", "--steps", 5, "-o", "way.png")[0] == 0
    assert vaegan("reconstruct", trained, "a.png", "b.png", "-o", "ends.png")[0] == 0
    with Image.open("way.png") as way, Image.open("ends.png") as ends:
        assert way.size == (5 * 66 + 2, 68)
        cells = [way.crop((2 + 66 * at, 2, 66 + 66 * at, 66)).tobytes() for at in range(5)]
        assert cells[0] == ends.crop((2, 68, 66, 132)).tobytes()
        assert cells[4] == ends.crop((68, 68, 132, 132)).tobytes()
        assert len(set(cells)) > 2


def test_configs_lists_recipes_with_a_line_each(vaegan):
    code, out, _ = vaegan("configs")
    assert code == 0
    for line in out.splitlines():
        assert re.fullmatch(r"\S+ {2,}\S.+", line)
    assert {"quickstart", "digits/ae", "digits/vae", "digits/vaegan2", "digits/vaegan3"} <= {
        line.split()[0] for line in out.splitlines()
    }


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_has_had_enough_gets_no_traceback(reader):
    command = f"{sys.executable} -m vaegan configs --schema | {reader}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_compare_trains_evaluates_and_keeps_what_is_finished(work, vaegan):
    two = {"vae": {"recipe": "tiny.yaml"}, "again": {"recipe": "tiny.yaml", "set": {"model": {"beta": 2}}}}
    (work / "study.yaml").write_text(yaml.safe_dump({"title": "Two", "variants": two}))
    code, out, err = vaegan("compare", "study.yaml", "train.steps=2")
    assert code == 0, err
    page = work / "runs/study/report.html"
    assert f"report: {page}" in out and page.is_file() and (work / "runs/study/comparison.json").is_file()
    weights = (work / "runs/study/vae/seed_0/model/model.safetensors").stat()
    code, _, err = vaegan("compare", "study.yaml", "train.steps=2")
    assert code == 0 and err.count("finished already") == 2
    assert (work / "runs/study/vae/seed_0/model/model.safetensors").stat() == weights


def test_other_ranks_leave_to_the_first_what_is_done_by_one(trained, vaegan, monkeypatch):
    before = set(trained.parent.parent.rglob("*"))
    monkeypatch.setenv("RANK", "1")
    for words in (
        ("sample", trained), ("configs",), ("configs", "--schema"),
        ("reconstruct", trained, "a.png"), ("interpolate", trained, "a.png", "b.png"),
    ):  # fmt: skip
        assert vaegan(*words) == (0, "", "")
    assert set(trained.parent.parent.rglob("*")) == before


def test_a_run_that_is_not_finished_says_so(trained, vaegan):
    described = trained / "model/config.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "step": 3}))
    code, _, err = vaegan("sample", trained, "-o", "x.png")
    assert code == 0 and f"{trained}: not finished; this is its model after 3 of 4 steps" in err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_evaluate_uses_the_gpu(trained, vaegan):
    assert vaegan("evaluate", trained)[0] == 0
    assert json.loads((trained / "metrics.json").read_text())["protocol"]["device"] == "cuda"


def test_weights_lists_files_and_fetches_what_is_missing(work, vaegan, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(work / "torch"))
    code, out, err = vaegan("weights", "alex")
    file = work / "torch/hub/checkpoints/alexnet-owt-7be5be79.pth"
    assert (code, err) == (0, "") and out.startswith("alex: for lpips; 233.1 MiB; missing\n") and f"{file}\n" in out
    assert vaegan("weights")[1].count("SHA-256") == 4
    file.parent.mkdir(parents=True)
    file.write_bytes(b"torn")
    assert vaegan("weights", "alex")[1].startswith("alex: for lpips; 233.1 MiB; damaged\n")
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    code, out, err = vaegan("weights", "alex", "squeeze", "--fetch")
    assert code == 1 and out.count("SHA-256") == 2 and err.count("could not be fetched (no network)") == 2
    assert vaegan("weights", "resnet") == (
        2, "", "vaegan: resnet: no network of a metric; there are alex, vgg, squeeze, inception\n"
    )  # fmt: skip
