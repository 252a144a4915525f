"""The loop as a whole: what it leaves behind, how it stops, and that a stop and a resume change nothing."""

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from vaegan.data import Data
from vaegan.errors import UserError
from vaegan.storage.run_folder import Run
from vaegan.trainers import loop, train
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.loop import clip_gradients
from vaegan.trainers.state import build_state
from vaegan.trainers.steps import build_step

from ..tiny import ADVERSARIES, FAMILIES, PATCHES, are_bit_identical, flatten, get_network_names, load_newest, tiny

ALWAYS = {
    "gradient/autoencoder", "learning_rate/autoencoder", "loss/reconstruction", "reconstruction/mse", "updates",
}  # fmt: skip
SHOWN = {"ae": ["reconstruction"], "vqvae": ["reconstruction"], "classifier": []}
"""The pictures of the families that have not both."""
COMMON = ALWAYS | {"gap/mmd2", "gap/frechet"}
LOGGED = {
    "classifier": {"gradient/classifier", "learning_rate/classifier", "loss/cross_entropy", "accuracy", "updates"},
    "ae": ALWAYS,
    "pixelcnn": {"gradient/prior", "learning_rate/prior", "loss/prior", "updates"},
    "flow": {"gradient/prior", "learning_rate/prior", "loss/velocity", "updates"},
    "vqvae": ALWAYS | {"loss/commitment", "codebook/perplexity", "codebook/usage"},
    "vae": COMMON | {"loss/kl", "loss/negative_elbo"},
    "vaegan3": COMMON | {
        "loss/kl", "loss/negative_elbo", "loss/adversarial", "loss/similarity", "loss/discriminator", "loss/r1",
        "gradient/discriminator", "learning_rate/discriminator", "discriminator/confusion", "discriminator/accuracy",
    },
}  # fmt: skip
LOGGED["vaegan2"] = LOGGED["vaegan3"]
LOGGED |= {f"{name}-grid": LOGGED[name] for name in ("vae", "vaegan3", "flow")} | {"vaegan1-grid": LOGGED["vaegan3"]}
LOGGED["larsen"] = LOGGED["vaegan3"] - {"loss/r1", "loss/negative_elbo", "loss/reconstruction"}
LOGGED["ganvae"] = LOGGED["vaegan3"] - COMMON - {"loss/kl", "loss/negative_elbo", "loss/similarity"} | {
    "gradient/autoencoder", "learning_rate/autoencoder", "loss/cycle", "updates",
}  # fmt: skip


def read_history(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.history_file.read_text().splitlines()]


def flatten_numbers(value: object) -> list[float]:
    return [number for each in value for number in flatten_numbers(each)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_leaves_what_the_design_says(name: str, tmp_path: Path, data: Data) -> None:
    config = tiny(name, "train.checkpoint_every=2", "train.sample_every=3", "train.evaluate_every=4")
    run = train(config, tmp_path / "new" / name, data, evaluator=lambda model, data, progress: {"psnr": 12.5})
    steps = [f"step_{step:08d}" for step in (4, 5)]
    shown = SHOWN.get(name, ["reconstruction", "sample"])
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    tensors = ["average", *get_network_names(name), *(f"{network}.optimizer" for network in get_network_names(name))]
    assert files == (
        {".lock", "config.yaml", "members.jsonl", "history.jsonl", "timing.jsonl"}
        | {"model/model.safetensors", "model/config.json"}
        | {f"checkpoints/{step}/{tensor}.safetensors" for step in steps for tensor in tensors}
        | {f"checkpoints/{step}/{file}.json" for step in steps for file in ("state", "sha256")}
        | {f"samples/step_{step:08d}_{what}.png" for step in (3, 5) for what in shown}
    )
    assert run.config == config and run.finished
    lines = read_history(run)
    assert [line["step"] for line in lines] == [1, 2, 4, 4, 5]  # the evaluation has its own line
    assert lines[3] == {"step": 4, "validation/psnr": 12.5}
    for line in (lines[0], lines[1], lines[2], lines[4]):
        assert line.keys() == LOGGED[name] | {"step"} or line.keys() == LOGGED[name] - {"loss/r1"} | {"step"}
        assert all(isinstance(each, int | float) for value in line.values() for each in flatten_numbers(value))
    if name in ADVERSARIES:
        kinds = 2 if name in ("ganvae", "vaegan1-grid") else 3
        seen = 8.0 * (16 if name in PATCHES else 1)  # images, or patches, of a step
        assert [torch.tensor(line["discriminator/confusion"]).sum(1).tolist() for line in lines if len(line) > 2] == [
            [seen] * kinds, [seen] * kinds, [2 * seen] * kinds, [seen] * kinds
        ]  # fmt: skip
    timing = [json.loads(line) for line in run.timing_file.read_text().splitlines()]
    assert [line["step"] for line in timing] == [1, 2, 4, 5]
    for line, images in zip(timing, (8, 8, 16, 8), strict=True):
        assert line["images_per_second"] * line["seconds"] == pytest.approx(images)
        assert line["memory_bytes"] > 1e6
    assert run.samples.exists() == bool(shown)
    for path in run.samples.glob("*"):
        assert Image.open(path).width == 8 * 66 + 2
    with pytest.raises(UserError, match="holds a run already; go on with --resume"):
        train(config, run.path, data)


def test_clipping_bounds_the_norm_of_each_network_and_reports_it_unclipped() -> None:
    config, accelerator = tiny("vaegan3", "train.clip_norm=0.5"), make_accelerator(tiny("vae").train)
    state = build_state(config, build_step(config), accelerator)
    for network, value in zip(state.networks.values(), (1.0, 1e-5), strict=True):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, value)
    autoencoder, discriminator = clip_gradients(config.train, state).tolist()
    assert autoencoder > 10 and discriminator < 0.1
    gradients = [torch.cat([p.grad.flatten() for p in network.parameters()]) for network in state.networks.values()]
    assert gradients[0].norm().item() == pytest.approx(0.5, rel=1e-5)
    assert (gradients[1] == 1e-5).all()


def test_a_step_uses_the_adaptive_state_of_the_steps_before(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan3", "model.adversarial.adaptive=[3,3]", "train.log_every=1", "train.steps=3")
    weights = [line["weight/adversarial"] for line in read_history(train(config, tmp_path / "run", data))]
    assert weights == pytest.approx([0.7, 2.1, 2.1])


def test_a_bfloat16_training_keeps_float32_weights(tmp_path: Path, data: Data) -> None:
    coarse = flatten(load_newest(train(tiny("vaegan3", "train.precision=bf16"), tmp_path / "coarse", data).path))
    fine = flatten(load_newest(train(tiny("vaegan3"), tmp_path / "fine", data).path))
    assert all(value.dtype == torch.float32 for value in coarse.values())
    assert not are_bit_identical(coarse, fine)


def test_learning_rates_follow_their_schedule(tmp_path: Path, data: Data) -> None:
    def read_rates(*words: str) -> list[float]:
        config = tiny("vae", "train.steps=8", "train.log_every=1", "train.learning_rate=1", *words)
        run = train(config, tmp_path / str(len(list(tmp_path.iterdir()))), data)
        lines = map(json.loads, run.history_file.read_text().splitlines())
        return [line["learning_rate/autoencoder"] for line in lines if "learning_rate/autoencoder" in line]

    assert read_rates() == [1.0] * 8
    warm = [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert read_rates("train.warmup_steps=4") == warm
    assert read_rates("train.warmup_steps=20")[-1] == 8 / 20
    half = [0.5 + 0.5 * math.cos(math.pi * step / 8) for step in range(8)]
    cosine = "train.learning_rate={start: 1, end: 0}"
    assert read_rates(cosine) == pytest.approx(half)
    assert read_rates(cosine, "train.warmup_steps=4") == pytest.approx([a * b for a, b in zip(warm, half, strict=True)])


def test_a_caller_may_have_switched_gradients_off(tmp_path: Path, data: Data) -> None:
    config = tiny("vae", "train.steps=2")
    expected = train(config, tmp_path / "on", data)
    with torch.no_grad():
        run = train(config, tmp_path / "off", data)
        assert not torch.is_grad_enabled()
    assert are_bit_identical(flatten(load_newest(run.path)), flatten(load_newest(expected.path)))


def test_cudnn_may_choose_its_algorithms_during_a_training_alone(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def fail(*_: object) -> None:
        seen.append(torch.backends.cudnn.benchmark)
        raise KeyError

    monkeypatch.setattr(loop, "compute_gradients", fail)
    with pytest.raises(KeyError):
        train(tiny("vae"), tmp_path / "run", data)
    assert seen == [True] and not torch.backends.cudnn.benchmark
