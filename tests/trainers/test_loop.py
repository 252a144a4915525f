"""The loop as a whole: what it leaves behind, how it stops, and that a stop and a resume change nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from vaegan.config import dump
from vaegan.data import Data, open_data
from vaegan.errors import Failure, Mistake
from vaegan.runs import Run
from vaegan.trainers import train
from vaegan.trainers.base import FAMILIES as FAMILY_OF
from vaegan.trainers.base import gradient_norms
from vaegan.trainers.interrupt import Interrupts
from vaegan.trainers.meter import Meter
from vaegan.trainers.processes import arithmetic, make_accelerator, share
from vaegan.trainers.state import build_state, restore
from vaegan.trainers.step import Report

from ..tiny import EVERYTHING, FAMILIES, flat, last, same_bits, tiny

COMMON = {"gap/mmd2", "gap/frechet", "gradient/autoencoder", "learning_rate/autoencoder", "loss/reconstruction"}
LOGGED = {
    "ae": {"gradient/autoencoder", "learning_rate/autoencoder", "loss/reconstruction"},
    "vae": COMMON | {"loss/kl", "loss/negative_elbo"},
    "vaegan3": COMMON | {
        "loss/kl", "loss/negative_elbo", "loss/adversarial", "loss/similarity", "loss/discriminator", "loss/r1",
        "gradient/discriminator", "learning_rate/discriminator", "discriminator/confusion", "discriminator/accuracy",
    },
}  # fmt: skip
LOGGED["vaegan2"] = LOGGED["vaegan3"]


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("vae").data)


def history(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.history_file.read_text().splitlines()]


def numbers(value: object) -> list[float]:
    return [number for each in value for number in numbers(each)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_leaves_what_the_design_says(name: str, tmp_path: Path, data: Data) -> None:
    config = tiny(name, "train.checkpoint_every=2", "train.sample_every=3", "train.evaluate_every=4")
    run = train(config, tmp_path / "new" / name, data, evaluator=lambda model, data: {"psnr": 12.5})
    steps = [f"step_{step:08d}" for step in (4, 5)]
    shown = ["reconstruction"] + ["sample"] * (name != "ae")
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    networks = ["autoencoder"] + ["discriminator"] * name.startswith("vaegan")
    tensors = ["average", *networks, *(f"{network}.optimizer" for network in networks)]
    assert files == (
        {"config.yaml", "history.jsonl", "timing.jsonl", "model/model.safetensors", "model/config.json"}
        | {f"checkpoints/{step}/{tensor}.safetensors" for step in steps for tensor in tensors}
        | {f"checkpoints/{step}/{file}.json" for step in steps for file in ("state", "sha256")}
        | {f"samples/step_{step:08d}_{what}.png" for step in (3, 5) for what in shown}
    )
    assert run.config == config and run.finished
    lines = history(run)
    assert [line["step"] for line in lines] == [1, 2, 4, 4, 5]  # the evaluation has its own line
    assert lines[3] == {"step": 4, "validation/psnr": 12.5}
    for line in (lines[0], lines[1], lines[2], lines[4]):
        assert line.keys() == LOGGED[name] | {"step"} or line.keys() == LOGGED[name] - {"loss/r1"} | {"step"}
        assert all(isinstance(each, int | float) for value in line.values() for each in numbers(value))
    if name.startswith("vaegan"):
        assert [torch.tensor(line["discriminator/confusion"]).sum(1).tolist() for line in lines if len(line) > 2] == [
            [8.0] * 3, [8.0] * 3, [16.0] * 3, [8.0] * 3
        ]  # fmt: skip
    timing = [json.loads(line) for line in run.timing_file.read_text().splitlines()]
    assert [line["step"] for line in timing] == [1, 2, 4, 5]
    for line, images in zip(timing, (8, 8, 16, 8), strict=True):
        assert line["images_per_second"] * line["seconds"] == pytest.approx(images)
        assert line["memory_bytes"] > 1e6
    for path in run.samples.iterdir():
        assert Image.open(path).width == 8 * 66 + 2
    with pytest.raises(Mistake, match="holds a run already; go on with --resume"):
        train(config, run.path, data)


def test_lines_are_means_over_their_interval(tmp_path: Path, data: Data) -> None:
    words = ("train.steps=6", "train.batch_size=4", "train.micro_batch_size=2")
    single = history(train(tiny("vaegan3", *words, "train.log_every=1"), tmp_path / "single", data))
    grouped = history(train(tiny("vaegan3", *words, "train.log_every=5"), tmp_path / "grouped", data))
    assert [line["step"] for line in grouped] == [1, 5, 6]
    middle, means = single[1:5], grouped[1]
    for key in ("loss/reconstruction", "loss/kl", "loss/negative_elbo", "loss/adversarial", "loss/discriminator"):
        assert means[key] == pytest.approx(sum(line[key] for line in middle) / 4, rel=1e-12)
    penalties = [line["loss/r1"] for line in middle if "loss/r1" in line]
    assert len(penalties) == 2  # every other step has one
    assert means["loss/r1"] == pytest.approx(sum(penalties) / 2, rel=1e-12)
    counts = sum(torch.tensor(line["discriminator/confusion"]) for line in middle)
    assert torch.equal(torch.tensor(means["discriminator/confusion"]), counts)
    accuracy = (counts.diagonal() / counts.sum(1)).mean().item()
    assert means["discriminator/accuracy"] == pytest.approx(accuracy)
    for key in ("gap/mmd2", "gradient/autoencoder", "learning_rate/autoencoder"):
        assert means[key] == middle[-1][key]  # of the step itself


def test_a_meter_goes_on_exactly_where_it_was() -> None:
    accelerator = make_accelerator(tiny("vae").train)

    def reports(start: int, stop: int, meter: Meter) -> Meter:
        for step in range(start, stop):
            scalars = {"loss": torch.tensor(0.1 * step)} | ({"lazy": torch.tensor(1.0 + step)} if step % 2 else {})
            meter.add(Report(scalars, {"counts": torch.tensor([step, 1])}), 0.5)
            meter.add(Report({"loss": torch.tensor(0.3 * step)}, {"counts": torch.tensor([0, 1])}), 0.5)
        return meter

    whole = reports(0, 7, Meter()).total(accelerator)
    resumed = Meter()
    resumed.restore(json.loads(json.dumps(reports(0, 3, Meter()).total(accelerator).state())), accelerator)
    assert reports(3, 7, resumed).total(accelerator).values() == whole.values()
    assert whole.values()["loss"] == pytest.approx(0.2 * 3)
    assert whole.values()["counts"] == [21.0, 14.0]
    assert Meter().total(accelerator).values() == {}


SLOW = (*EVERYTHING, "train.steps=36", "train.batch_size=16", "train.log_every=3", "train.checkpoint_every=4")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> tuple[Path, dict[str, list[int]]]:
    """The same training, whole and stopped in several ways by real signals to real processes."""
    root = tmp_path_factory.mktemp("stopped")
    (root / "config.yaml").write_text(dump(tiny("vaegan3", *SLOW)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("stopped.py")), str(root / "config.yaml"), str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return root, json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("how", "codes"),
    [("SIGINT", [130, 0]), ("SIGTERM", [130, 130, 0]), ("SIGKILL", [-9, -9, -9, 0]), ("saving", [-9, -9, -9, 0])],
)
def test_a_stopped_and_resumed_training_ends_bit_identical(stopped, how: str, codes: list[int]) -> None:
    root, found = stopped
    whole, resumed = Run(root / "whole"), Run(root / how)
    assert found["whole"] == [0] and found[how] == codes, (root / f"{how}.txt").read_text()
    assert resumed.history_file.read_bytes() == whole.history_file.read_bytes()
    assert resumed.finished and last(resumed.path).step == 36
    expected, tensors = flat(last(whole.path)), flat(last(resumed.path))
    assert {key.partition("/")[0] for key in expected} == {
        "autoencoder", "discriminator", "average", "autoencoder.optimizer", "discriminator.optimizer"
    }  # fmt: skip
    assert same_bits(expected, tensors)
    assert last(resumed.path).state == last(whole.path).state
    for path in (whole.model_folder, whole.samples):
        for file in path.iterdir():
            assert (resumed.path / path.name / file.name).read_bytes() == file.read_bytes()
    assert len(list(resumed.checkpoints.iterdir())) == 2
    said = (root / f"{how}.txt").read_text()
    assert "Traceback" not in said
    if codes[0] == 130:
        assert "stopped at step" in said and "go on with --resume" in said


def test_a_signal_ends_the_step_and_writes_a_checkpoint_first(stopped) -> None:
    root, _ = stopped
    said = (root / "SIGTERM.txt").read_text()
    steps = [
        int(line.rpartition("stopped at step ")[2].split(";")[0]) for line in said.splitlines() if "stopped at" in line
    ]
    assert len(steps) == 2 and 5 <= steps[0] < steps[1] < 36


def test_a_second_ctrl_c_stops_at_once_and_an_echo_does_not() -> None:
    with Interrupts() as interrupts:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):  # as a launcher passes them on
            os.kill(os.getpid(), number)
        assert interrupts.received is not None
        interrupts.received -= 1.1
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("spoiled", [[5], [5, 4], [5, 4, 2]])
def test_a_resume_passes_over_damaged_checkpoints(tmp_path: Path, data: Data, spoiled: list[int]) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=2", "train.keep_checkpoints=3")
    run = train(config, tmp_path / "run", data)
    before, lines = flat(last(run.path)), run.history_file.read_bytes()
    for step in spoiled:
        file = run.checkpoints / f"step_{step:08d}" / "discriminator.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
    train(config, run.path, data, resume=True)
    assert same_bits(before, flat(last(run.path)))
    assert run.history_file.read_bytes() == lines


def test_a_resumed_optimizer_is_laid_out_in_memory_as_before(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan3", "train.steps=1")
    accelerator = make_accelerator(config.train)
    state = build_state(config, FAMILY_OF["vaegan"], accelerator)
    restore(state, last(train(config, tmp_path / "run", data).path), accelerator)
    moments = [(key, value) for adam in state.optimizers.values() for key, value in adam.state.items()]
    assert len(moments) == sum(len(list(network.parameters())) for network in state.networks.values())
    assert all(value["exp_avg"].stride() == value["exp_avg_sq"].stride() == key.stride() for key, value in moments)
    assert any(not key.is_contiguous() for key, _ in moments)


def test_another_config_or_other_images_cannot_be_resumed(tmp_path: Path, data: Data) -> None:
    config = tiny("vae", "train.steps=2")
    folder = train(config, tmp_path / "run", data).path
    with pytest.raises(Mistake, match=r"another config .*learning_rate"):
        train(tiny("vae", "train.steps=2", "train.learning_rate=0.5"), folder, data, resume=True)
    others = Data(data.train, data.validation, data.test, data.classes, "0" * 32)
    with pytest.raises(Mistake, match="no longer those"):
        train(config, folder, others, resume=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_loss_that_is_not_finite_stops_the_training_and_keeps_the_checkpoint(name, tmp_path, data) -> None:
    config = tiny(name, "train.learning_rate=1e30", "train.checkpoint_every=1", "train.steps=9")
    with pytest.raises(Failure, match=r"step \d: .*not finite; the last checkpoint is kept") as failure:
        train(config, tmp_path / "run", data)
    message = str(failure.value)
    assert "\n" not in message and "learning_rate" in message
    step = int(message.partition("step ")[2][0])
    assert last(tmp_path / "run").step == step - 1
    assert any(term in message for term in ("loss/", "gradient of"))


def test_the_term_that_is_not_finite_is_named() -> None:
    config, accelerator = tiny("vaegan3"), make_accelerator(tiny("vae").train)
    state = build_state(config, FAMILY_OF["vaegan"], accelerator)
    state.step = 6
    for network in state.networks.values():
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    norms = gradient_norms(config.train, state, accelerator)
    for name, network in state.networks.items():
        assert norms[name] == pytest.approx(sum(each.numel() for each in network.parameters()) ** 0.5)
    state.networks["discriminator"].head.bias.grad.fill_(torch.nan)
    with pytest.raises(Failure, match=r"^step 7: the gradient of the discriminator not finite;"):
        gradient_norms(config.train, state, accelerator)
    for value in (1.0, torch.nan):
        state.meter.add(Report({"loss/kl": torch.tensor(value), "loss/adversarial": torch.tensor(2.0)}), 0.5)
    with pytest.raises(Failure, match=r"^step 7: loss/kl not finite;"):
        gradient_norms(config.train, state, accelerator)


def test_clipping_bounds_the_norm_of_each_network_and_reports_it_unclipped() -> None:
    config, accelerator = tiny("vaegan3", "train.clip_norm=0.5"), make_accelerator(tiny("vae").train)
    state = build_state(config, FAMILY_OF["vaegan"], accelerator)
    for network, value in zip(state.networks.values(), (1.0, 1e-5), strict=True):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, value)
    norms = gradient_norms(config.train, state, accelerator)
    assert norms["autoencoder"] > 10 and norms["discriminator"] < 0.1
    gradients = [torch.cat([p.grad.flatten() for p in network.parameters()]) for network in state.networks.values()]
    assert gradients[0].norm().item() == pytest.approx(0.5, rel=1e-5)
    assert (gradients[1] == 1e-5).all()


def test_a_batch_of_one_image_trains(tmp_path: Path, data: Data) -> None:
    lines = history(train(tiny("vaegan3", "train.batch_size=1", "train.steps=2"), tmp_path / "run", data))
    assert "gap/mmd2" not in lines[0] and "loss/kl" in lines[0]  # one code has no spread


def test_the_batch_must_be_shared_evenly() -> None:
    config = tiny("vae", "train.batch_size=12").train
    assert [share(config, rank, 3) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(Mistake, match=r"train\.batch_size: 12 is not a multiple of the 5 processes"):
        share(config, 0, 5)
    with pytest.raises(Mistake, match=r"train\.micro_batch_size: 4 does not divide the 6 images"):
        share(tiny("vae", "train.batch_size=12", "train.micro_batch_size=4").train, 0, 2)


@pytest.mark.parametrize(
    ("launched", "asked", "expected"),
    [
        (None, "null", None), ("no", "null", None), ("bf16", "null", torch.bfloat16), ("bf16", "bf16", torch.bfloat16),
        ("no", "bf16", torch.bfloat16), (None, "fp32", None), (None, "tf32", None),
    ],
)  # fmt: skip
def test_the_precision_of_accelerate_launch_is_taken_over(monkeypatch, launched, asked, expected) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launched is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    config = tiny("vae", f"train.precision={asked}").train
    try:
        assert make_accelerator(config).mixed_precision == "no"  # autocast is ours
        assert arithmetic(config) == expected
        assert torch.get_float32_matmul_precision() == ("high" if asked == "tf32" else "highest")
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("launched", "asked", "words"),
    [
        ("fp16", "null", "--mixed_precision=fp16: not supported"),
        ("fp8", "bf16", "fp8"),
        ("bf16", "fp32", "leave one out"),
    ],
)
def test_precisions_that_cannot_be_are_refused(monkeypatch, launched: str, asked: str, words: str) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    with pytest.raises(Mistake, match=words):
        make_accelerator(tiny("vae", f"train.precision={asked}").train)


def test_processes_that_would_each_train_alone_are_refused(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(Mistake, match="WORLD_SIZE: 2 processes were launched, but Accelerate joins 1"):
        make_accelerator(tiny("vae").train)


def test_a_bfloat16_training_keeps_float32_weights(tmp_path: Path, data: Data) -> None:
    coarse = flat(last(train(tiny("vaegan3", "train.precision=bf16"), tmp_path / "coarse", data).path))
    fine = flat(last(train(tiny("vaegan3"), tmp_path / "fine", data).path))
    assert all(value.dtype == torch.float32 for value in coarse.values())
    assert not same_bits(coarse, fine)
