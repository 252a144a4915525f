"""What is shown while work goes on: bars on a terminal, lines elsewhere, nothing on other ranks."""

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


def on_a_terminal(columns: int, program: str) -> str:
    """What a program writes to a terminal of so many columns."""
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
    raw = on_a_terminal(columns, WORK)
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
    shown = on_a_terminal(80, WORK.split("for total")[0] + """
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
    said = capsys.readouterr()
    assert said.out == "" and "\x1b" not in said.err
    assert said.err.splitlines() == [
        "Training: 1,120/2,000, 512 images/s, 110 s left",
        "Training: 1,240/2,000, 512 images/s, 95 s left",
        "Training: 1,360/2,000, 512 images/s, 80 s left",
        "Training: 1,480/2,000, 512 images/s, 65 s left",
        "Training: 1,600/2,000, 512 images/s, 50 s left",
    ]


def test_a_first_step_that_is_slow_says_what_is_known(monkeypatch, capsys):
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
    console.table(["figure", "run"], [["psnr", "1"]])
    with console.progress("Training", "images") as progress:
        progress(1, 2)
    assert capfd.readouterr() == ("", "")


def test_answers_and_notes_go_to_their_own_streams(capsys):
    console = Console()
    console.note("note")
    console.say("answer")
    console.table(["figure", "a rather long run's name"], [["psnr [dB]", "20.5"]])
    said = capsys.readouterr()
    assert said.err == "note\n"
    assert said.out.startswith("answer\n") and "psnr [dB]" in said.out and "20.5" in said.out


def test_what_somebody_else_wrote_gives_no_commands_to_the_terminal(capsys) -> None:
    """Names of files and messages of libraries can hold escape sequences and line breaks."""
    console, evil = Console(), "a\x1b[2J\x9b31m\rb\u202ec\udcff"
    console.say(f"{evil}\nsecond line")
    console.note(f"{evil}\nno second line")
    console.table(["figure", evil], [[evil, "1"]])
    with console.progress(evil, "images"):
        pass
    said = capsys.readouterr()
    assert said.err == "a\\x1b[2J\\x9b31m\\rb\\u202ec\\udcff\\nno second line\n"
    assert said.out.splitlines()[:2] == ["a\\x1b[2J\\x9b31m\\rb\\u202ec\\udcff", "second line"]
    assert all(line.isprintable() for line in said.out.splitlines())
