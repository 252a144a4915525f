"""Stateless randomness: every random tensor is a function of (seed, purpose, step, index in the global batch).

There is no generator whose state must be saved: a resumed run draws the numbers of step k by asking for step k,
and a rank draws for the global batch and takes its slice. Numbers are drawn on the CPU, so that they are the same
on every device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b

import torch
from torch import Tensor

from .keyed_permutation import ROUNDS, permute

MAX_SHUFFLED_IMAGES = 2**24
"""Most images of which the order of a pass is held in memory, 4 bytes each; of more any part of it is computed."""


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed, a function of ``seed`` and of a purpose, for example ``("prior", step)``."""
    digest = blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def make_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a `torch.Generator` on the CPU, seeded with a function of ``seed`` and ``purpose``."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def draw_normal(shape: tuple[int, ...], seed: int, *purpose: str | int) -> Tensor:
    """Draw a standard normal float32 tensor on the CPU, a function of its shape, ``seed`` and ``purpose``."""
    return torch.randn(shape, generator=make_generator(seed, *purpose), dtype=torch.float32)


@contextmanager
def seed_global_generator(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed torch's global CPU generator with a function of ``seed`` and ``purpose`` inside the block.

    Constructors draw their initial weights from it; the generator's state is restored afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, *purpose))
        yield


def draw_order(count: int, start: int, stop: int, seed: int) -> Tensor:
    """Draw the indices of the images at positions ``start`` to ``stop - 1`` of the training stream, which has no end.

    Each pass over the images is a new permutation, a function of ``seed`` and the pass. Step k of a global
    batch of B images takes the positions k B to (k + 1) B, whatever the number of processes.

    Args:
        count: Number of images.
        start: First position.
        stop: Position after the last.
        seed: Root of the permutations.

    Returns:
        Indices below ``count``, int64, shape (stop - start,).
    """
    positions = torch.arange(start, stop)
    passes = positions // count
    indices = torch.empty_like(positions)
    for number in passes.unique().tolist():
        in_pass = passes == number
        indices[in_pass] = _draw_from_pass(positions[in_pass] % count, count, seed, number)
    return indices


def _draw_from_pass(positions: Tensor, count: int, seed: int, number: int) -> Tensor:
    """Return the indices of the images at some positions of a pass, int64."""
    if count > MAX_SHUFFLED_IMAGES:
        return permute(positions, count, [derive_seed(seed, "order", number, part) for part in range(ROUNDS)])
    return _draw_permutation(count, seed, number)[positions].long()


@lru_cache(maxsize=2)
def _draw_permutation(count: int, seed: int, number: int) -> Tensor:
    generator = make_generator(seed, "order", number)
    return torch.randperm(count, generator=generator, dtype=torch.int32)  # the order is that of int64
