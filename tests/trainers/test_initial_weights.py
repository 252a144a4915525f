"""A training starts from the weights that `train.init` names, whole and nothing else, and then needs them no more."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.config.schema import Config
from vaegan.data import open_data
from vaegan.errors import Failure, UserError
from vaegan.io import hash_file, load_tensors, save_tensors
from vaegan.networks.build import build_discriminator
from vaegan.progress import Reporter
from vaegan.storage.diffusers_folder import export_to_diffusers
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import are_bit_identical, flatten, load_newest, tiny, tiny_diffusers

WEIGHTS, INDEX = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json"
STILL = ("train.steps=1", "train.learning_rate=1e-300")
"""Overrides of a training whose weights stay those that it starts from."""


class Notes(Reporter):
    """The notes of a training."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def donor(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished VAE, whose averaged weights are not its last ones."""
    config = tiny("vae", "train.steps=3", "model.learned_scale=true")
    return train(config, tmp_path_factory.mktemp("donor") / "run", open_data(config.data))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of diffusers."""
    pytest.importorskip("diffusers")
    config, folder = tiny_diffusers("vae", "AutoencoderKL", "seed=9", *STILL), tmp_path_factory.mktemp("kl")
    export_to_diffusers(train(config, folder / "run", open_data(config.data)).path, folder / "out")
    return folder / "out"


@pytest.fixture
def kl(exported: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(exported, tmp_path / "kl"))


def start(config: Config, folder: Path) -> dict[str, Tensor]:
    """Train a config of `STILL`, and return the weights of its networks."""
    run = train(config, folder, open_data(config.data))
    return flatten(load_newest(run.path))


def rename(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Change the weights of a folder of diffusers."""
    weights = change({name: value.clone() for name, value in load_tensors(folder / WEIGHTS).items()})
    save_tensors(weights, folder / WEIGHTS)


def test_the_parts_of_a_run_are_taken_and_the_discriminator_starts_anew(donor: Run, tmp_path: Path) -> None:
    config, notes = tiny("vaegan3", f"train.init={donor.path}", *STILL), Notes()
    run = train(config, tmp_path / "run", open_data(config.data), reporter=notes)
    tensors, averaged = flatten(load_newest(run.path)), load(donor.path).state_dict()
    last = load_newest(donor.path).tensors["autoencoder"]
    taken = [name for name in averaged if name.startswith(("encoder.", "decoder."))]
    assert len(taken) == len(averaged) - 1  # all but the scale of the donor's p(x | z)
    for place in ("autoencoder", "average"):
        assert all(torch.equal(tensors[f"{place}/{name}"], averaged[name]) for name in taken)
    assert not any(torch.equal(last[name], averaged[name]) for name in taken)
    drawn = build_discriminator(config.model, config.data.image_shape, config.seed).state_dict()
    assert all(torch.equal(tensors[f"discriminator/{name}"], value) for name, value in drawn.items())
    digest = hash_file(donor.model_folder / "model.safetensors")
    assert run.config.train.init_sha256 == {"model.safetensors": digest}
    (note,) = [line for line in notes.lines if "train.init" in line]
    assert "took encoder (" in note and "decoder (" in note and digest[:12] in note


def test_a_resumed_run_needs_the_folder_no_more(donor: Run, tmp_path: Path) -> None:
    source = Path(shutil.copytree(donor.path, tmp_path / "source"))
    config, half = (tiny("vaegan2", f"train.init={source}", f"train.steps={steps}") for steps in (4, 2))
    data = open_data(config.data)
    whole = train(config, tmp_path / "whole", data)
    train(half, tmp_path / "half", data)
    shutil.rmtree(source)
    (tmp_path / "half").rename(tmp_path / "moved")
    other = tiny("vaegan2", "train.init=elsewhere", "train.steps=4")  # a path says nothing about the weights
    resumed = train(other, tmp_path / "moved", data, resume=True, extend=True)
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(resumed.path)))
    assert resumed.config.train.init_sha256 == whole.config.train.init_sha256 is not None
    with pytest.raises(UserError, match=r"train\.init"):
        train(tiny("vaegan2", "train.steps=4"), tmp_path / "moved", data, resume=True)
    drawn = train(tiny("vaegan2", "train.steps=1"), tmp_path / "drawn", data)
    with pytest.raises(UserError, match=r"train\.init: absent -> .given"):
        train(tiny("vaegan2", "train.steps=1", "train.init=elsewhere"), drawn.path, data, resume=True)


def test_recorded_files_are_asked_for_again(donor: Run, tmp_path: Path) -> None:
    words = (f"train.init={donor.path}", f"train.init_sha256={{model.safetensors: {'0' * 64}}}")
    config = tiny("vae", *words, *STILL)
    with pytest.raises(UserError, match=r"its files are not those of train\.init_sha256"):
        train(config, tmp_path / "run", open_data(config.data))
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize("form", ["one file", "two files", "earlier names", "half precision", "the Hub"])
def test_a_folder_of_diffusers_is_taken(form: str, kl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, place, cast = load_tensors(kl / WEIGHTS), str(kl), torch.float32
    weights = {name: value.clone() for name, value in weights.items()}
    match form:
        case "two files":
            (kl / WEIGHTS).unlink()
            names = {name: f"part-{index % 2 + 1}-of-2.safetensors" for index, name in enumerate(weights)}
            for file in set(names.values()):
                save_tensors({name: weights[name] for name in names if names[name] == file}, kl / file)
            (kl / INDEX).write_text(json.dumps({"weight_map": names}))
        case "earlier names":
            pairs = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

            def age(name: str) -> str:
                for now, before in pairs.items():
                    name = name.replace(now, before)
                return name

            rename(kl, lambda tensors: {age(name): value for name, value in tensors.items()})
            assert any(".query." in name for name in load_tensors(kl / WEIGHTS))
        case "half precision":
            cast = torch.float16
            rename(kl, lambda tensors: {name: value.half() for name, value in tensors.items()})
        case "the Hub":
            place = "hf://owner/name/vae"
            (tmp_path / "cache").mkdir()
            kl.rename(tmp_path / "cache" / "vae")
            fetched = []

            def fetch(name: str, revision: str | None, allow_patterns: list[str]) -> str:
                fetched.append((name, allow_patterns[:2]))
                return str(tmp_path / "cache")

            monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    tensors = start(tiny_diffusers("vaegan", "AutoencoderKL", f"train.init={place}", *STILL), tmp_path / "run")
    for name, value in weights.items():
        part = "decoder" if name.startswith(("decoder.", "post_quant_conv.")) else "encoder"
        assert torch.equal(tensors[f"autoencoder/{part}.{name}"], value.to(cast).float())
    if form == "the Hub":
        assert ("owner/name", ["vae/config.json", f"vae/{WEIGHTS}"]) in fetched
    if form == "two files":
        recorded = Run(tmp_path / "run").config.train.init_sha256
        files = sorted(kl.glob("part-*"))
        assert recorded == {file.name: hash_file(file) for file in files} and len(files) == 2


def edit_config(folder: Path, **settings: object) -> None:
    """Change settings of the `config.json` of a folder of diffusers."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such folder"),
    "neither": (lambda folder: (folder / "config.json").unlink(), "neither a run nor a folder of diffusers; name one"),
    "no weights": (lambda folder: (folder / WEIGHTS).rename(folder / "model.bin"), "other formats are not read"),
    "torn": (lambda folder: (folder / WEIGHTS).write_bytes(b"torn"), "eader"),
    "missing": (
        lambda folder: rename(folder, lambda t: {k: v for k, v in t.items() if k != "quant_conv.bias"}),
        "quant_conv.bias is missing",
    ),
    "too many": (
        lambda folder: rename(folder, lambda t: t | {"loss.logvar": torch.ones(1)}),
        "loss.logvar is no weight",
    ),
    "another shape": (
        lambda folder: rename(folder, lambda t: t | {"decoder.conv_in.bias": torch.ones(3)}),
        "decoder.conv_in.bias has shape (3,), and (8,) here",
    ),
    "infinite": (
        lambda folder: rename(folder, lambda t: t | {"encoder.conv_in.bias": torch.full((8,), torch.inf)}),
        "encoder.conv_in.bias holds values that are not finite",
    ),
    "another function": (lambda folder: edit_config(folder, act_fn="relu"), 'act_fn is "relu" there'),
    "another class": (
        lambda folder: edit_config(folder, _class_name="AutoencoderTiny"),
        "_class_name is AutoencoderKL",
    ),
    "a path in the index": (
        lambda folder: (
            (folder / INDEX).write_text(json.dumps({"weight_map": {"a": f"../kl/{WEIGHTS}"}})),
            (folder / WEIGHTS).rename(folder / "x.safetensors"),
        ),
        "is no file of weights in the folder",
    ),
}
"""Damages of a folder of diffusers, and words of the line that names each."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_other_weights_are_refused_in_a_line(damage: str, kl: Path, tmp_path: Path) -> None:
    change, words = DAMAGES[damage]
    change(kl)
    config = tiny_diffusers("vae", "AutoencoderKL", f"train.init={kl}", *STILL)
    with pytest.raises(UserError) as raised:
        train(config, tmp_path / "run", open_data(config.data))
    message = str(raised.value)
    assert message.startswith(f"train.init: {kl}: ") and words in message and "\n" not in message
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_model_of_other_networks_is_refused(kl: Path, donor: Run, tmp_path: Path) -> None:
    for config, words in (
        (tiny("vae", f"train.init={kl}", *STILL), "take model.network=diffusers"),
        (tiny("vae", f"train.init={donor.path}", "model.width=16", *STILL), "has shape"),
        (tiny("ae", f"train.init={donor.path}", *STILL), "encoder.head.weight has shape"),
        (tiny("vae", f"train.init={tmp_path}", *STILL), "neither a run nor a folder of diffusers"),
    ):
        with pytest.raises(UserError, match=words):
            train(config, tmp_path / "run", open_data(config.data))


def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    config = tiny("vae", "train.init=hf://owner/name", *STILL)
    with pytest.raises(Failure, match=r"train\.init: hf://owner/name: cannot be fetched .*; give a folder"):
        train(config, tmp_path / "run", open_data(config.data))


def test_a_part_that_is_frozen_with_random_weights_is_said(kl: Path, tmp_path: Path) -> None:
    notes = Notes()
    for number, words in enumerate(([], [f"train.init={kl}"])):
        config = tiny_diffusers("vae", "AutoencoderKL", "train.steps=1", "train.freeze=[encoder]", *words)
        train(config, tmp_path / str(number), open_data(config.data), reporter=notes)
    assert [line for line in notes.lines if "random" in line] == [
        "train.freeze: the encoder is frozen with random weights; train.init gives it trained ones"
    ]
