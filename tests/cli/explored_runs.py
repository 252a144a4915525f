"""What the tests of `vaegan explore` look at."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from vaegan import load
from vaegan.applications.attributes import learn_attribute, save_attribute
from vaegan.applications.encoding import encode_images
from vaegan.data import open_data
from vaegan.storage.loading import load_weights_hash
from vaegan.trainers import train

from ..tiny import tiny

STEPS = ("train.steps=40", "model.labels=10", "model.width=8")
"""Overrides of both runs."""
GUARD = """import sys
def guard(event, values):
    if event == "socket.connect" and values[1][0] not in ("127.0.0.1", "::1") or event == "socket.getaddrinfo" and (
        values[0] not in ("127.0.0.1", "localhost", None)
    ):
        open("outside", "a").write(f"{event} {values}\\n")
        raise OSError("nothing outside can be reached")
sys.addaudithook(guard)
"""
"""Module that Python imports at its start: no connection leads outside this machine, and each that is tried is kept."""


def write_runs(folder: Path) -> Path:
    """Write two conditional runs, a direction of the first, an image, another one, and a text; return the folder."""
    for name, seed in (("one", 5), ("two", 6)):
        config = tiny("vae", *STEPS, f"seed={seed}")
        data = open_data(config.data)
        train(config, folder / name, data)
    model = load(folder / "one")
    codes, labels = encode_images(model, data.train).mean, data.train.get_labels(torch.arange(len(data.train)), 10)
    assert labels is not None
    is_three = labels == 3
    weights = load_weights_hash(folder / "one")
    attribute = learn_attribute(
        codes, is_three, codes, is_three, positive="three", negative="others", weights=weights
    )  # fmt: skip
    save_attribute(attribute, folder / "three.safetensors")
    for name, position in (("image.png", 0), ("other.png", 7)):
        Image.fromarray(data.train[torch.tensor([position])][0, 0].numpy()).resize((24, 24), 0).save(folder / name)
    (folder / "words.png").write_text("no image\n")
    return folder


@contextmanager
def serve_runs(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the address of the page of both runs, and the process that serves it, which reaches this machine alone."""
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(GUARD)
    paths = os.pathsep.join([str(folder / "guard"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "vaegan", "explore", "one", "two", "--direction", "three.safetensors", "--port"]
    process = subprocess.Popen(
        [*command, "0"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.communicate(timeout=60)
        yield line.split(": ")[0], process
    finally:
        process.kill()
        process.communicate()
