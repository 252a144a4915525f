"""The study behind `make demo`, whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
def test_the_quick_start_shows_its_point(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vaegan", "compare", "quickstart", "--output", "study"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=1800).stdout
    assert said.endswith(f"report: {tmp_path / 'study' / 'report.html'}\n")
    assert (tmp_path / "study" / "report.html").stat().st_size > 10_000
    sentences = json.loads((tmp_path / "study" / "comparison.json").read_text())["sentences"]
    for variant in ("vaegan2", "vaegan3"):
        assert any(each.startswith(f"Reconstructions of {variant} are sharper than those of vae") for each in sentences)
