"""Progress: bars on a terminal, lines elsewhere, nothing on other ranks."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import vaegan.cli.console
from vaegan.cli.console import Console

WORK = """
import time
from vaegan.cli.console import Console
console = Console()
for total in (1, 30):
    with console.progress("Training [a]", "images", per_step=8) as progress:
        for done in range(total):
            progress(done + 1, total)
            time.sleep(0.05)
console.say("answer")
"""


def run_on_terminal(columns: int, program: str) -> str:
    """Run a program on a terminal of so many columns, and return what it writes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(Path(vaegan.cli.console.__file__).parents[2]), "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen([sys.executable, "-c", program], stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                written += os.read(ours, 65536)
            except OSError:  # on Linux a closed terminal reads as an error
                break
    os.close(ours)
    assert process.returncode == 0, written.decode()
    return written.decode()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_bar_with_rate_and_time_left(columns):
    raw = run_on_terminal(columns, WORK)
    shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", raw)]
    bars = [line for line in shown if "Training" in line]
    assert bars and all(re.match(r"Training \[a\]", line) for line in bars)
    assert re.search(r" \d+/30 .*0:0[01]", bars[-2]) and re.search(r"\d+ im", bars[-2])
    assert ("━" in bars[-1]) == (columns == 80), "no room for a bar beside the figures in 40 columns"
    assert max(map(len, shown)) <= columns
    assert not any("/1 " in line for line in bars), "work that is done in a moment shows nothing"
    assert raw.count("\x1b[?25l") == raw.count("\x1b[?25h") == 1, "the cursor is hidden once and shown again"
    assert shown[-2] == "answer"


def test_a_slow_first_step_shows_a_bar():
    shown = run_on_terminal(80, WORK.split("for total")[0] + """
with console.progress("Training", "images") as progress:
    progress(0, 3)
    time.sleep(1.2)
""")  # fmt: skip
    assert "Training" in shown and "0/3" in shown and "0/0" not in shown


def test_lines_where_there_is_no_terminal(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(vaegan.cli.console.time, "monotonic", lambda: now[0])
    with Console().progress("Training", "images", per_step=64) as progress:
        for done in range(1001, 1601):  # a run that was resumed at step 1000
            now[0] += 0.125
            progress(done, 2000)
    output = capsys.readouterr()
    assert output.out == "" and "\x1b" not in output.err
    assert output.err.splitlines() == [
        "Training: 1,120/2,000, 512 images/s, 110 s left",
        "Training: 1,240/2,000, 512 images/s, 95 s left",
        "Training: 1,360/2,000, 512 images/s, 80 s left",
        "Training: 1,480/2,000, 512 images/s, 65 s left",
        "Training: 1,600/2,000, 512 images/s, 50 s left",
    ]


def test_a_slow_first_step_shows_no_rate_yet(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(vaegan.cli.console.time, "monotonic", lambda: now[0])
    with Console().progress("Training", "images") as progress:
        now[0] = 20.0
        progress(1, 3)
    assert capsys.readouterr().err == "Training: 1/3\n"


def test_other_ranks_say_nothing(capfd):
    console = Console(shown=False)
    console.note("note")
    console.say("answer")
    console.table(["metric", "run"], [["psnr", "1"]])
    with console.progress("Training", "images") as progress:
        progress(1, 2)
    assert capfd.readouterr() == ("", "")


def test_answers_and_notes_go_to_their_own_streams(capsys):
    console = Console()
    console.note("note")
    console.say("answer")
    console.table(["metric", "a rather long run's name"], [["psnr [dB]", "20.5"]])
    output = capsys.readouterr()
    assert output.err == "note\n"
    assert output.out.startswith("answer\n") and "psnr [dB]" in output.out and "20.5" in output.out


def test_text_from_outside_sends_no_escape_sequences_to_the_terminal(capsys) -> None:
    """Names of files and messages of libraries can hold escape sequences and line breaks."""
    console, evil = Console(), "a\x1b[2J\x9b31m\rb\u202ec\udcff"
    console.say(f"{evil}\nsecond line")
    console.note(f"{evil}\nno second line")
    console.table(["metric", evil], [[evil, "1"]])
    with console.progress(evil, "images"):
        pass
    output = capsys.readouterr()
    assert output.err == "a\\x1b[2J\\x9b31m\\rb\\u202ec\\udcff\\nno second line\n"
    assert output.out.splitlines()[:2] == ["a\\x1b[2J\\x9b31m\\rb\\u202ec\\udcff", "second line"]
    assert all(line.isprintable() for line in output.out.splitlines())
