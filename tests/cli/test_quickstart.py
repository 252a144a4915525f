"""The study behind `make demo`, whole."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SECTIONS = (
    "verdict", "reconstructions", "samples", "interpolations", "figures", "effects", "controls", "confusion",
    "spectrum", "tradeoff", "training", "price", "made",
)  # fmt: skip


@pytest.mark.long
def test_the_quick_start_shows_its_point(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vaegan", "compare", "quickstart", "--output", "study", "--jobs", "2"]
    stdout = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=1800).stdout
    assert stdout.endswith(f"report: {tmp_path / 'study' / 'report.html'}\n")
    page = (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    assert [name for name in SECTIONS if not re.search(f'<section[^>]* aria-labelledby="{name}">', page)] == []
    assert {path.name for path in (tmp_path / "study").glob("*.png")} == {"reconstructions.png", "samples.png"}
    comparison = json.loads((tmp_path / "study" / "comparison.json").read_text())
    for variant in ("vaegan2", "vaegan3"):
        for kind in ("Reconstructions", "Samples"):
            sentence = f"{kind} of {variant} are sharper than those of vae"
            assert any(each.startswith(sentence) for each in comparison["sentences"]), sentence
        assert {"sample/fd_quickstart", "sample/kid_quickstart"} <= comparison["variants"][variant]["figures"].keys()
    assert comparison["sentences"][-1].startswith("One seed: every verdict is conditional on seed 0")
