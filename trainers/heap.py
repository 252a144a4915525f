"""A model of the heap of the GNU C library, in which freed blocks leave holes that newer ones may not fit into."""

import bisect
from typing import NamedTuple

from vaegan.devices import MAX_HEAP_TENSOR_BYTES

HEADER_BYTES = 16
"""Bytes before a block."""
ALIGNMENT_BYTES = 96
"""Bytes that a hole needs beyond a block and its header, since torch's tensors begin at multiples of 64 bytes."""


class Block(NamedTuple):
    """A part of the heap, in bytes from its beginning."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of its bytes."""
        return self.stop - self.start


class Heap:
    """A heap that places each block in the smallest hole that is large enough, or else at the end of the heap.

    A hole as large as a block is too small for it, as it leaves no room to align the block. So a training whose
    activations have a few megabytes each holds more memory than its tensors have. Blocks of `MAX_HEAP_TENSOR_BYTES` and
    more are mapped by themselves, and the end of the heap is never returned to the system, as in a training under
    `keep_freed_memory`.

    Attributes:
        peak_bytes: Most bytes at a time that the system has given: the heap to its end, and the mapped blocks.
    """

    def __init__(self) -> None:
        self.peak_bytes = self._end = self._mapped = 0
        self._holes: list[Block] = []  # in the order of their addresses, no two adjacent

    def allocate(self, size: int) -> Block | None:
        """Allocate ``size`` bytes and return their block; None: they are mapped by themselves."""
        if size >= MAX_HEAP_TENSOR_BYTES:
            self._mapped += size
            block = None
        else:
            block = self._place(size)
        self.peak_bytes = max(self.peak_bytes, self._end + self._mapped)
        return block

    def _place(self, size: int) -> Block:
        needed = size + HEADER_BYTES
        fitting = [hole for hole in self._holes if hole.size >= needed + ALIGNMENT_BYTES]
        if fitting:
            hole = min(fitting, key=lambda each: each.size)
            self._holes.remove(hole)
            block = Block(hole.start, hole.start + needed)
            bisect.insort(self._holes, Block(block.stop, hole.stop))
            return block
        start = self._holes.pop().start if self._holes and self._holes[-1].stop == self._end else self._end
        self._end = start + needed
        return Block(start, self._end)

    def free(self, size: int, block: Block | None) -> None:
        """Free the ``size`` bytes of a block, whose hole is joined with those beside it."""
        if block is None:
            self._mapped -= size
            return
        start, stop = block
        index = bisect.bisect(self._holes, block)
        if index < len(self._holes) and self._holes[index].start == stop:
            stop = self._holes.pop(index).stop
        if index and self._holes[index - 1].stop == start:
            start = self._holes.pop(index - 1).start
        bisect.insort(self._holes, Block(start, stop))
