"""The notebook of the quick start runs from its first cell to its last, and holds what it showed.

To write its outputs anew, copy it into an empty folder, run `jupyter execute --inplace quickstart.ipynb` there, and
copy it back.
"""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"
MAX_BYTES = 500_000
STEPS = 1000
"""Steps of each training of the notebook."""


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    """The notebook as it lies in the checkout."""
    return nbformat.read(NOTEBOOK, as_version=4)


def list_outputs(notebook: nbformat.NotebookNode) -> list[list[tuple[str, list[str]]]]:
    """Return the outputs of each cell of code: their types, and the types of their data."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[(each.output_type, sorted(each.get("data", {}))) for each in cell.outputs] for cell in cells]


def read_table(notebook: nbformat.NotebookNode) -> dict[str, list[float]]:
    """Return the metrics of both models from the notebook's table, by name."""
    texts = [each.data["text/plain"] for cell in notebook.cells for each in cell.get("outputs", []) if "data" in each]
    (table,) = [text for text in texts if "reconstruction/psnr" in text]
    rows = [line.split() for line in table.splitlines()[1:]]
    return {name: [float(value) for value in values] for name, *values in rows}


@pytest.mark.parametrize("steps", [3, pytest.param(STEPS, marks=pytest.mark.long)])
def test_it_runs_and_shows_what_it_holds(
    notebook: nbformat.NotebookNode, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    held = list_outputs(notebook)
    source = json.dumps(notebook)
    assert source.count(f'\\"train.steps\\": {STEPS}') == 1
    shortened = nbformat.from_dict(
        json.loads(source.replace(f'\\"train.steps\\": {STEPS}', f'\\"train.steps\\": {steps}'))
    )
    ran = NotebookClient(shortened, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = list_outputs(ran)
    for expected, cell in zip(held, outputs, strict=True):
        results = [[(kind, data) for kind, data in each if kind != "display_data"] for each in (expected, cell)]
        assert [kind for kind, _ in results[0]] == [kind for kind, _ in results[1]]
        assert all(set(data) <= set(more) for (_, data), (_, more) in zip(*results, strict=True))
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"vae", "three-way", "own"}
    table = read_table(ran)
    assert table.keys() == read_table(notebook).keys()
    if steps == STEPS:
        assert table["sample/spectrum_error"][1] < table["sample/spectrum_error"][0]


def test_the_committed_notebook_is_small_complete_and_speaks_of_no_machine(notebook: nbformat.NotebookNode) -> None:
    assert NOTEBOOK.stat().st_size < MAX_BYTES
    assert all(list_outputs(notebook)[1:])
    for output in (each for cell in notebook.cells for each in cell.get("outputs", [])):
        output.get("data", {}).pop("image/png", None)
    text = json.dumps(notebook)
    assert not any(place in text for place in ("/home/", "/tmp/", "/root/", "/Users/", "stderr", "Error"))
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
