"""MNIST, CIFAR-10 and CelebA, read from small sets in their real files."""

import os
import pickle
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vaegan.config.schema import DataConfig
from vaegan.data import Data, open_data
from vaegan.data.cifar_pickle import read_cifar_batch
from vaegan.errors import Failure, UserError

from ...standins import write_celeba, write_cifar, write_mnist


def opened(source: str, root: Path, **settings: object) -> tuple[Data, list[str]]:
    said: list[str] = []
    settings = {"source": source, "root": root, "image_size": 32, **settings}
    return open_data(DataConfig.model_validate(settings), said.append), said


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("source", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_is_padded_to_32_and_keeps_its_test_split(tmp_path: Path, source: str, folder: str, packed: bool) -> None:
    images = write_mnist(tmp_path / folder / "raw", packed)
    data, said = opened(source, tmp_path, channels=1)
    assert not said and (len(data.train), len(data.validation), len(data.test)) == (18, 2, 10)
    expected = torch.from_numpy(np.pad(images, [(0, 0), (2, 2), (2, 2)]))[:, None]
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split[torch.arange(len(split))], expected[split.part])
        assert split.labels is not None and torch.equal(split.labels, split.part % 10)
    assert data.test.part.tolist() == list(range(20, 30)) and len(data.classes) == 10


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_cifar10_is_read_without_unpickling_and_a_copy_that_is_not_official_is_said_so(
    tmp_path: Path, protocol: int
) -> None:
    images = write_cifar(tmp_path / "cifar-10-batches-py", protocol)
    data, said = opened("cifar10", tmp_path)
    assert len(said) == 1 and "not the official CIFAR-10" in said[0]
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 4)
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split[torch.arange(len(split))], torch.from_numpy(images)[split.part])
    assert data.test.labels is not None and data.test.labels.tolist() == [0, 3, 9, 5]
    assert data.test.label(2) == "class9"


def test_what_python_2_wrote_is_read(tmp_path: Path) -> None:
    """The opcodes of the official files: protocol 2, byte strings, numpy.core.multiarray."""
    content = bytes(range(256)) * 12
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x01M\x00\x0c\x86"
    kind = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    stream = b"\x80\x02}(U\x04data" + array + kind + b"\x89T" + struct.pack("<I", len(content)) + content + b"tb"
    (tmp_path / "batch").write_bytes(stream + b"U\x06labels]K\x05au.")
    batch = read_cifar_batch(tmp_path / "batch")
    assert batch["labels"] == [5] and batch["data"].tobytes() == content and batch["data"].shape == (1, 3072)


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_batch_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py")
    harmful = pickle.dumps({"data": Malicious(tmp_path / "harm"), "labels": []}, protocol=protocol)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(harmful)
    with pytest.raises(UserError, match=r"data_batch_3: refused .*posix\.mkdir|nt\.mkdir") as caught:
        opened("cifar10", tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "harm").exists()
    pickle.loads(harmful)  # the control: it would have
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "tree",
    [
        [1],
        {"data": np.zeros((2, 3072), dtype=np.float32), "labels": [0, 1]},
        {"data": np.zeros((2, 3071), dtype=np.uint8), "labels": [0, 1]},
        {"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [0]},
        {"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [0, 10]},
        {"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [0, 10**30]},
        {"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [0, [1]]},
        {"data": np.asfortranarray(np.zeros((2, 3072), dtype=np.uint8)), "labels": [0, 1]},
        {"data": np.array([os.getcwd()], dtype=object), "labels": [0]},
    ],
)
def test_a_batch_of_the_wrong_form_is_a_mistake_in_one_line(tmp_path: Path, tree: object) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(tree, protocol=2))
    with pytest.raises(UserError, match=r"data\.root: .*cifar-10-batches-py") as caught:
        opened("cifar10", tmp_path)
    assert "\n" not in str(caught.value)


def test_cut_files_are_mistakes(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py")
    write_mnist(tmp_path / "MNIST" / "raw")
    for path in (
        tmp_path / "cifar-10-batches-py" / "test_batch",
        tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte",
    ):
        path.write_bytes(path.read_bytes()[:100])
    for source, name in (("cifar10", "test_batch"), ("mnist", "t10k-images")):
        with pytest.raises(UserError, match=name):
            opened(source, tmp_path)


def test_celeba_keeps_its_three_splits(tmp_path: Path) -> None:
    write_celeba(tmp_path / "celeba")
    data, _ = opened("celeba", tmp_path)
    assert [split.part.tolist() for split in (data.train, data.validation, data.test)] == [
        list(range(8)), [8], [9, 10, 11]
    ]  # fmt: skip
    assert data.train.labels is None and data.train[torch.tensor([0])].shape == (1, 3, 32, 32)
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text("")
    with pytest.raises(UserError, match=r"list_eval_partition\.txt: no file name in it"):
        opened("celeba", tmp_path)
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text("../../secret.jpg 0\n")
    with pytest.raises(UserError, match="line 1"):
        opened("celeba", tmp_path)


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist", "cifar10", "celeba"])
def test_a_missing_set_says_what_to_put_where(tmp_path: Path, source: str) -> None:
    with pytest.raises(UserError, match=r"data\.root: .*data\.download=true, or put .* into ") as caught:
        opened(source, tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_download_without_a_network_is_a_failure_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(Failure, match=r"data\.download: cifar10 could not be fetched .*; put ") as caught:
        opened("cifar10", tmp_path, download=True)
    assert "\n" not in str(caught.value)


def test_celeba_without_gdown_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaegan.data.official.find_spec", lambda name: None)
    with pytest.raises(Failure, match=r"celeba could not be fetched \(.*pip install vaegan\[celeba\]\); put "):
        opened("celeba", tmp_path, download=True)


SLOW_DOWNLOAD = """
import os, shutil, sys, time, types
from pathlib import Path

def fetch(root, download):
    with open("fetched", "a") as log:
        log.write("once ")
    raw = Path(root, "MNIST", "raw")
    raw.mkdir(parents=True)
    for file in Path("there").iterdir():
        (raw / file.name).write_bytes(b"half")
    Path("half").touch()
    while len(list(Path().glob("arrived*"))) < 3:
        time.sleep(0.01)
    time.sleep(0.5)
    for file in Path("there").iterdir():
        shutil.copy(file, raw)

stub = types.ModuleType("torchvision")
stub.datasets = types.SimpleNamespace(MNIST=fetch)
sys.modules["torchvision"] = stub

from vaegan.config.schema import DataConfig
from vaegan.data import open_data

config = DataConfig(source="mnist", root=Path("set"), image_size=32, channels=1, download=True)
Path(f"arrived{os.getpid()}").touch()
print(open_data(config).fingerprint)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no lock there")
def test_of_several_processes_one_fetches_and_the_others_wait(tmp_path: Path) -> None:
    write_mnist(tmp_path / "there")
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), paths])}

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SLOW_DOWNLOAD]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)

    processes = [start(), start()]
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "half").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        processes.append(start())
        prints = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert (tmp_path / "fetched").read_text() == "once "
    assert len(set(prints)) == 1 and prints[0].strip() == opened("mnist", tmp_path / "set", channels=1)[0].fingerprint


def test_nothing_is_written_where_nothing_is_missing(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    before = sorted(tmp_path.rglob("*"))
    opened("mnist", tmp_path, channels=1, download=True)
    assert sorted(tmp_path.rglob("*")) == before
