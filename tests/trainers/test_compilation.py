"""Compiled networks compute what the others compute, in few graphs, and the rule that decides on them."""

import copy
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from vaegan.config import Config
from vaegan.config.schema import TrainConfig
from vaegan.data import Data
from vaegan.errors import Failure, UserError
from vaegan.progress import Reporter
from vaegan.trainers import compilation, train
from vaegan.trainers.compilation import compile_network, compile_networks, decide_compilation, has_compiler
from vaegan.trainers.steps.base import StepInput

from ..own_networks import build_own_networks
from ..tiny import FAMILIES, are_bit_identical, divide_cases, flatten, load_newest, tiny
from .steps.equations import build_batch, build_networks, run_step

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def no_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No graph is left of another test or run."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch._dynamo.reset()
    counters.clear()


@pytest.mark.parametrize("name", divide_cases(FAMILIES, ("vaegan3", "vaegan3-grid", "vqvae", "pixelcnn")))
def test_compiled_networks_train_to_the_same_bits_in_whole_graphs(name, tmp_path, data, monkeypatch) -> None:
    """Compiled into graphs of the same operations, of which one network needs at most two."""
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    words = ("train.steps=3", "train.sample_every=null")
    plain = train(tiny(name, *words, "train.compile=false"), tmp_path / "plain", data)
    compiled = train(tiny(name, *words, "train.compile=true"), tmp_path / "compiled", data)
    assert are_bit_identical(*(flatten(load_newest(run.path)) for run in (plain, compiled)))
    assert 1 <= counters["stats"]["unique_graphs"] <= 3 and not counters["graph_break"]


def test_a_run_goes_on_with_and_without_compilation(tmp_path: Path, data: Data, monkeypatch) -> None:
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    words = ("train.sample_every=null", "train.compile=false")
    plain = train(tiny("vaegan3", *words, "train.steps=3"), tmp_path / "plain", data)
    train(tiny("vaegan3", *words, "train.steps=2"), tmp_path / "run", data)
    compiled = tiny("vaegan3", words[0], "train.steps=3", "train.compile=true")
    run = train(compiled, tmp_path / "run", data, resume=True, extend=True)
    assert are_bit_identical(*(flatten(load_newest(each.path)) for each in (plain, run)))
    assert counters["stats"]["unique_graphs"] >= 1


def test_one_process_compiles_the_networks_of_many_trainings(monkeypatch) -> None:
    """As those of a study: of networks of one class and other sizes torch compiles eight before it refuses."""
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    trainings = []
    for number in range(torch._dynamo.config.recompile_limit + 2):
        config = tiny("vae", f"model.latent_size={4 + number}")
        trainings.append(build_networks(config, torch.float32))
        compile_networks(trainings[-1].values())
        run_step(config, trainings[-1], build_batch(config, 0, torch.float32))


@pytest.mark.parametrize("with_bf16", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_compiled_step_has_the_gradients_of_an_eager_one(with_bf16: bool) -> None:
    """With the real compiler, in a step with a penalty and in one without; in bf16 no further from float32."""
    if not has_compiler():
        pytest.skip("there is no C++ compiler")
    words = ("model.labels=10", "model.adversarial.adaptive=[0.01,100]")
    compare_with_compiled(tiny("vaegan3", words[0]), with_bf16)
    torch.compiler.reset()  # the graphs come from the cache, and are now gone through twice
    compare_with_compiled(tiny("vaegan3", *words))


def compare_with_compiled(config: Config, with_bf16: bool = False) -> None:
    eager = build_networks(config, torch.float32)
    compiled = {name: copy.deepcopy(network) for name, network in eager.items()}
    for network in compiled.values():
        compile_network(network)

    def compute(networks: dict[str, nn.Module], batch: StepInput, dtype: torch.dtype | None) -> dict[str, Tensor]:
        gradients = run_step(config, networks, replace(batch, autocast_dtype=dtype))[0]
        return {part: torch.cat([each.flatten() for each in tensors]) for part, tensors in gradients.items()}

    for step in (0, 1):
        batch = build_batch(config, step, torch.float32)
        exact, actual, *coarse = (
            compute(networks, batch, dtype)
            for dtype, networks in product((None, torch.bfloat16)[: 1 + with_bf16], (eager, compiled))
        )
        for part, gradient in exact.items():
            assert (actual[part] - gradient).norm() < 1e-5 * gradient.norm(), part
            if with_bf16:
                theirs, ours = ((each[part] - gradient).norm() for each in coarse)
                assert ours < 1.5 * theirs < 0.2 * gradient.norm(), part


def test_a_compiler_that_fails_is_reported_in_one_line(tmp_path: Path, data: Data, monkeypatch) -> None:
    def fail(graph: object, inputs: object) -> None:
        raise ImportError("half a file:\nfile too short")

    monkeypatch.setattr(compilation, "BACKEND", fail)
    with pytest.raises(Failure, match=r"^train\.compile: .*file too short.*; delete .*compiled, .*=false$") as failure:
        train(tiny("vae", "train.compile=true"), tmp_path / "run", data)
    assert "\n" not in str(failure.value)


class Notes(Reporter):
    """Keep the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)


@pytest.mark.parametrize("there", [True, False])
def test_the_rule_knows_the_device_the_type_and_the_compiler(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "has_compiler", lambda: there)
    notes = Notes()

    def decide(device: torch.device, given: bool = False, **settings: object) -> bool:
        return decide_compilation(TrainConfig(steps=1, **settings), device, given, notes)

    assert not decide(CPU) and not decide(CUDA, given=True) and not decide(CUDA, dtype="float64")
    assert not decide(CUDA, compile=False)
    assert notes.lines == [] and decide(CUDA) == there
    assert [line.partition(":")[0] for line in notes.lines] == ([] if there else ["train.compile"])
    if there:
        assert decide(CPU, compile=True)
    else:
        with pytest.raises(UserError, match=r"^train\.compile: no C\+\+ compiler is found; install one"):
            decide(CPU, compile=True)


def test_a_compiler_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    has_compiler.cache_clear()
    try:
        assert not has_compiler()
    finally:
        has_compiler.cache_clear()


def test_own_modules_are_not_compiled(tmp_path, data: Data) -> None:
    config = tiny("vaegan3", "train.compile=true", "model.network=conv")
    with pytest.raises(UserError, match=r"^train\.compile: modules of your own are not compiled; give false"):
        train(config, tmp_path / "run", data, networks=build_own_networks(None, 0))
    assert not (tmp_path / "run").exists()
