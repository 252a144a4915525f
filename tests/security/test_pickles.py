"""Every file that a command reads is exchanged for a malicious one: none of its code is run, and one line names it.

The files are not a hand-written list: a process with an audit hook records what the commands open.
"""

import io
import os
import pickle
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from vaegan.data import sources
from vaegan.pretrained import WEIGHT_FILES

from ..standins import accept_file
from .world import COMMANDS, FOLDERS, World, build_world, fix_checksums

KINDS = {
    "config or study": r"\w+\.yaml",
    "config of a run": r"runs/.+/config\.yaml",
    "description of a model": r"runs/.+/model/config\.json",
    "list of the images of a run": r"runs/.+/members\.jsonl",
    "weights of a model": r"runs/.+/model/model\.safetensors",
    "tensors of a checkpoint": r"runs/.+/checkpoints/step_\d+/[\w.]+\.safetensors",
    "state of a checkpoint": r"runs/.+/checkpoints/step_\d+/state\.json",
    "checksums of a checkpoint": r"runs/.+/checkpoints/step_\d+/sha256\.json",
    "history": r"runs/.+/history\.jsonl",
    "timing": r"runs/.+/timing\.jsonl",
    "cached figures": r"runs/.+/metrics\.json",
    "cached figures of images": r"runs/.+/scores\.safetensors",
    "cached features": r"cache/features/\w{64}\.safetensors",
    "weights of LPIPS": r"torch/hub/checkpoints/alexnet-owt-\w{8}\.pth",
    "image": r"(images|sets/celeba/img_align_celeba)/.+\.(png|jpg)",
    "CIFAR-10 batch": r"sets/cifar-10-batches-py/(data_batch_\d|test_batch)",
    "CIFAR-10 classes": r"sets/cifar-10-batches-py/batches\.meta",
    "IDX": r"sets/MNIST/raw/.+-ubyte",
    "packed IDX": r"sets/FashionMNIST/raw/.+-ubyte\.gz",
    "CelebA's listing": r"sets/celeba/list_eval_partition\.txt",
}
"""Pattern of the paths of each kind of file."""
PICKLED = ("weights of LPIPS", "CIFAR-10 batch", "CIFAR-10 classes")
"""Kinds of files that are pickles."""
TIMEOUT_SECONDS = 20
"""Longest time of a command."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


def get_kind(name: str) -> str:
    """Return the one kind of a file."""
    [kind] = [kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)]
    return kind


def test_every_file_that_is_read_is_of_a_kind_that_is_attacked(world: World) -> None:
    in_rust = {str(path.relative_to(world.work)) for path in (world.work / "runs").rglob("*.safetensors")}
    assert {get_kind(name) for names in [*world.opened_files, in_rust] for name in names} == KINDS.keys()


class Trap:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.mark,)


def make_malicious_contents(mark: Path, suffix: str) -> dict[str, bytes]:
    """Return contents that create the folder ``mark`` if they are read carelessly, by their names."""
    zipped, saved = io.BytesIO(), io.BytesIO()
    torch.save({"features.0.weight": Trap(mark)}, zipped)
    np.save(saved, np.array([Trap(mark)]), allow_pickle=True)
    pickles = {f"pickle {number}": pickle.dumps({"data": Trap(mark), "labels": []}, number) for number in (0, 2, 4)}
    tags = {
        "applied": f"model: !!python/object/apply:os.mkdir ['{mark}']",
        "new": f"!!python/object/new:os.mkdir ['{mark}']",
        "by another prefix": f"%TAG ! tag:yaml.org,2002:python/\n---\nseed: !object/apply:os.mkdir ['{mark}']",
    }
    return {
        **pickles,
        "torch.save": zipped.getvalue(),
        "numpy.save": saved.getvalue(),
        **{f"tag, {name}": text.encode() for name, text in tags.items() if suffix == ".yaml"},
    }


DAMAGE = {
    "not UTF-8": b"step: \xff\xfe\n",
    "deep lists": b"[" * 100_000,
    "deep mappings": b'{"a":' * 100_000,
    "binary": bytes(range(256)) * 4,
    "other JSON": b'{"step": 1e999, "a": [null]}',
    "a long number": b'{"step": ' + b"9" * 5000 + b"}",
    "a list": b"[]",
    "empty": b"",
}
SOME = ("pickle 2", "torch.save", "tag, applied", "tag, by another prefix", "not UTF-8", "deep mappings", "a pipe")
NO_FILE = {"a pipe": os.mkfifo, "a device": lambda file: file.symlink_to(os.devnull), "a folder": os.mkdir}


def attacks(world: World, kind: str, everything: bool, mark: Path) -> Iterator[tuple[int, str, str]]:
    """Iterate over attacks: the number of a command, a file that it reads, and the name of the contents put into it.

    Without ``everything`` the first file of a kind gets the contents of `SOME`, and all malicious ones if it is a
    pickle; every other file gets one of them in turn.
    """
    seen: set[tuple[str, str]] = set()
    for number, names in enumerate(world.opened_files):
        for name in names:
            case = COMMANDS[number][0][0], re.sub(r"\d+", "N", name)
            if get_kind(name) != kind or case in seen:
                continue
            harmful = make_malicious_contents(mark, Path(name).suffix)
            contents = [*harmful, *DAMAGE, *NO_FILE]
            if not everything:
                contents = [each for each in contents if each in SOME or (kind in PICKLED and each in harmful)]
                contents = [contents[len(seen) % len(contents)]] if seen else contents
            seen.add(case)
            yield from ((number, name, content) for content in contents)


def find_problem(world: World, vaegan, number: int, name: str, content: str, mark: Path) -> str | None:
    """Return what is wrong with a command's answer to a file that was exchanged; None if nothing is."""
    world.restore(number)
    sources._read_cache.clear()  # as in another process
    sources._data_cache.clear()
    file = world.work / name
    file.unlink()
    if content in NO_FILE:
        NO_FILE[content](file)
    else:
        file.write_bytes((make_malicious_contents(mark, file.suffix) | DAMAGE)[content])
        fix_checksums(file)
    if WEIGHT_FILES["alex"].exists:
        WEIGHT_FILES["alex"] = accept_file("alex", WEIGHT_FILES["alex"].path)
    given = file.read_bytes() if file.is_file() else None
    try:
        with time_limit():
            code, out, err = vaegan(*COMMANDS[number][0])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if mark.exists():
        return "its code was run"
    named = [line for line in err.splitlines() if file.name in line]
    if code in (1, 2):
        answered = err.splitlines()[-1:] == named[-1:] and named[-1].startswith("vaegan: ")
    elif code == 0 and not named:
        written_anew = file.is_file() and file.read_bytes() != given
        answered = written_anew or "finished already" in out or given == b"" or is_dispensable(name, content)
    else:
        answered = code == 0 and len(named) == 1
    return None if answered else f"exit code {code}: {err}"


def is_dispensable(name: str, content: str) -> bool:
    """Return whether a command may continue as if there were no such file.

    It may if the file is a folder in place of an image or a cache entry, or no regular file in place of the config of a
    classifier's run, of which only the exported model is used.
    """
    if name.startswith("runs/features/") and get_kind(name) == "config of a run":
        return content in NO_FILE
    return content == "a folder" and get_kind(name) in ("image", "cached features")


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise an error if the block takes longer than `TIMEOUT_SECONDS`."""

    def end(*_: object) -> None:
        raise AssertionError(f"not done after {TIMEOUT_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", KINDS)
def test_no_code_is_run_and_one_line_names_the_file(kind, everything, world, vaegan, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(world.work)
    for name, folder in FOLDERS.items():
        monkeypatch.setenv(name, str(world.work / folder))
    monkeypatch.setitem(WEIGHT_FILES, "alex", WEIGHT_FILES["alex"])
    mark, problems = tmp_path / "mark", []
    for number, name, content in attacks(world, kind, everything, mark):
        answer = find_problem(world, vaegan, number, name, content, mark)
        if answer is not None:
            problems.append(f"{' '.join(COMMANDS[number][0])}: {name}, {content}: {answer}")
    assert not problems, "\n".join(problems)


def test_what_an_old_torchvision_left_runs_no_code(work: Path, vaegan) -> None:
    """Asked to fetch MNIST, torchvision first looks for files that it wrote with torch.save itself years ago."""
    mark = work / "mark"
    for name in ("training.pt", "test.pt"):
        for content in ("pickle 2", "torch.save"):
            file = work / "sets" / "MNIST" / "processed" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(make_malicious_contents(mark, "")[content])
    code, _, err = vaegan(
        "train", "tiny.yaml", "data={source: mnist, root: sets, image_size: 8, download: true, count: null}"
    )
    assert code == 1 and not mark.exists()
    assert err.count("\n") == 1 and "data.download: mnist could not be fetched" in err
