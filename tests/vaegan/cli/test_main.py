"""What the command line sets before torch is loaded."""

import os
import subprocess
import sys

import click
import pytest

from vaegan.cli.main import cli

CODE = """
import os, sys
import vaegan.cli.main
assert "torch" not in sys.modules
print(os.environ["OMP_WAIT_POLICY"])
"""


GARBAGE = """
import gc, sys
from vaegan.cli.main import main

class Cycle:
    def __del__(self):
        print("collected", flush=True)

cycle = Cycle()
cycle.own = cycle
del cycle
gc.disable()
sys.argv = ["vaegan", "configs"]
main()
"""


def test_the_end_of_a_command_looks_for_no_garbage() -> None:
    printed = subprocess.run([sys.executable, "-c", GARBAGE], capture_output=True, text=True, check=True).stdout
    assert "digits" in printed and "collected" not in printed


def test_no_help_speaks_of_exceptions() -> None:
    helps = {name: command.get_help(click.Context(command)) for name, command in cli.commands.items()}
    assert len(helps) > 20 and all(len(text) > 100 and "Raises" not in text for text in helps.values())


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_leave_the_cores_to_others_unless_a_user_says_otherwise(given, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    printed = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout == f"{expected}\n"
