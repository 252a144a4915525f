"""Two processes compress and decompress what one does, to the byte."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from vaegan.storage.run_folder import Run

from .launches import VAEGAN, Launch

COUNT = 150


def test_two_processes_compress_and_decompress_what_one_does(alone: Run, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(COUNT):
        file = tmp_path / "images" / f"{number:03}.png"
        Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(file)
    (tmp_path / "images" / "070.png").write_bytes(b"no image")
    results = []
    for processes in ("1", "2"):
        folder = tmp_path / processes
        folder.mkdir()
        shutil.copytree(alone.path, folder / "run", symlinks=True)
        words = ("compress", "run", "../images", "-o", "a.vg", "--rate", "1", "--processes", processes)
        code, out, err = Launch(folder, *VAEGAN, *words).wait()
        assert code == 0, err
        assert out.startswith("a.vg: 149 images in ") and "1 file that cannot be used as images skipped" in err
        launch = Launch(folder, *VAEGAN, "decompress", "run", "a.vg", "-o", "out", "--processes", processes)
        assert launch.wait() == (0, "out: 149 pictures\n", "")
        prior = Run(folder / "run").prior_file.read_bytes()
        pictures = {file.name: file.read_bytes() for file in (folder / "out").iterdir()}
        results.append((out, err, (folder / "a.vg").read_bytes(), prior, pictures))
    assert results[0] == results[1] and len(results[0][-1]) == COUNT
