"""A folder of generated images holds the samples of the model, in each form the same ones, whatever happened before."""

import resource
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.data import open_data
from vaegan.data.webdataset.build_index import build_index
from vaegan.errors import Failure, UserError
from vaegan.generation.description import read_generation
from vaegan.images import to_uint8
from vaegan.models import Autoencoder
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run

from ...tiny import tiny
from .conftest import ROWS, Generate

LABELS = [row % 10 for row in range(ROWS)]


@pytest.fixture
def expected(by_class: Run) -> np.ndarray:
    return to_uint8(load(by_class.path).sample(ROWS, seed=5)).numpy()[:, 0]


def read(file: object) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image).astype(int)


def test_a_folder_holds_the_samples_by_their_class(generate: Generate, expected: np.ndarray) -> None:
    folder = generate("folder")
    files = [folder / str(row % 10) / f"{row:06d}.png" for row in range(ROWS)]
    assert {path for path in folder.rglob("*") if path.is_file()} == {*files, folder / "generated.json"}
    for file, pixels in zip(files, expected, strict=True):
        assert np.abs(read(file) - pixels).max() <= 1  # batches of four and of all round otherwise


def test_every_form_holds_the_same_images(generate: Generate) -> None:
    folder, array, shards = (generate(name, format=name) for name in ("folder", "npz", "tar"))
    pictures = [read(folder / str(row % 10) / f"{row:06d}.png") for row in range(ROWS)]
    with np.load(array / "generated.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["arr_0", "arr_1"] and arrays["arr_1"].tolist() == LABELS
        assert arrays["arr_0"].dtype == np.uint8 and arrays["arr_0"].shape == (ROWS, 8, 8, 3)
        assert (arrays["arr_0"] == np.stack(pictures)[..., None]).all()
    assert {path.name for path in array.iterdir()} == {"generated.npz", "generated.json"}
    row = 0
    for file in sorted(shards.glob("*.tar")):
        with tarfile.open(file) as archive:
            entries = {entry.name: archive.extractfile(entry).read() for entry in archive}
        assert len(entries) == 2 * min(10, ROWS - row)
        for _ in range(len(entries) // 2):
            assert (read(BytesIO(entries[f"{row:06d}.png"])) == pictures[row]).all()
            assert entries[f"{row:06d}.cls"] == str(row % 10).encode()
            row += 1
    assert row == ROWS


def test_a_training_reads_what_was_generated(generate: Generate) -> None:
    for name in ("folder", "tar"):
        folder = generate(name, format=name, classes=tuple("0123456789"))
        config = tiny("vae", "data.validation=0", "data.test=0").data
        settings = {"source": "folder" if name == "folder" else "webdataset", "root": folder, "count": None}
        if name == "tar":
            build_index(folder)
        images = open_data(config.model_copy(update=settings), notify=lambda _: None).train
        assert len(images) == ROWS and sorted(images.labels.tolist()) == sorted(LABELS)


@pytest.mark.parametrize("form", ["folder", "npz", "tar"])
def test_a_generation_that_was_stopped_goes_on(form: str, generate: Generate, tmp_path: Path) -> None:
    whole = {
        file.relative_to(tmp_path / "whole"): file.read_bytes() for file in generate("whole", format=form).rglob("*.*")
    }
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done > 12:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        from vaegan.generation import generating

        original = generating.write_shards
        patch.setattr(generating, "write_shards", lambda *words: original(*words[:-1], stop))
        with pytest.raises(KeyboardInterrupt):
            generate("stopped", format=form)
    before = {path: path.stat().st_ino for path in (tmp_path / "stopped").rglob("*.*") if path.is_file()}
    assert 1 < len(before) < ROWS + 1
    if form == "folder":
        torn = tmp_path / "stopped" / "3" / "000003.png"
        torn.write_bytes(torn.read_bytes()[:-1])
        del before[torn]
    folder = generate("stopped", format=form)
    assert {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*")} == whole
    kept = [path for path in before if path.exists() and path.suffix in (".png", ".tar")]
    assert all(path.stat().st_ino == before[path] for path in kept) and (kept or form == "npz")


def test_a_damaged_part_of_an_array_is_one_line(generate: Generate) -> None:
    folder = generate("array", format="npz")
    whole = (folder / "generated.npz").read_bytes()
    (folder / "generated.npz").unlink()
    damaged = folder / "generated-000001.npy"
    for content in (b"", b"no array", b"\x93NUMPY", (np.zeros((9, 8, 8, 3), dtype=np.uint8),)):
        if isinstance(content, bytes):
            damaged.write_bytes(content)
        else:
            np.save(damaged, content[0])
        with pytest.raises(Failure, match=r"generated-000001.npy: damaged; remove it, and the same command goes on$"):
            generate("array", format="npz")
    damaged.unlink()
    assert (generate("array", format="npz") / "generated.npz").read_bytes() == whole


@pytest.mark.parametrize("form", ["npz", "tar"])
def test_a_full_disk_is_said_of_the_file(form: str, generate: Generate) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1200, limits[1]))  # more than the description takes
    try:
        with pytest.raises(OSError, match="File too large") as error:
            generate("full", format=form, rows=400, shard_rows=400, batch_size=400)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert isinstance(error.value.filename, str) and Path(error.value.filename).parent.name == "full"


@pytest.mark.parametrize("rejects", [False, True])
def test_an_image_does_not_depend_on_the_number_of_images(rejects: bool, generate: Generate, monkeypatch) -> None:
    """By a model that rounds so roughly that a forward of another number of images has others."""
    decode = Autoencoder.decode
    monkeypatch.setattr(Autoencoder, "decode", lambda *words: decode(*words) + 0.02 * len(words[1]))
    given = {}
    if rejects:
        given = {
            "score": lambda pixels, labels: pixels.double().mean((1, 2, 3)),
            "rejection": {"score": "distance", "share": 0.5, "judge": "x"},
        }
    many, few = generate("many", **given), generate("few", rows=15, **given)  # the batches of 5 rows begin at 10 and 14
    names = [f"{row % 10}/{row:06d}.png" for row in range(15)]
    assert [(many / name).read_bytes() for name in names] == [(few / name).read_bytes() for name in names]


def test_two_classes_never_share_a_folder(generate: Generate) -> None:
    classes = ("a/b", "0", "generated.json", "..", "\N{SNOWMAN}" * 86, *"56789")
    folder = generate("named", classes=classes)
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"0_", "0", "2", "3", "4", *"56789"}
    assert {path.name for path in (folder / "0").iterdir()} == {f"{row:06d}.png" for row in (1, 11, 21)}


def test_one_class_alone(generate: Generate, by_class: Run) -> None:
    folder = generate("threes", label=3)
    assert {path.name for path in folder.iterdir()} == {"3", "generated.json"}
    expected = to_uint8(load(by_class.path).sample(ROWS, seed=5, labels=torch.full((ROWS,), 3))).numpy()[:, 0]
    assert np.abs(np.stack([read(file) for file in sorted((folder / "3").iterdir())]) - expected).max() <= 1


def test_a_folder_of_something_else_is_refused(generate: Generate, tmp_path: Path) -> None:
    folder = generate("folder")
    generate("folder")
    with pytest.raises(UserError, match=r"holds other generated images \(seed: 5 there, 6 here\); name another folder"):
        generate("folder", seed=6)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(UserError, match=r"holds other files, such as letter.txt; name an empty or a new folder"):
        generate("mine")
    (folder / "generated.json").write_text("{")
    with pytest.raises(UserError, match=r"generated.json: damaged"):
        read_generation(folder)
