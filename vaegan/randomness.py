"""Stateless randomness: every random tensor is a function of (seed, purpose, step, index in the global batch).

There is no generator whose state must be saved: a resumed run asks for step k and gets the numbers of step k,
and a rank draws for the global batch and takes its slice. Draws are made on the CPU, so that every device
sees the same ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b

import torch
from torch import Tensor


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that is a function of ``seed`` and a purpose such as ``("prior", step)``."""
    digest = blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def make_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator at the start of the stream of ``seed`` and ``purpose``."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def draw_normal(shape: tuple[int, ...], seed: int, *purpose: str | int) -> Tensor:
    """Standard normal float32 tensor on the CPU, a function of its shape, ``seed`` and ``purpose``."""
    return torch.randn(shape, generator=make_generator(seed, *purpose))


@contextmanager
def seed_global_generator(seed: int, *purpose: str | int) -> Iterator[None]:
    """Make torch's global CPU generator a function of ``seed`` and ``purpose`` inside the block.

    For constructors that draw their initial weights; the generator's state is restored afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, *purpose))
        yield


def draw_order(count: int, start: int, stop: int, seed: int) -> Tensor:
    """Which images the positions ``start`` to ``stop`` of the endless training stream show.

    Each pass over the images is a new permutation, a function of ``seed`` and the pass. Step k of a global
    batch of B images shows the positions k B to (k + 1) B, whatever the number of processes.

    Returns:
        Indices below ``count``, int64, shape (stop - start,).
    """
    positions = torch.arange(start, stop)
    passes = positions // count
    indices = torch.empty_like(positions)
    for number in passes.unique().tolist():
        here = passes == number
        indices[here] = _permutation(count, seed, number)[positions[here] % count]
    return indices


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, number: int) -> Tensor:
    return torch.randperm(count, generator=make_generator(seed, "order", number))
