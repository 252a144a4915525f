"""Errors of the user end with one line and exit code 2; failures end with one line and exit code 1."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from vaegan.errors import Failure

CODES = "model: {family: vae, network: mlp, width: 8, latent_size: 2}"


def make_failing_train(error: BaseException) -> Callable[..., None]:
    """Return a training that raises an error."""

    def train(*args: object, **options: object) -> None:
        raise error

    return train


@pytest.mark.parametrize(
    ("words", "expected"),
    [("trian tiny.yaml", "trian: no such command; did you mean train?; see `vaegan --help`"),
     ("frob", "frob: no such command; see `vaegan --help`"),
     ("--versio", "--versio: no such option; did you mean --version?; see `vaegan --help`"),
     ("train", "CONFIG: missing; see `vaegan train --help`"),
     ("interpolate run a.png", "B: missing; see `vaegan interpolate --help`"),
     ("reconstruct run", "IMAGE_OR_FOLDER: missing; see `vaegan reconstruct --help`"),
     ("train tiny.yaml --outputt x", "--outputt: no such option; did you mean --output?; see `vaegan train --help`"),
     ("train tiny.yaml --train.steps 3",
      "--train.steps: no such option; a setting is written train.steps=VALUE; see `vaegan train --help`"),
     ("train tiny.yaml --output", "option '--output' requires an argument; see `vaegan train --help`"),
     ("train tiny.yaml --resume=3", "option '--resume' does not take a value; see `vaegan train --help`"),
     ("evaluate run other", "got unexpected extra argument (other); see `vaegan evaluate --help`"),
     ("evaluate run --samples x", "--samples: 'x' is not a valid integer; see `vaegan evaluate --help`"),
     ("sample run -n 0", "--number: got 0; allowed: integer >= 1, <= 1,000,000; see `vaegan sample --help`"),
     ("sample run -n 10001", "--number 10001: a picture holds at most 10,000; let --output end in .npz"),
     ("evaluate", "RUN: missing; give the folder of a run, or --images REAL FAKE"),
     ("evaluate run --images a b", "--images: compares images without a run; leave run out"),
     ("evaluate run --fit crop -o x.json", "--fit, --output: only with --images; leave them out"),
     ("evaluate --images a b --split test", "--split: not with --images; leave it out"),
     ("evaluate --images a b -o x.txt", "--output x.txt: let it end in .json"),
     ("evaluate --images a b --metrics elbo,psnr", "--metrics: elbo: of a model, not of images alone; take some of "
      "frechet, kid, lpips, lpips_squeeze, lpips_vgg, ms_ssim, prdc, psnr, sharpness, ssim"),
     ("evaluate --images a b --save-statistics c.npz --metrics kid",
      "--save-statistics: needs images as REAL, and frechet among --metrics"),
     ("evaluate --images tiny.yaml b.npz", "--images: tiny.yaml: a file, not a folder of images"),
     ("evaluate --images a b", "--images: a: no such folder"),
     ("sample run -n x", "--number: 'x' is not a valid integer; see `vaegan sample --help`"),
     ("sample run --seed -1",
      "--seed: got -1; allowed: integer >= 0, <= 9,223,372,036,854,775,807; see `vaegan sample --help`"),
     ("interpolate run a.png b.png --steps 1",
      "--steps: got 1; allowed: integer >= 2, <= 1,000; see `vaegan interpolate --help`")],
)  # fmt: skip
def test_a_malformed_command_gets_one_line(words, expected, work, get_error):
    assert get_error(*words.split()) == expected


def test_no_command_gets_the_help(vaegan):
    code, out, err = vaegan()
    assert (code, out) == (2, "") and err.startswith("Usage: vaegan [OPTIONS] COMMAND") and "\nTrain:\n" in err


def test_configs_that_cannot_be_read(work, get_error):
    (work / "folder.yaml").mkdir()
    Path("binary.yaml").write_bytes(bytes(range(256)))
    assert "did you mean digits/vae?" in get_error("train", "digits/vea")
    assert "a folder" in get_error("train", "folder.yaml")
    assert "not YAML" in get_error("train", "binary.yaml")
    assert "vaegan compare quickstart" in get_error("train", "quickstart")
    assert "vaegan train digits/vae" in get_error("compare", "digits/vae")
    assert "did you mean train.steps?" in get_error("train", "tiny.yaml", "train.step=3", "--dry-run")
    assert "did you mean train.steps?" in get_error("compare", "quickstart", "train.step=3")
    assert sorted(path.name for path in work.iterdir()) == ["binary.yaml", "folder.yaml", "tiny.yaml"]


def test_missing_images(work, get_error):
    folder = ["data={source: folder, image_size: 8, root: images}", "data.count=null"]
    assert "no such folder" in get_error("train", "tiny.yaml", *folder)
    error = get_error("train", "tiny.yaml", *folder, "train.init=nowhere")
    assert error.startswith("train.init: ") and "no such folder; name a run, or a folder of diffusers" in error
    (work / "images").mkdir()
    assert "no image in it" in get_error("train", "tiny.yaml", *folder)


def test_paths_without_a_run(trained, get_error):
    for path in (".", "nowhere", "tiny.yaml"):
        assert (
            get_error("sample", path)
            == f"{path}: not a run folder (it has no config.yaml); give the --output of `vaegan train`"
        )
        assert "not a run folder" in get_error("evaluate", path)
    shutil.rmtree(trained / "model")
    assert "no model" in get_error("sample", trained) and "no model" in get_error("evaluate", trained)
    (trained / "config.yaml").write_text("")
    assert "config.yaml: expected sections" in get_error("sample", trained)


@pytest.mark.parametrize("damage", [b"", b"x" * 300, None])
def test_damaged_models(damage, trained, get_error):
    weights = trained / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] if damage is None else damage)
    message = get_error("sample", trained)
    assert f"{weights.parent}: damaged" in message and weights.name in message and "--resume" in message


def test_invalid_settings_of_an_evaluation(trained, get_error):
    assert 'got "psn"; did you mean psnr?' in get_error("evaluate", trained, "--metrics", "psn")
    assert "evaluate.metrics" in get_error("evaluate", trained, "--metrics", "")
    assert 'evaluate.split: got "tset"; did you mean test?' in get_error("evaluate", trained, "--split", "tset")
    assert "evaluate.samples: got 0; allowed: integer >= 1" in get_error("evaluate", trained, "--samples", 0)
    assert not (trained / "metrics.json").exists()


def test_an_evaluation_without_a_metric_keeps_the_previous_one(trained, vaegan, get_error):
    assert vaegan("evaluate", trained, "--metrics", "psnr")[0] == 0
    before = (trained / "metrics.json").read_bytes()
    message = get_error("evaluate", trained, "--metrics", "confusion")
    assert message == f"evaluate.metrics: confusion: cannot be measured of {trained}; name others"
    assert (trained / "metrics.json").read_bytes() == before


def test_a_split_without_images(work, vaegan, get_error):
    assert vaegan("train", "tiny.yaml", "data.test=0")[0] == 0
    assert "--split test: the run keeps no image in it" in get_error("evaluate", "runs/tiny")


def test_an_autoencoder_has_no_prior(work, vaegan, get_error):
    assert vaegan("train", "tiny.yaml", "model.family=ae", "--output", "ae")[0] == 0
    assert "no prior to sample from; fit a density to its codes with --density gmm" in get_error("sample", "ae")
    assert vaegan("evaluate", "ae")[0] == 0


def test_invalid_densities(trained, vaegan, get_error, work):
    allowed = "allowed: gaussian | gmm | gmm:K, of K components"
    for name in ("", "gm", "gmm:", "gmm:0", "gmm:-1", "gmm:x", "gmm:10000", "gaussian:2", "kde"):
        assert get_error("sample", trained, "--density", name).endswith(f'evaluate.density: got "{name}"; {allowed}')
        assert get_error("evaluate", trained, "--density", name).endswith(f'evaluate.density: got "{name}"; {allowed}')
    few = "density: gmm:48: 48 training images are too few for 48; name fewer, as in gmm:2, or gaussian"
    assert get_error("sample", trained, "--density", "gmm:48") == few
    assert get_error("evaluate", trained, "--metrics", "sharpness", "--density", "gmm:48") == few
    grid = "evaluate.density: vqvae has no continuous code; leave it out: a pixelcnn draws the codes of a VQ-VAE"
    (work / "vq.yaml").write_text((work / "tiny.yaml").read_text().replace(CODES, "model: {family: vqvae, width: 8}"))
    assert grid in get_error("train", "vq.yaml", "evaluate.density=gaussian")
    assert vaegan("train", "vq.yaml", "--output", "vqvae")[0] == 0
    assert grid in get_error("sample", "vqvae", "--density", "gmm")
    assert grid in get_error("evaluate", "vqvae", "--density", "gmm")


def test_inputs_of_the_training_step_are_checked_before_images_are_read(work, trained, get_error, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(work / "none"))
    gone = "data={source: folder, image_size: 8, root: gone, count: null}"
    perceptual = ("model.family=vaegan", "model.perceptual=1")
    (work / "prior.yaml").write_text((work / "tiny.yaml").read_text().replace(CODES, "model: {family: pixelcnn}"))
    (work / "study.yaml").write_text(
        "{title: T, variants: {vae: {recipe: tiny.yaml}, other: {recipe: tiny.yaml, set: {model: {family: vaegan,"
        " perceptual: 1}}}}}"
    )
    for words in (["--dry-run"], [gone]):
        assert "vgg16-397923af.pth: there is no such file" in get_error("train", "tiny.yaml", *perceptual, *words)
        message = get_error("train", "prior.yaml", "prior.autoencoder=runs/tiny", *words)
        assert message == 'prior.autoencoder: runs/tiny/config.yaml: model.family is "vae"; name the run of a vqvae'
    assert "vgg16-397923af.pth: there is no such file" in get_error("compare", "study.yaml", gone, "--output", "study")
    assert not (work / "study").exists()
    assert "prior.autoencoder: got 3; allowed: path" in get_error("train", "prior.yaml", "prior={autoencoder: 3}")


def test_a_conditional_run_is_evaluated_on_the_same_classes_in_the_same_order(work, vaegan, get_error):
    for name in ("bird", "cat"):
        (work / "images" / name).mkdir(parents=True)
        for number in range(12):
            Image.effect_noise((8, 8), 40 + 90 * (name == "cat")).convert("RGB").save(
                work / f"images/{name}/{number}.png"
            )
    folder = "data={source: folder, image_size: 8, root: images, count: null, validation: 0.25, test: 0.25}"
    assert vaegan("train", "tiny.yaml", folder, "model.labels=2", "--output", "run")[0] == 0
    assert vaegan("evaluate", "run", "--metrics", "psnr")[0] == 0
    (work / "images/cat").rename(work / "images/ant")
    message = get_error("evaluate", "run", "--metrics", "psnr")
    assert message.startswith(
        "run: the images are not those that the run was trained on: 12 moved: cat/0.png -> ant/0.png, "
    )


def test_other_images_than_those_of_the_training(work, vaegan, get_error):
    """A copy of a training image beside the others, and the ways on."""
    (work / "images").mkdir()
    for number in range(24):
        Image.effect_noise((8, 8), 5 * number).convert("RGB").save(work / f"images/{number}.png")
    folder = "data={source: folder, image_size: 8, root: images, count: null, test: 0.25}"
    assert vaegan("train", "tiny.yaml", folder, "--output", "run")[0] == 0
    assert vaegan("evaluate", "run", "--metrics", "psnr")[0] == 0
    before = json.loads((work / "run/metrics.json").read_text())
    shutil.copy(work / "images/3.png", work / "images/000.png")
    for command in (("evaluate", "run"), ("sample", "run", "--density", "gaussian")):
        message = get_error(*command)
        assert "the images are not those that the run was trained on: 1 image more: 000.png; " in message
        assert vaegan(*command, "--allow-other-data")[0] == 0
    after = json.loads((work / "run/metrics.json").read_text())
    assert after["protocol"]["other_data"] == "1 image more: 000.png" and after["metrics"] != {}
    assert after["protocol"]["of"] == before["protocol"]["of"]
    (work / "images/000.png").unlink()
    (work / "images").rename(work / "moved")
    assert get_error("evaluate", "run").endswith("name their folder by --data-root")
    assert vaegan("evaluate", "run", "--metrics", "psnr", "--data-root", "moved")[0] == 0
    assert vaegan("sample", "run", "--density", "gaussian")[0] == 0, "the place is remembered"
    assert json.loads((work / "run/metrics.json").read_text())["metrics"] == before["metrics"]
    assert get_error("sample", "run", "--data-root", "moved").startswith("--data-root, --allow-other-data: samples of")


def test_a_density_without_the_training_images(work, vaegan, get_error):
    (work / "images").mkdir()
    for number in range(20):
        Image.new("RGB", (8, 8), (12 * number, 0, 9)).save(work / f"images/{number}.png")
    folder = "data={source: folder, image_size: 8, root: images}"
    assert vaegan("train", "tiny.yaml", folder, "data.count=null", "--output", "run")[0] == 0
    assert vaegan("sample", "run", "--density", "gaussian")[0] == 0
    shutil.rmtree(work / "images")
    message = get_error("sample", "run", "--density", "gaussian")
    assert message.startswith("--density gaussian: fitted to the images that run was trained on; data.root: ")
    assert "no such folder" in message
    assert vaegan("sample", "run")[0] == 0, "the prior needs none"


def test_images_that_cannot_be_read(trained, work, get_error):
    Path("broken.png").write_text("no picture")
    (work / "empty").mkdir()
    assert get_error("reconstruct", trained, "broken.png") == "broken.png: not an image"
    assert get_error("reconstruct", trained, "nowhere.png") == "nowhere.png: no such file or directory"
    assert "no image in it" in get_error("reconstruct", trained, "empty")
    Image.new("RGB", (8, 8)).save("good.png")
    assert "not an image" in get_error("interpolate", trained, "good.png", "broken.png")


@pytest.mark.parametrize(
    ("output", "expected"),
    [("x.foo", "let it end in .png or .jpg"), ("x", "let it end in .png"), ("folder.png", "a folder, not a file"),
     ("tiny.yaml/x.png", "tiny.yaml is a file, not a folder")],
)  # fmt: skip
def test_images_that_cannot_be_written(output, expected, work, get_error):
    (work / "folder.png").mkdir()
    assert expected in get_error("sample", "any", "-o", output)  # before the run is read
    assert expected in get_error("reconstruct", "any", "a.png", "-o", output)
    assert expected in get_error("interpolate", "any", "a.png", "b.png", "-o", output)


def test_folders_that_cannot_be_created(work, get_error):
    assert "tiny.yaml is a file" in get_error("train", "tiny.yaml", "--output", "tiny.yaml")
    assert "tiny.yaml is a file" in get_error("train", "tiny.yaml", "--output", "tiny.yaml/run")
    assert "tiny.yaml is a file" in get_error("compare", "quickstart", "--output", "tiny.yaml")
    assert get_error("train", "tiny.yaml", "--output", "/proc/run", code=1).startswith("/proc/run: ")


def test_a_device_is_no_picture_file(trained, get_error):
    Path("full.png").symlink_to("/dev/full")
    expected = "--output full.png: a pipe or a device, not a regular file; name another file"
    assert get_error("sample", trained, "-o", "full.png") == expected


def test_failures_end_with_one_line_and_exit_code_1(work, vaegan, get_error, monkeypatch):
    for error, expected in (
        (Failure("step 3: loss not finite"), "step 3: loss not finite"),
        (PermissionError(13, "Permission denied", "runs"), "runs: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (
            RuntimeError("CUDA out of memory. Tried\nmore"),
            "CUDA out of memory. Tried; a smaller train.micro_batch_size",
        ),
    ):
        monkeypatch.setattr("vaegan.trainers.train", make_failing_train(error))
        assert get_error("train", "tiny.yaml", code=1).startswith(expected)
    monkeypatch.setattr("vaegan.trainers.train", make_failing_train(KeyboardInterrupt()))
    code, _, err = vaegan("train", "tiny.yaml")
    assert (code, err) == (130, "vaegan: interrupted\n")
    monkeypatch.setattr("vaegan.trainers.train", make_failing_train(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        get_error("train", "tiny.yaml")


def test_other_ranks_leave_messages_to_rank_0(work, vaegan, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert vaegan("train", "digits/vea") == (2, "", "")
    assert vaegan("train", "tiny.yaml", "--outputt", "x") == (2, "", "")
    assert vaegan("frob") == (2, "", "")
    assert vaegan("train", "tiny.yaml", "--dry-run") == (0, "", "")
    monkeypatch.setattr("vaegan.trainers.train", make_failing_train(Failure("lost")))
    assert vaegan("train", "tiny.yaml") == (1, "", "[rank 1] vaegan: lost\n")
