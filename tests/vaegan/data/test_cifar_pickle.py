"""CIFAR-10's pickles, read without running them."""

import os
import pickle
import struct
from pathlib import Path

import pytest

from vaegan.data.cifar_pickle import read_cifar_batch
from vaegan.errors import UserError

from ...standins import write_cifar
from .image_sets import open_official


def test_what_python_2_wrote_is_read(tmp_path: Path) -> None:
    """Read the opcodes of the official files: protocol 2, byte strings, numpy.core.multiarray."""
    content = bytes(range(256)) * 12
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x01M\x00\x0c\x86"
    kind = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    stream = b"\x80\x02}(U\x04data" + array + kind + b"\x89T" + struct.pack("<I", len(content)) + content + b"tb"
    (tmp_path / "batch").write_bytes(stream + b"U\x06labels]K\x05au.")
    batch = read_cifar_batch(tmp_path / "batch")
    assert batch["labels"] == [5] and batch["data"].tobytes() == content and batch["data"].shape == (1, 3072)


class Malicious:
    """An object that makes a folder when it is unpickled."""

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
        open_official("cifar10", tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "harm").exists()
    pickle.loads(harmful)  # the control: it would have
    assert (tmp_path / "harm").exists()
