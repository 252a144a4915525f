"""The Python interface in a real kernel of Jupyter: progress, errors of one line, the stop button, plots."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vaegan.cli.console import Console
from vaegan.notebook import NotebookConsole, make_reporter
from vaegan.storage.run_folder import Run

from ..kernel import Kernel, read_text
from ..tiny import are_bit_identical, flatten, load_newest

SETTINGS = {
    "model.network": "mlp", "model.width": 8, "model.latent_size": 2, "train.steps": 1200, "train.batch_size": 8,
    "train.log_every": 100, "train.evaluate_every": 600, "evaluate.metrics": ["psnr"], "track.wandb": "disabled",
}  # fmt: skip
PREPARE = f"import signal, threading, vaegan; settings = {SETTINGS}; handlers = [signal.getsignal(n) for n in (2, 15)]"
TRAIN = "vaegan.train('digits/vae', settings, output='{}')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the kernel works in."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    """A kernel with a finished run `whole` and `settings`."""
    with Kernel(folder) as kernel:
        assert kernel.run(PREPARE) == []
        kernel.trained = kernel.run("run = " + TRAIN.format("whole"))
        yield kernel


def get_error(messages: list[dict[str, Any]]) -> str:
    """Return the one line of the error that a cell ended with."""
    (error,) = [message for message in messages if message["type"] == "error"]
    (line,) = error["traceback"]
    assert line == f"{error['ename']}: {error['evalue']}" and "\n" not in line
    return line


def test_a_bar_becomes_a_line(kernel: Kernel) -> None:
    bars: dict[str, list[dict[str, str]]] = {}
    for message in kernel.trained:
        assert message["type"] in ("display_data", "update_display_data"), message  # no stream, above all no stderr
        bars.setdefault(message["transient"]["display_id"], []).append(message["data"])
    *shown, last = next(bar for bar in bars.values() if "Training" in bar[0]["text/plain"])
    assert shown and all('max="1200"' in output["text/html"] for output in shown)
    assert re.fullmatch(r"Training whole: 1,200/1,200, [\d,]+ images/s, \d+ s", last["text/plain"])
    assert "<progress" not in last["text/html"] and last["text/plain"] in last["text/html"]


def test_without_progress_there_is_no_output(kernel: Kernel, folder: Path) -> None:
    """In a thread, where no signal can be heard."""
    train = "vaegan.train('digits/ae', {**settings, 'train.steps': 50}, output='silent', progress=False)"
    assert kernel.run(f"thread = threading.Thread(target=lambda: {train}); thread.start(); thread.join()") == []
    assert Run(folder / "silent").finished


def test_errors_are_one_line(kernel: Kernel) -> None:
    assert get_error(kernel.run(TRAIN.format("whole"))) == (
        "UserError: whole: holds a run already; go on with resume=True, or choose another output"
    )
    assert get_error(kernel.run("vaegan.train('digits/vae', {'train.step': 3})")).startswith(
        "UserError: digits/vae: train.step: unknown key (given 3); did you mean train.steps?"
    )
    assert get_error(kernel.run("vaegan.show(3 * vaegan.load(run).sample(4))")).startswith("UserError: images: floats")


def test_the_stop_button_leaves_a_checkpoint_to_go_on_from(kernel: Kernel, folder: Path) -> None:
    kernel.start(TRAIN.format("stopped"))
    while kernel.read()["type"] != "display_data" or not (folder / "stopped/history.jsonl").is_file():
        pass
    kernel.interrupt()
    messages = kernel.read_to_end()
    step = load_newest(folder / "stopped").step
    assert 0 < step < SETTINGS["train.steps"]
    assert get_error(messages) == f"Interrupted: stopped: stopped at step {step}; go on with resume=True"
    assert "stopping after this step" in read_text(messages)
    assert read_text(kernel.run("print(handlers == [signal.getsignal(n) for n in (2, 15)])")) == "True\n"

    kernel.run(TRAIN.format("stopped").replace(")", ", resume=True)"))
    whole, resumed = load_newest(folder / "whole"), load_newest(folder / "stopped")
    assert are_bit_identical(flatten(whole), flatten(resumed))
    assert (folder / "stopped/history.jsonl").read_bytes() == (folder / "whole/history.jsonl").read_bytes()


def test_pictures_and_plots_are_shown_inline(kernel: Kernel) -> None:
    for code in ("vaegan.show(vaegan.load(run).sample(4))", "vaegan.plot_history(run)"):
        (result,) = kernel.run(code)
        assert result["type"] == "execute_result" and result["data"]["image/png"]
    _, plot = kernel.run("import matplotlib.pyplot as plt; plt.plot([1, 2])")  # the user's own
    assert plot["type"] == "display_data" and plot["data"]["image/png"]


def test_outside_a_notebook_the_console_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert type(make_reporter()) is Console
    silent = make_reporter(progress=False)
    with silent.progress("Training", "images") as progress:
        progress(1, 2)
    silent.note("note")
    NotebookConsole(bars=False).note("cell\x1b")
    assert capsys.readouterr() == ("cell\\x1b\n", "note\n")
