"""A model goes to diffusers and comes back, the same."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vaegan.code_scale import BATCH_IMAGES, measure_code_scale
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.randomness import draw_normal
from vaegan.storage.diffusers_folder import export_to_diffusers
from vaegan.storage.loading import load
from vaegan.storage.run_folder import read_description
from vaegan.trainers import train

from ...tiny import DIFFUSERS, tiny, tiny_diffusers
from ..exports.card_blocks import run_card

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of an AutoencoderKL."""
    config = tiny_diffusers("vae")
    return train(config, tmp_path_factory.mktemp("diffusers") / "run", open_data(config.data)).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "kl"))


@pytest.mark.parametrize("name", DIFFUSERS)
def test_diffusers_opens_what_is_exported(name: str, tmp_path: Path) -> None:
    config = tiny_diffusers("vae" if name.endswith("KL") else "ae", name, "train.steps=2")
    run = train(config, tmp_path / "run", open_data(config.data))
    settings = export_to_diffusers(run.path, tmp_path / "out")
    opened, loading = getattr(diffusers, name).from_pretrained(
        tmp_path / "out", output_loading_info=True, local_files_only=True, low_cpu_mem_usage=False
    )
    assert not any(loading.values())
    scale = read_description(run.model_folder).code_scale
    assert scale is not None and opened.config.scaling_factor == 1 / scale.std == settings["scaling_factor"]
    assert getattr(opened.config, "shift_factor", scale.mean) == scale.mean
    ours, images = load(run.path).double(), draw_normal((3, 1, 8, 8), 0, "images").tanh().double()
    opened = opened.double()
    tolerance = 1e-12 if name != "AutoencoderDC" else 1e-6  # whose norms are computed in float32
    with torch.no_grad():
        mean = ours.encode(images).mean.view(-1, *ours.code_shape)
        encoded = opened.encode(images)
        theirs = encoded.latent_dist.mean if name.endswith("KL") else encoded[0]
        assert torch.allclose(mean, theirs, rtol=0, atol=tolerance)
        decoded = opened.decode(mean)[0]
        assert torch.allclose(ours.decode(mean.flatten(1)), decoded, rtol=0, atol=tolerance) and decoded.std() > 0.01


def test_the_scale_is_that_of_sampled_codes(trained: Path) -> None:
    config, model = tiny_diffusers("vae"), load(trained)
    images = open_data(config.data).train
    positions = images.select_evenly(1024)
    posterior = model.encode(to_float(images[positions], torch.float32))
    noise = torch.stack([draw_normal((model.code_size,), config.seed, "code scale", i) for i in range(len(positions))])
    codes = posterior.sample(noise).double()
    scale = read_description(trained / "model").code_scale
    assert scale is not None and scale.images == len(positions) > BATCH_IMAGES
    assert math.isclose(scale.mean, codes.mean(), abs_tol=1e-7) and math.isclose(scale.std, codes.std(), rel_tol=1e-6)
    assert codes.std() > 1.05 * posterior.mean.double().std()  # not that of the means
    assert measure_code_scale(model, images, config.seed) == scale


def test_codes_without_a_scale_have_none(trained: Path) -> None:
    model = load(trained)
    images = open_data(tiny_diffusers("vae").data).train
    for weight in model.encoder.parameters():
        weight.data.fill_(torch.inf)
    assert measure_code_scale(model, images, 0) is None


@pytest.mark.parametrize("name", ["vae-grid", "vae"])
def test_other_models_are_refused(name: str, tmp_path: Path) -> None:
    config = tiny(name, "train.steps=1")
    run = train(config, tmp_path / "run", open_data(config.data))
    with pytest.raises(UserError, match=r"no class for its networks; export it with --format onnx"):
        export_to_diffusers(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (read_description(run.model_folder).code_scale is None) == (name == "vae")


def test_a_folder_of_diffusers_is_not_taken_for_a_run(run: Path, tmp_path: Path) -> None:
    export_to_diffusers(run, tmp_path / "out")
    with pytest.raises(UserError, match=r"out: of diffusers, and no run; train\.init starts a run from it$"):
        export_to_diffusers(tmp_path / "out", tmp_path / "again")


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    file = run / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"code_scale": None}))
    with pytest.raises(UserError, match="finish it"):
        export_to_diffusers(run, tmp_path / "out")


def test_the_command_writes_the_folder_and_replaces_no_other_files(
    run: Path, tmp_path: Path, vaegan: Callable[..., tuple[int, str, str]], get_error: Callable[..., str]
) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # the second replaces the first
        code, said, notes = vaegan("export", run, "--format", "diffusers", "-o", out, "--license", "mit")
        assert (code, notes) == (0, "") and "diffusers.AutoencoderKL.from_pretrained" in said
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    assert run_card(out)["model"].config.latent_channels == 4
    settings = json.loads((out / "config.json").read_text())
    assert (settings["_class_name"], settings["in_channels"], settings["out_channels"]) == ("AutoencoderKL", 1, 1)
    assert settings["sample_size"] == 8 and "_diffusers_version" in settings
    assert "\nlicense: mit\n" in f"\n{(out / 'README.md').read_text()}"
    assert "allowed: diffusers" in get_error("export", run, "--format", "tf", "-o", out)
    assert "holds other files" in get_error("export", run, "-o", run)
