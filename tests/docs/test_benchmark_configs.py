"""The configs of the recorded measurements load, whatever becomes of the shipped recipes that they name."""

from pathlib import Path

import pytest

from vaegan.config import load_config
from vaegan.config.load import read_yaml
from vaegan.config.load_ablation import load_ablation
from vaegan.config.load_study_files import load_study
from vaegan.errors import UserError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FILES = sorted(str(path.relative_to(BENCHMARKS)) for path in BENCHMARKS.rglob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_config_of_a_recorded_measurement_loads(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = BENCHMARKS / name
    tree = read_yaml(file)
    if "variants" in tree:
        assert load_study(file).configs.keys() == tree["variants"].keys()
    elif "projected" in tree.get("changes", ()):
        with pytest.raises(UserError, match="runs/features"):
            load_ablation(file)
    elif "changes" in tree:
        assert load_ablation(file).ablation.changes.keys() == tree["changes"].keys()
    else:
        assert load_config(str(file)).model.family == tree["model"]["family"]
