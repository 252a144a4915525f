"""Completion in a real bash, through the script that `vaegan` gives it."""

import os
import subprocess
import sys
from pathlib import Path

SHELL = """
eval "$(_VAEGAN_COMPLETE=bash_source vaegan)"
complete -p vaegan
ask() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _vaegan_completion vaegan
    echo "${COMPREPLY[*]}"
}
compopt() { echo compopt "$@"; }
ask vaegan tra
ask vaegan train digits/vaegan
ask vaegan train digits/vae train.steps = ""
ask vaegan evaluate ""
"""


def test_bash_completes_commands_recipes_settings_and_folders(tmp_path):
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "--norc", "-c", SHELL], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PATH": path}
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _vaegan_completion vaegan",
        "train train-features translate traverse",
        "compopt -o default",
        "digits/vaegan2 digits/vaegan3",
        "2000",
        "compopt -o dirnames",
        "",
    ]
