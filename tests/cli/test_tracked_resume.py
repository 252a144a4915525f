"""A training survives every fault of W&B, and a stopped and resumed one is one whole series in W&B."""

import itertools
import json
import re
from collections.abc import Iterator

import pytest

from vaegan.config import dump_config
from vaegan.storage.run_folder import Run

from ..forked.client import Command, ForkServer
from ..tiny import are_bit_identical, flatten, load_newest, tiny
from ..wandb_file import read_history, read_runs, select_kind

CONFIGS = {
    "long": (
        "train.steps=100", "train.log_every=1", "train.checkpoint_every=40", "train.evaluate_every=40",
        "train.sample_every=50",
    ),
    "short": ("train.steps=12", "train.sample_every=4", "train.evaluate_every=6"),
}  # fmt: skip
STOPS = ("SIGKILL@79", "SIGKILL@82", "SIGTERM@90")
"""Long after a checkpoint, at 40; soon after one, at 80; leaving one, at 91."""
LOST = r"W&B: tracking is off, {} failed \(.*{}.*\); the training goes on"
UNOPENED = r"W&B: tracking is off, the run could not be opened \(.*{}.*\); the training goes on"
OFFLINE = r"W&B: recording offline, .*{}.*; `wandb sync {}/wandb/offline-run-\*` uploads the run later"
FAULTS: dict[str, tuple[Command, str]] = {
    "service@5": (
        Command(["train", "short.yaml"], "service@5"),
        LOST.format("logging( images)?", "[Cc]onnection (lost|reset)"),
    ),
    "service@finish": (
        Command(["train", "short.yaml"], "service@finish"),
        LOST.format("finishing", "[Cc]onnection (lost|reset)"),
    ),
    "folder@5": (Command(["train", "short.yaml"], "folder@5"), LOST.format("finishing", "is gone")),
    "folder@finish": (Command(["train", "short.yaml"], "folder@finish"), LOST.format("finishing", "is gone")),
    "file": (Command(["train", "short.yaml"]), UNOPENED.format("NotADirectoryError")),
    "address": (
        Command(["train", "short.yaml"], environment={"WANDB_BASE_URL": "nonsense"}),
        UNOPENED.format("base_url"),
    ),
    "server": (
        Command(
            ["train", "short.yaml", "track.wandb=online", "--resume"],
            environment={"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"},
        ),
        OFFLINE.format(r"127\.0\.0\.1:9", "server"),
    ),
}
"""Faults, each with the one line about it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """All trainings, done."""
    folder = tmp_path_factory.mktemp("tracked")
    for name, words in CONFIGS.items():
        config = tiny("vaegan3", *words, "evaluate.metrics=[psnr]", "track.wandb=offline")
        (folder / f"{name}.yaml").write_text(dump_config(config))
    (folder / "file").mkdir()
    (folder / "file/wandb").write_text("a file where a folder must be")
    jobs = {
        "stopped": [Command(["train", "long.yaml", "--resume"], how) for how in (*STOPS, "")]
    }  # the longest one first
    jobs |= {fault: [command] for fault, (command, _) in FAULTS.items()}
    jobs["server"].insert(0, Command(["train", "short.yaml"], "SIGKILL@4"))  # before its first checkpoint
    jobs |= {config: [Command(["train", f"{config}.yaml", "track.wandb=disabled"])] for config in CONFIGS}
    with ForkServer(folder) as server:
        server.run(jobs)
        yield server


def get_scalars(entry: dict[str, object]) -> dict[str, float]:
    """Return the scalars of an entry, without those that differ from run to run."""
    return {
        key: float(value)
        for key, value in entry.items()
        if isinstance(value, int | float) and not key.startswith(("_", "timing/"))
    }


def test_stopped_and_resumed_it_is_one_series(server: ForkServer) -> None:
    assert [process.code for process in server.get_results("stopped")] == [-9, -9, 130, 0]
    assert [process.code for process in server.get_results("long")] == [0]
    run = Run(server.folder / "stopped")
    assert run.history_file.read_bytes() == Run(server.folder / "long").history_file.read_bytes()

    files = read_runs(run.path, torn=True)
    assert [[exit.exit_code for exit in select_kind(records, "exit")] for records in files] == [[], [], [1], [0]]
    assert {process.run_id for records in files for process in select_kind(records, "run")} == {
        load_newest(run.path).state["wandb"]
    }
    series: list[dict[int, dict[str, float]]] = []
    for records in files:
        metrics = {metric.name or metric.glob_name: metric.step_metric for metric in select_kind(records, "metric")}
        assert metrics == {"step": "", "*": "step"}
        entries = read_history(records)
        steps = [entry["step"] for entry in entries]
        assert steps == [entry["_step"] for entry in entries] == sorted(set(steps))
        series.append({entry["step"]: get_scalars(entry) for entry in entries})

    assert max(series[0], default=0) <= 79  # W&B may have lost its end
    for one, other in itertools.combinations(series, 2):
        for step in one.keys() & other.keys():
            shared = one[step].keys() & other[step].keys()
            assert {key: one[step][key] for key in shared} == {key: other[step][key] for key in shared}, step
    lines = [json.loads(line) for line in run.history_file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [*range(1, 41), 40, *range(41, 81), 80, *range(81, 101)]
    for line in lines:
        merged = {key: value for part in series for key, value in part.get(line["step"], {}).items()}
        assert get_scalars(line) and get_scalars(line).items() <= merged.items()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_tracking_costs_one_line_and_nothing_else(server: ForkServer, fault: str) -> None:
    (*_, process), (whole,) = server.get_results(fault), server.get_results("short")
    assert (process.code, whole.code, whole.err) == (0, 0, ""), process.err
    assert process.out == f"{fault}: trained 12 steps; evaluate it with `vaegan evaluate {fault}`\n"
    assert re.fullmatch(FAULTS[fault][1] + "\n", process.err), process.err
    run, reference = Run(server.folder / fault), Run(server.folder / "short")
    assert run.finished and run.history_file.read_bytes() == reference.history_file.read_bytes()
    assert are_bit_identical(flatten(load_newest(run.path)), flatten(load_newest(reference.path)))


def test_what_cannot_be_sent_is_recorded_as_the_run_that_was_begun(server: ForkServer) -> None:
    run = Run(server.folder / "server")
    assert [process.code for process in server.get_results("server")] == [-9, 0]
    begun = sorted(folder.name for folder in run.path.glob("wandb/offline-run-*"))
    assert [name.rpartition("-")[2] for name in begun] == [load_newest(run.path).state["wandb"]] * 2
    lines = [json.loads(line) for line in run.history_file.read_text().splitlines()]
    recorded = {entry["step"]: get_scalars(entry) for entry in read_history(read_runs(run.path, torn=True)[1])}
    assert recorded.keys() == {line["step"] for line in lines}
    assert all(get_scalars(line).items() <= recorded[line["step"]].items() for line in lines)
