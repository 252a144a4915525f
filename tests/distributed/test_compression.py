"""Two processes compress and decompress what one does, to the byte, in one size and in the size of each image."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from vaegan.data import open_data
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..forked.client import ForkServer
from ..tiny import tiny

COUNT = 150


def test_two_processes_compress_and_decompress_what_one_does(alone: Run, forks: ForkServer, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images = tmp_path / "images"
    images.mkdir()
    for number in range(COUNT):
        Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(images / f"{number:03}.png")
    (images / "070.png").write_bytes(b"no image")
    results = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        run, archive, pictures = Run(folder / "run"), f"{folder}/a.vg", f"{folder}/out"
        shutil.copytree(alone.path, run.path, symlinks=True)
        code, out, err = forks.run_once(["compress", str(run.path), str(images), "--rate", "1"], archive, processes)
        assert code == 0, err
        assert out.startswith(f"{archive}: 149 images in ") and "1 file that cannot be used as images skipped" in err
        ended = forks.run_once(["decompress", str(run.path), archive], pictures, processes)
        assert ended == (0, f"{pictures}: 149 pictures\n", "")
        found = {file.name: file.read_bytes() for file in Path(pictures).iterdir()}
        said = (out + err).replace(str(folder), "")
        results.append((said, Path(archive).read_bytes(), run.prior_file.read_bytes(), found))
    assert results[0] == results[1] and len(results[0][-1]) == COUNT


def test_images_of_several_sizes_too(forks: ForkServer, tmp_path: Path) -> None:
    config = tiny("vae-grid", "train.steps=2")
    run = str(train(config, tmp_path / "run", open_data(config.data)).path)
    draw, images = np.random.default_rng(0), tmp_path / "images"
    images.mkdir()
    for number in range(9):
        file = images / f"{number}.png"
        Image.fromarray(draw.integers(0, 256, (8 + 3 * number, 30 - number), dtype=np.uint8)).save(file)
    (images / "4.png").write_bytes(b"no image")
    results = []
    for processes in (1, 2):
        archive, pictures = f"{tmp_path}/{processes}.vg", f"{tmp_path}/out-{processes}"
        words = ("compress", run, str(images), "--native-size", "--tile", "16", "--step", "0.2")
        code, out, err = forks.run_once(words, archive, processes)
        assert code == 0 and "1 file that cannot be used as images skipped" in err, err
        ended = forks.run_once(["decompress", run, archive], pictures, processes)
        assert ended == (0, f"{pictures}: 8 pictures\n", "")
        found = {file.name: file.read_bytes() for file in Path(pictures).iterdir()}
        results.append((out.partition(".vg")[2], Path(archive).read_bytes(), found))
    assert results[0] == results[1] and len(results[0][-1]) == 9
