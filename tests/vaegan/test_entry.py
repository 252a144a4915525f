"""Errors of the Python interface name arguments, and their tracebacks hold no internals."""

import re
import traceback
from pathlib import Path

import pytest

import vaegan
from vaegan.entry import name_arguments, python_entry
from vaegan.errors import Interrupted, OneLineError, UserError

COMMAND_LINE_ALONE = {
    "--mixed_precision", "--fetch", "--decode", "--images", "--image-size", "--paired-by-index",
    "--save-statistics", "--tile", "--host", "--port", "--export", "--direction", "--run",
}  # fmt: skip
"""Options of other programs, of commands that a message shows as a whole, and of what Python has no function for."""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("runs/a: stopped at step 3; go on with --resume", "runs/a: stopped at step 3; go on with resume=True"),
        ("a: finish it with `vaegan train ... --resume`", "a: finish it with `vaegan.train(..., resume=True)`"),
        ("--extend: give --resume as well", "extend=True: give resume=True as well"),
        ("x--output: no such folder; choose another --output", "x--output: no such folder; choose another output"),
        ("or go on with --resume train.nan=skip", "or go on with resume=True and train.nan=skip"),
        ("a: this is an ablation; use `vaegan ablate a`", 'a: this is an ablation; use `vaegan.ablate("a")`'),
        ("a: this is a study; use `vaegan compare a`", 'a: this is a study; use `vaegan.compare("a")`'),
        ("`vaegan configs` lists the recipes", "`vaegan.recipes()` lists the recipes"),
        ("`vaegan weights --fetch` brings it", "`vaegan weights --fetch` brings it"),
        ("s: stopped in s/a; the same command goes on", "s: stopped in s/a; the same call goes on"),
        ("--mixed_precision=fp16: not supported", "--mixed_precision=fp16: not supported"),
    ],
)
def test_messages_name_arguments(message: str, expected: str) -> None:
    @python_entry
    def stop() -> None:
        raise Interrupted(message)

    with pytest.raises(Interrupted) as caught:
        stop()
    assert str(caught.value) == expected


def test_every_option_in_a_message_has_its_argument() -> None:
    """Outside the commands, which alone may speak of nothing but options."""
    root = Path(vaegan.__file__).parents[1]
    files = [file for name in ("vaegan", "trainers", "evaluate") for file in (root / name).rglob("*.py")]
    for file in files:
        if "cli" not in file.parts:
            for text in re.findall(r'f?"[^"\n]*--[a-z][^"\n]*"', file.read_text()):
                options = set(re.findall(r"(?<![\w-])--[a-z_-]*[a-z]", name_arguments(text)))
                assert options <= COMMAND_LINE_ALONE or file.name in ("entry.py", "reproduce.py"), (file, text)


def test_a_traceback_ends_where_the_package_begins() -> None:
    def read_deep_inside() -> None:
        try:
            raise KeyError("inside")
        except KeyError as error:
            raise UserError("train.steps: wrong") from error

    @python_entry
    def train() -> None:
        read_deep_inside()

    with pytest.raises(UserError) as caught:
        train()
    text = "".join(traceback.format_exception(caught.value))
    assert "read_deep_inside" not in text and "KeyError" not in text
    assert text.endswith("vaegan.errors.UserError: train.steps: wrong\n")


def test_ipython_shows_one_line() -> None:
    assert UserError("a: \x1b[2J wrong")._render_traceback_() == ["UserError: a: \\x1b[2J wrong"]
    assert issubclass(Interrupted, OneLineError) and not issubclass(Interrupted, Exception)
