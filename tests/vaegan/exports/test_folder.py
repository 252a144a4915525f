"""The folder of an export: its description, its weights, and what is not written into it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import vaegan
from vaegan.config.schema import Config
from vaegan.errors import Failure, UserError
from vaegan.exports import folder as module
from vaegan.exports import formats
from vaegan.exports.card import CardOptions
from vaegan.exports.folder import export_model
from vaegan.exports.formats import FORMATS
from vaegan.io import hash_file
from vaegan.models import PixelCNN, build_model
from vaegan.networks.given import add_networks
from vaegan.storage.loading import load, load_weights_hash
from vaegan.storage.run_folder import Run

from ...own_networks import OwnDecoder, OwnEncoder
from ...tiny import tiny
from .card_blocks import run_card
from .configs import CONFIGS

MakeRun = Callable[[Config], Path]


@pytest.mark.parametrize(
    "name", ["ae", "vae", "vaegan3-grid", "vqvae", pytest.param("pixelcnn", marks=pytest.mark.long)]
)
def test_files_of_weights_hold_those_of_the_model_under_plain_names(
    name: str, make_run: MakeRun, tmp_path: Path
) -> None:
    run, out = make_run(CONFIGS[name]()), tmp_path / "out"
    export_model(run, out, "safetensors", CardOptions())
    model = load(run).float()
    vqvae = model.autoencoder if isinstance(model, PixelCNN) else model
    for part in ("encoder", "decoder"):
        tensors, network = load_file(out / f"{part}.safetensors"), vqvae.get_submodule(part)
        codebook = tensors.pop("codebook", None)
        assert (codebook is None) == (not hasattr(vqvae, "codebook"))
        for weight in network.parameters():
            weight.fill_(0)
        network.load_state_dict(tensors)
        before = load(run).float().state_dict()
        prefix = f"{'autoencoder.' * (vqvae is not model)}{part}."
        assert all(torch.equal(value, before[prefix + key]) for key, value in tensors.items())
        assert all(value.dtype == torch.float32 for value in tensors.values())
        if codebook is not None:
            indices = torch.arange(4).view(1, 2, 2)
            assert torch.allclose(codebook[:4].T, vqvae.embed(indices).view(-1, 4), rtol=0, atol=1e-7)
        with safe_open(out / f"{part}.safetensors", "pt") as file:
            texts = file.metadata()
        assert (texts["part"], texts["weights_sha256"]) == (part, load_weights_hash(run))


def test_the_description_says_what_a_program_needs(make_run: MakeRun, tmp_path: Path) -> None:
    run, out = make_run(CONFIGS["vae"]()), tmp_path / "out"
    export_model(run, out, "safetensors", CardOptions())
    text = (out / "description.json").read_text()
    described = json.loads(text)
    assert tmp_path.name not in text
    assert described["weights_sha256"] == load_weights_hash(run) and described["steps"] == 5
    assert described["pixels"]["range"] == [-1, 1] and described["classes"][3] == "three"
    assert set(described["versions"]) == {"vaegan", "torch"}
    inputs = {name: [each["name"] for each in part["inputs"]] for name, part in described["parts"].items()}
    assert inputs == {"encoder": ["images", "labels"], "decoder": ["codes", "labels"]}
    assert all(part["sha256"] == hash_file(out / part["file"]) for part in described["parts"].values())
    assert run_card(out)["decoder"].keys() == load_file(out / "decoder.safetensors").keys()


def test_a_part_that_differs_is_not_written(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out, real = make_run(tiny("vae")), tmp_path / "out", FORMATS["safetensors"]
    export_model(run, out, "safetensors", CardOptions())
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def read_wrongly(part: Any, file: Path) -> Any:
        read = real.read(part, file)
        return lambda *inputs: tuple(output * 1.00002 for output in read(*inputs))

    monkeypatch.setattr(module, "FORMATS", {"safetensors": real._replace(read=read_wrongly)})
    with pytest.raises(Failure, match=r"--format safetensors: encoder.safetensors differs from the model by 2e-05"):
        export_model(run, out, "safetensors", CardOptions())
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def test_a_users_own_modules_are_exported_from_python(tmp_path: Path) -> None:
    own = {"encoder": OwnEncoder(None), "decoder": OwnDecoder(None)}
    config = add_networks(tiny("vae"), own)
    run = Run(tmp_path / "run")
    run.write_config(config)
    model = build_model(config.model, config.data.image_shape, 0, own)
    run.export(model, 5, networks=config.networks)
    out = vaegan.export_run(run, output=tmp_path / "out", format="torch", networks=own)
    codes = torch.linspace(-1, 1, 8).view(2, 4)
    found = torch.export.load(out / "decoder.pt2").module()(codes)
    assert torch.allclose(model.eval().decode(codes), found, rtol=0, atol=1e-5)
    with pytest.raises(UserError, match=r"trained with given modules; give them in Python"):
        export_model(run.path, tmp_path / "again", "onnx", CardOptions())


def test_modules_that_cannot_be_followed_are_refused_in_one_line(tmp_path: Path) -> None:
    class Wayward(OwnEncoder):
        def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
            return super().forward(images) * (2.0 if images.mean() > 0 else 1.0)

    own = {"encoder": Wayward(None)}
    config = add_networks(tiny("vae"), own)
    run = Run(tmp_path / "run")
    run.write_config(config)
    run.export(build_model(config.model, config.data.image_shape, 0, own), 5, networks=config.networks)
    with pytest.raises(
        UserError, match=r"^encoder: torch\.export cannot follow its network .*take format=?.safetensors"
    ):
        vaegan.export_run(run, output=tmp_path / "out", format="torch", networks=own)
    assert not (tmp_path / "out").exists()
    vaegan.export_run(run, output=tmp_path / "out", format="safetensors", networks=own)


def test_the_command_writes_a_folder_and_replaces_no_other_files(
    make_run: MakeRun, tmp_path: Path, vaegan: Callable[..., tuple[int, str, str]], get_error: Callable[..., str]
) -> None:
    run, out = make_run(tiny("vae")), tmp_path / "out"
    for _ in range(2):  # the second replaces the first
        code, said, notes = vaegan("export", run, "--format", "torch", "-o", out)
        assert (code, notes) == (0, "")
        assert f"{out}/encoder.pt2: images -> mean, log_variance\n{out}/decoder.pt2: codes -> images\n" in said
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "decoder.pt2",
        "description.json",
        "encoder.pt2",
    ]
    problem = "holds other files, such as decoder.pt2; name an empty or a new folder"
    assert get_error("export", run, "--format", "safetensors", "-o", out) == f"--output {out}: {problem}"
    formats = "diffusers, onnx, torch, safetensors"
    assert get_error("export", run, "--format", "tf", "-o", out) == f"--format tf: no such format; allowed: {formats}"


def test_a_file_is_no_folder(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match=r"^output .*out: a file, not a folder; name a new folder$"):
        vaegan.export_run(make_run(tiny("ae")), output=tmp_path / "out")


def test_weights_that_onnx_cannot_hold_are_refused(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "MAX_ONNX_BYTES", 100)
    with pytest.raises(
        UserError, match=r"^encoder: .* GiB of weights, and a file of ONNX holds 2; take --format torch"
    ):
        export_model(make_run(tiny("vae")), tmp_path / "out", "onnx", CardOptions())
    assert not (tmp_path / "out").exists()


def test_a_classifier_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tiny("classifier"))
    with pytest.raises(UserError, match=r"a Classifier has neither encoder nor decoder; export the run of an auto"):
        export_model(run, tmp_path / "out", "onnx", CardOptions())
