"""Standard streams that are closed, or that have no characters but ASCII: each command works, and ends as it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vaegan.config.recipes import list_recipes

PACKAGES = str(Path(__file__).parents[3])


def run(words: str, redirections: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run `vaegan WORDS` from a shell."""
    command = f"{sys.executable} -m vaegan {words} {redirections}"
    environment = {**os.environ, "PYTHONPATH": PACKAGES, **variables}
    return subprocess.run(["sh", "-c", command], capture_output=True, env=environment)


@pytest.mark.parametrize("redirections", [">&-", "<&- >&- 2>&-", "2</dev/null"])
def test_closed_streams_change_no_exit_code_and_hide_no_other_stream(redirections: str) -> None:
    listed, refused = run("configs", redirections), run("train größe", redirections)
    assert (listed.returncode, refused.returncode) == (0, 2)
    shown = ">&-" not in redirections.replace("2>&-", "")
    assert len(listed.stdout.splitlines()) == (len(list_recipes()) if shown else 0)
    assert refused.stderr.startswith(b"vaegan: ") == ("2" not in redirections)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_an_output_that_a_full_disk_does_not_take_is_said() -> None:
    listed = run("configs", "> /dev/full")
    assert listed.returncode == 1 and listed.stderr == b"vaegan: No space left on device\n"


def test_an_ascii_terminal_gets_escapes() -> None:
    refused = run("train größe", PYTHONIOENCODING="ascii")
    assert refused.returncode == 2
    assert refused.stderr.isascii() and b"gr\\xf6\\xdfe: neither a file nor" in refused.stderr
    schema = run("configs --schema", PYTHONIOENCODING="ascii")
    assert schema.returncode == 0 and schema.stdout.isascii() and not schema.stderr


def test_a_deleted_working_folder_is_one_line(tmp_path: Path) -> None:
    command = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m vaegan configs"
    result = subprocess.run(
        ["sh", "-c", command], capture_output=True, cwd=tmp_path, text=True, env={**os.environ, "PYTHONPATH": PACKAGES}
    )
    assert result.returncode == 2 and not result.stdout
    expected = "vaegan: the working folder is gone (No such file or directory); go to another one with cd\n"
    assert result.stderr.endswith(expected) and "Traceback" not in result.stderr
