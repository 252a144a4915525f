"""The range coder of the package constriction, with integer tables, and the shortest bytes that hold a message.

A table of K probabilities P_k that sum to 2**24 is given to the package as P_k - 1: it scales what it is given to a sum
of 2**24 - K, here by exactly 1, and adds 1 to each. So nothing is rounded.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from typing import Any

import numpy as np

from vaegan.errors import Failure

from .tables import Integers, normalise

ESCAPE_BITS = 64
"""Most bits of a number that is coded on its own."""
PART_BITS = 16
"""Bits of such a number that are coded at a time."""


KNOWN_MESSAGE = "00000000000100022c146f0f715559118af12bd96d0d275c8a57f3988ac178de09b8be2b9d3037ca02450dc9c9"
"""Bytes that `check_package` writes, hexadecimal."""


class DamagedCodeError(ValueError):
    """The bytes are no message that was coded with these tables."""


def make_model(table: Integers) -> Any:
    """Return the model of a table for `Encoder` and `Decoder`.

    Args:
        table: Probabilities that sum to 2**24, shape (K,).
    """
    from constriction import stream

    return stream.model.Categorical((table - 1).astype(np.float64), perfect=False)


def make_uniform(size: int) -> Any:
    """Return the model of ``size`` symbols that are equally probable, a power of 2."""
    from constriction import stream

    return stream.model.Uniform(size)


class Encoder:
    """A message that grows by symbols."""

    def __init__(self) -> None:
        from constriction import stream

        self._coder = stream.queue.RangeEncoder()

    def encode(self, symbols: Integers, model: Any) -> None:
        """Append symbols, whole numbers from 0 to K - 1, shape (n,), all under one model."""
        self._coder.encode(symbols.astype(np.int32), model)

    def encode_each(self, symbols: Integers, tables: Integers) -> None:
        """Append symbols, shape (n,), each under a table of its own, shape (n, K)."""
        from constriction import stream

        rows = (tables - 1).astype(np.float64)
        self._coder.encode(symbols.astype(np.int32), stream.model.Categorical(perfect=False), rows)

    def encode_number(self, number: int) -> None:
        """Append a whole number from 0 to 2**63 - 1: its number of bits, then the bits behind the first one."""
        bits = (number + 1).bit_length() - 1
        self._coder.encode(bits, make_uniform(ESCAPE_BITS))
        for size, part in _list_parts(bits, number + 1):
            self._coder.encode(part, make_uniform(size))

    def finish(self) -> bytes:
        """Return the shortest bytes from which `Decoder` reads the message, whatever would follow them being 0.

        The coder's state is an interval of 64 bits behind the words that are settled, and every number in it stands for
        the message.
        """
        words = self._coder.get_compressed()
        position, (lower, size) = self._coder.pos()
        bits = 32 * position + 64
        if not len(words):
            return b""
        chosen = int.from_bytes(words.astype(">u4").tobytes(), "big") << (bits - 32 * len(words))
        first = chosen - (chosen - lower) % 2**64
        for count in range(max(0, 4 * position - 4), bits // 8 + 1):
            unit = bits - 8 * count
            rounded = -(-first >> unit)
            if rounded << unit < first + size:
                content: bytes = rounded.to_bytes(count, "big")
                return content.rstrip(b"\0")
        raise AssertionError("the interval holds one of its numbers")


class Decoder:
    """A reader of the bytes of a message.

    Args:
        content: What `Encoder.finish` has returned.
    """

    def __init__(self, content: bytes) -> None:
        from constriction import stream

        padded = content + bytes(-len(content) % 4 + 8)
        self._coder = stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))

    def decode(self, model: Any, count: int) -> Integers:
        """Read ``count`` symbols under one model, int64, shape (count,).

        Raises:
            DamagedCodeError: The bytes are no such message.
        """
        try:
            symbols: Integers = self._coder.decode(model, count).astype(np.int64)
        except (AssertionError, ValueError) as error:  # of the package
            raise DamagedCodeError(str(error)) from None
        return symbols

    def decode_number(self) -> int:
        """Read a number that `Encoder.encode_number` has written.

        Raises:
            DamagedCodeError: The bytes are no such message.
        """
        number = 1
        for size, _ in _list_parts(int(self.decode(make_uniform(ESCAPE_BITS), 1)[0]), 0):
            number = number * size + int(self.decode(make_uniform(size), 1)[0])
        return number - 1


@lru_cache(maxsize=1)
def check_package() -> None:
    """Check that the package writes the bytes that it has written before, by which files are read.

    Raises:
        Failure: This version of it writes others.
    """
    encoder, symbols = Encoder(), np.arange(40)
    encoder.encode(symbols, make_model(normalise(symbols**3)))
    encoder.encode_number(10**12)
    if encoder.finish().hex() != KNOWN_MESSAGE:
        version = f"constriction {metadata.version('constriction')}"
        raise Failure(f"{version} writes other bytes than the files of this vaegan hold; install constriction 0.5")


def _list_parts(bits: int, number: int) -> Sequence[tuple[int, int]]:
    """List the number of values and the value of each part of the last ``bits`` bits of a number, first bits first."""
    sizes = [min(PART_BITS, bits - start) for start in range(0, bits, PART_BITS)]
    ends = np.cumsum([0, *sizes])[1:].tolist()
    return [(1 << size, number >> (bits - end) & ((1 << size) - 1)) for size, end in zip(sizes, ends, strict=True)]
