"""MNIST, CIFAR-10 and CelebA, read from small sets in their real files."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from vaegan.errors import UserError

from ...standins import write_celeba, write_cifar, write_mnist
from .image_sets import open_official


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("source", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_is_padded_to_32_and_keeps_its_test_split(tmp_path: Path, source: str, folder: str, packed: bool) -> None:
    images = write_mnist(tmp_path / folder / "raw", packed)
    data, warnings = open_official(source, tmp_path, channels=1)
    assert not warnings and (len(data.train), len(data.validation), len(data.test)) == (18, 2, 10)
    expected = torch.from_numpy(np.pad(images, [(0, 0), (2, 2), (2, 2)]))[:, None]
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split[torch.arange(len(split))], expected[split.indices])
        assert split.labels is not None and torch.equal(split.labels, split.indices % 10)
    assert data.test.indices.tolist() == list(range(20, 30)) and len(data.classes) == 10


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_cifar10_is_read_without_unpickling_and_an_unofficial_copy_is_named(tmp_path: Path, protocol: int) -> None:
    images = write_cifar(tmp_path / "cifar-10-batches-py", protocol)
    data, warnings = open_official("cifar10", tmp_path)
    assert len(warnings) == 1 and "not the official CIFAR-10" in warnings[0]
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 4)
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split[torch.arange(len(split))], torch.from_numpy(images)[split.indices])
    assert data.test.labels is not None and data.test.labels.tolist() == [0, 3, 9, 5]
    assert data.classes[data.test.labels[2]] == "class9"


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
def test_a_batch_of_the_wrong_form_is_an_error_in_one_line(tmp_path: Path, tree: object) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(tree, protocol=2))
    with pytest.raises(UserError, match=r"data\.root: .*cifar-10-batches-py") as caught:
        open_official("cifar10", tmp_path)
    assert "\n" not in str(caught.value)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py")
    write_mnist(tmp_path / "MNIST" / "raw")
    for path in (
        tmp_path / "cifar-10-batches-py" / "test_batch",
        tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte",
    ):
        path.write_bytes(path.read_bytes()[:100])
    for source, name in (("cifar10", "test_batch"), ("mnist", "t10k-images")):
        with pytest.raises(UserError, match=name):
            open_official(source, tmp_path)


def test_celeba_keeps_its_three_splits(tmp_path: Path) -> None:
    write_celeba(tmp_path / "celeba")
    data, _ = open_official("celeba", tmp_path)
    assert [split.indices.tolist() for split in (data.train, data.validation, data.test)] == [
        list(range(8)), [8], [9, 10, 11]
    ]  # fmt: skip
    assert data.train.labels is None and data.train[torch.tensor([0])].shape == (1, 3, 32, 32)
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text("")
    with pytest.raises(UserError, match=r"list_eval_partition\.txt: no file name in it"):
        open_official("celeba", tmp_path)
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text("../../secret.jpg 0\n")
    with pytest.raises(UserError, match="line 1"):
        open_official("celeba", tmp_path)


def test_an_image_of_celeba_is_in_one_split(tmp_path: Path) -> None:
    write_celeba(tmp_path / "celeba")
    with (tmp_path / "celeba" / "list_eval_partition.txt").open("a") as file:
        file.write("000003.jpg 2\n")
    with pytest.raises(UserError, match=r"list_eval_partition\.txt: line 13 names 000003\.jpg again, as line 4"):
        open_official("celeba", tmp_path)
