"""Two processes compress and decompress what one does, to the byte, in one size and in the size of each image."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from vaegan.data import open_data
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import tiny
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


def test_images_of_several_sizes_too(tmp_path: Path) -> None:
    config = tiny("vae-grid", "train.steps=2")
    train(config, tmp_path / "run", open_data(config.data))
    draw = np.random.default_rng(0)
    for number in range(9):
        file = tmp_path / "images" / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8 + 3 * number, 30 - number), dtype=np.uint8)).save(file)
    (tmp_path / "images" / "4.png").write_bytes(b"no image")
    results = []
    for processes in ("1", "2"):
        words = ("run", "images", "--native-size", "--tile", "16", "--step", "0.2", "-o", f"{processes}.vg")
        code, out, err = Launch(tmp_path, *VAEGAN, "compress", *words, "--processes", processes).wait()
        assert code == 0 and "1 file that cannot be used as images skipped" in err, err
        words = ("decompress", "run", f"{processes}.vg", "-o", f"out-{processes}", "--processes", processes)
        assert Launch(tmp_path, *VAEGAN, *words).wait() == (0, f"out-{processes}: 8 pictures\n", "")
        pictures = {file.name: file.read_bytes() for file in (tmp_path / f"out-{processes}").iterdir()}
        results.append((out.partition(".vg")[2], (tmp_path / f"{processes}.vg").read_bytes(), pictures))
    assert results[0] == results[1] and len(results[0][-1]) == 9
