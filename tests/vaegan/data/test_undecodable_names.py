"""Names that are not UTF-8: a class folder, the folder of the images and that of the run."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import tiny
from vaegan import load
from vaegan.config.load import override_evaluation
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.evaluate.run_evaluation import evaluate_run
from vaegan.io import write_text
from vaegan.progress import Reporter
from vaegan.storage.loading import load_class_names
from vaegan.trainers import train


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of three classes, the names of which are bytes that are and are not UTF-8."""
    root = tmp_path / os.fsdecode(b"photos \xe9")
    for index in range(30):
        folder = root / os.fsdecode((b"caf\xe9", b"caf\\xe8", b"tea")[index % 3])
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / os.fsdecode(b"%d \xff.png" % index))
    return root


def test_a_run_of_such_names_is_trained_resumed_evaluated_and_loaded(root: Path, tmp_path: Path) -> None:
    config = tiny("vae", "data.source=folder", f"data.root={root}", "model.labels=3", "train.steps=2")
    data, folder = open_data(config.data), tmp_path / os.fsdecode(b"run \xe9")
    run = train(config, folder, data)
    assert run.config == config and run.config.data.root == root
    assert load_class_names(folder) == data.classes == ("caf\\xe8", "caf\\xe9", "tea")
    assert load(folder).sample(2).shape == (2, 1, 8, 8)
    config = override_evaluation(run.config, {"metrics": ["psnr"], "split": "train"}, "here")
    assert evaluate_run(run, load(folder), config.evaluate, data, Reporter()).metrics
    longer = tiny("vae", "data.source=folder", f"data.root={root}", "model.labels=3", "train.steps=3")
    assert train(longer, folder, data, resume=True, extend=True).exported_step == 3


def test_classes_that_would_be_written_alike_are_refused(root: Path) -> None:
    (root / "caf\\xe8").rename(root / "caf\\xe9")
    config = tiny("vae", "data.source=folder", f"data.root={root}")
    with pytest.raises(UserError, match="two folders have this name, one with bytes that are not UTF-8"):
        open_data(config.data)


def test_a_text_file_keeps_such_names_as_escapes(tmp_path: Path) -> None:
    write_text(tmp_path / "names.csv", "name\ncaf\udce9\n")
    assert (tmp_path / "names.csv").read_bytes() == b"name\ncaf\\xe9\n"
