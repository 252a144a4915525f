"""Permutations of very many numbers of which any part is computed alone, without the rest."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UInt64s = NDArray[np.uint64]

ROUNDS = 8
"""Rounds of the cipher; 4 with ideal functions make it indistinguishable from a random permutation (Luby, Rackoff)."""


def permute(positions: Tensor, count: int, keys: Sequence[int]) -> Tensor:
    """Return the images of some numbers under a permutation of 0 to ``count - 1`` that is a function of the keys.

    A balanced Feistel cipher permutes the numbers of an even number of bits, at most four times as many as there are;
    what lies beyond ``count`` is enciphered again until it does not ("cycle walking", Black and Rogaway 2002).

    Args:
        positions: Numbers from 0 to ``count - 1``, int64, any shape.
        count: Numbers that are permuted, from 1 to 2^62.
        keys: A 63-bit key for each of the rounds.

    Returns:
        Numbers from 0 to ``count - 1``, int64, of the shape of ``positions``.
    """
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    values = positions.numpy().astype(np.uint64).ravel()
    pending = np.arange(len(values))
    while len(pending):
        values[pending] = _encipher(values[pending], np.uint64(half), keys)
        pending = pending[values[pending] >= count]
    return torch.from_numpy(values.astype(np.int64)).reshape(positions.shape)


def _encipher(values: UInt64s, half: np.uint64, keys: Sequence[int]) -> UInt64s:
    """Return the numbers of ``2 * half`` bits that a Feistel cipher makes of others, uint64, shape (N,)."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ np.uint64(key)) & mask)
    joined: UInt64s = left << half | right
    return joined


def _mix(values: UInt64s) -> UInt64s:
    """Return 64 bits that each depend on every bit of a number (the finalizer of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInt64s = values ^ (values >> np.uint64(31))
    return mixed
