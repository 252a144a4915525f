"""Matplotlib without the user's settings and without its own notes."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import pytest

from vaegan.plotting import matplotlib_defaults

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
