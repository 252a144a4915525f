"""Sets that are missing: what the message says, and the download by one process of many."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vaegan.errors import Failure, UserError

from ...standins import write_mnist
from .image_sets import open_official


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist", "cifar10", "celeba"])
def test_a_missing_set_says_what_to_put_where(tmp_path: Path, source: str) -> None:
    with pytest.raises(UserError, match=r"data\.root: .*data\.download=true, or put .* into ") as caught:
        open_official(source, tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_download_without_a_network_is_a_failure_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(Failure, match=r"data\.download: cifar10 could not be fetched .*; put ") as caught:
        open_official("cifar10", tmp_path, download=True)
    assert "\n" not in str(caught.value)


def test_celeba_without_gdown_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaegan.data.official.find_spec", lambda name: None)
    with pytest.raises(Failure, match=r"celeba could not be fetched \(.*pip install vaegan\[celeba\]\); put "):
        open_official("celeba", tmp_path, download=True)


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

from vaegan.config.data import DataConfig
from vaegan.data import open_data

config = DataConfig(source="mnist", root=Path("set"), image_size=32, channels=1, download=True)
Path(f"arrived{os.getpid()}").touch()
print(open_data(config).fingerprint)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no lock there")
def test_one_of_several_processes_downloads_and_the_others_wait(tmp_path: Path) -> None:
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
    assert (
        len(set(prints)) == 1
        and prints[0].strip() == open_official("mnist", tmp_path / "set", channels=1)[0].fingerprint
    )


def test_nothing_is_written_where_nothing_is_missing(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    before = sorted(tmp_path.rglob("*"))
    open_official("mnist", tmp_path, channels=1, download=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_of_several_files_those_that_are_missing_are_named(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw)
    missing = next(file for file in raw.iterdir() if "t10k-labels" in file.name)
    missing.unlink()
    with pytest.raises(UserError) as caught:
        open_official("mnist", tmp_path, channels=1)
    name = "t10k-labels-idx1-ubyte"
    expected = f"data.root: mnist: {name} is missing; set data.download=true, or put {name} into {raw}"
    assert str(caught.value) == expected
