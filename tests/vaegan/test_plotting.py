"""Matplotlib without the user's settings and without its own notes, and the plot of a history."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import pytest

from vaegan.errors import UserError
from vaegan.plotting import matplotlib_defaults, plot_history
from vaegan.storage.run_folder import Run

from ..tiny import tiny

HISTORY = (
    {"step": 1, "loss/kl": 3.0, "loss/reconstruction": 9.0, "gap/mmd2": 0.5, "gradient/autoencoder": 2.0},
    {"step": 4, "loss/kl": 4.0, "loss/reconstruction": None, "gap/mmd2": 0.25, "gradient/autoencoder": 1.0},
    {"step": 4, "validation/gap/mmd2": 0.375, "validation/reconstruction/psnr": 20.0},
    {"step": 8, "loss/kl": 5.0, "loss/reconstruction": 7.0, "gap/mmd2": 0.125, "discriminator/confusion": [[1.0]]},
)
DRAW = """
from vaegan.plotting import matplotlib_defaults
with matplotlib_defaults({}):
    from matplotlib.figure import Figure
    Figure().text(0, 0, "text").get_window_extent()
import sys
assert "matplotlib.pyplot" not in sys.modules
"""


def test_it_draws_with_the_defaults_and_leaves_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 7.0)
    with matplotlib_defaults({"font.size": 11}):
        default = matplotlib.rcParamsDefault["lines.linewidth"]
        assert (matplotlib.rcParams["lines.linewidth"], matplotlib.rcParams["font.size"]) == (default, 11)
    assert matplotlib.rcParams["lines.linewidth"] == 7
    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]


def test_a_text_with_dollars_or_rare_letters_is_a_text() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with matplotlib_defaults({}):
            from matplotlib.figure import Figure

            for text in ("a$b", "$\\frac$", "日本"):
                assert Figure().text(0, 0, text).get_window_extent().width > 0


def test_it_says_nothing_of_a_cache_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = {name: str(tmp_path / "file" / "folder") for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    environment = {**os.environ, **places, "TMPDIR": str(tmp_path)}
    environment.pop("MPLCONFIGDIR", None)
    done = subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a history."""
    run = Run(tmp_path / "run")
    run.write_config(tiny("vae"))
    run.history_file.write_text("".join(json.dumps(line) + "\n" for line in HISTORY))
    return run


def read_panels(*arguments: object) -> dict[str, list[tuple[list[float], list[float]]]]:
    """Return what `plot_history` draws: the points of the curves of each plot, by its title."""
    panels = plot_history(*arguments).axes
    points = {axes.get_title("left"): [line.get_data() for line in axes.lines] for axes in panels}
    return {title: [(list(x), list(y)) for x, y in curves] for title, curves in points.items()}


def test_a_history_is_drawn_as_it_was_logged(run: Run) -> None:
    panels = read_panels(run.path)
    assert list(panels) == ["loss/kl", "loss/reconstruction", "gap/mmd2", "reconstruction/psnr"]
    assert list(read_panels(run.path, [])) == list(panels)
    assert panels["loss/kl"] == [([1, 4, 8], [3, 4, 5])]
    assert panels["loss/reconstruction"] == [([1, 8], [9, 7])]
    assert panels["gap/mmd2"] == [([1, 4, 8], [0.5, 0.25, 0.125]), ([4], [0.375])]
    assert list(read_panels(str(run.path), "gradient")) == ["gradient/autoencoder"]
    assert list(read_panels(run.path, ["loss/kl", "validation"])) == ["loss/kl", "gap/mmd2", "reconstruction/psnr"]
    assert read_panels(run.path, ["gap"])["gap/mmd2"] == panels["gap/mmd2"]


def test_a_history_is_a_picture_in_a_notebook_and_changes_no_setting(run: Run) -> None:
    before = dict(matplotlib.rcParams)
    assert plot_history(run.path)._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


def test_what_cannot_be_drawn_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"keys: loss/k is not logged by .*run; there are loss/kl, loss/rec"):
        plot_history(run.path, ["loss/k"])
    with pytest.raises(UserError, match="nowhere: not a run folder"):
        plot_history(tmp_path / "nowhere")
    run.history_file.unlink()
    with pytest.raises(UserError, match=r"history.jsonl: nothing has been logged yet"):
        plot_history(run.path)
