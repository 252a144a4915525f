"""The shipped sweep, through W&B's own commands."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import vaegan
from vaegan.config import list_recipes
from vaegan.storage.run_folder import Run

from ..forked.client import make_environment
from ..wandb_file import read_config, read_history, read_run, select_kind
from .sweeps import PROJECT, RUNS, SWEEP, TEAM, serve

SWEEPS = sorted((Path(vaegan.__file__).parent / "configs" / "sweeps").glob("*.yaml"))
SHORT = ("train.steps=4", "train.evaluate_every=2", "train.log_every=2", "track.wandb=offline")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables of somebody who has an account and the command `vaegan`."""
    command = tmp_path / "bin" / "vaegan"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom vaegan.cli.main import main\nmain()\n")
    command.chmod(0o755)
    kept = make_environment(tmp_path / "home")
    paths = [str(command.parent), str(Path(sys.executable).parent), kept["PATH"]]
    return {**kept, "PATH": ":".join(paths), "WANDB_API_KEY": "k" * 40, "NETRC": str(tmp_path / "netrc")}


def test_a_sweep_is_no_recipe() -> None:
    assert SWEEPS and not any("sweeps" in name for name in list_recipes())


@pytest.mark.long
@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_an_agent_trains_the_runs_of_a_shipped_sweep(sweep: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    tree = yaml.safe_load(sweep.read_text())
    place = tree["command"].index("${args_no_hyphens}")
    tree["command"][place:place] = SHORT  # what is given twice counts as it is given last
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(tree))
    features = ["vaegan", "train-features", "digits", "train.steps=2", "track.wandb=disabled"]
    subprocess.run(features, cwd=tmp_path, env=environ, check=True, capture_output=True, timeout=300)
    with serve() as server:
        environ["WANDB_BASE_URL"] = f"http://127.0.0.1:{server.server_port}"
        for words in (
            ("sweep", "--project", PROJECT, "--entity", TEAM, "sweep.yaml"),
            ("agent", f"{TEAM}/{PROJECT}/{SWEEP}"),
        ):
            done = subprocess.run(
                ["wandb", *words], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stdout + done.stderr
    assert server.sweep and len(server.given) == len(RUNS) and server.given[0] != server.given[1]
    for name, given in zip(RUNS, server.given, strict=True):
        run = Run(tmp_path / "runs" / f"sweep-{SWEEP}" / name)
        assert run.finished, done.stderr
        records = read_run(run.path)
        [opened] = select_kind(records, "run")
        assert (opened.run_id, opened.sweep_id) == (name, SWEEP)
        assert read_config(records)["model"] == run.config.model_dump(mode="json")["model"]
        for key, value in given.items():
            actual = run.config
            for part in key.split("."):
                actual = getattr(actual, part)
            assert actual == value
        assert tree["metric"]["name"] in set().union(*read_history(records))
