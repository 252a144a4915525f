"""The memory of the CPU: counted in a process of its own, which keeps what the function sets."""

import os
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from vaegan.devices import keep_freed_memory

def count_page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        tensors = [torch.ones(2**21) for _ in range(8)]  # of 8 MiB
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

count_page_faults()
before = count_page_faults()
keep_freed_memory()
count_page_faults()
print(before, count_page_faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc returns the memory")
def test_memory_that_was_freed_is_used_again_without_the_system() -> None:
    returned = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}  # what glibc starts with
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env={**os.environ, **returned}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert before > 1000 * (after + 1), done.stdout
