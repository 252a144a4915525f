"""Blocks lie where malloc of the GNU C library places them."""

import random

from vaegan.devices import MAX_HEAP_TENSOR_BYTES
from vaegan.trainers.heap import ALIGNMENT_BYTES, HEADER_BYTES, Block, Heap


def test_a_large_block_is_returned_and_a_small_one_leaves_a_hole() -> None:
    heap = Heap()
    heap.free(MAX_HEAP_TENSOR_BYTES, heap.allocate(MAX_HEAP_TENSOR_BYTES))
    heap.allocate(MAX_HEAP_TENSOR_BYTES)
    assert heap.peak_bytes == MAX_HEAP_TENSOR_BYTES
    first, _ = heap.allocate(10_000), heap.allocate(100)
    heap.free(10_000, first)
    assert heap.allocate(10_000) == Block(10_116 + HEADER_BYTES, 20_116 + 2 * HEADER_BYTES), "no room to align it"
    assert heap.allocate(10_000 - ALIGNMENT_BYTES) == Block(0, 10_000 - ALIGNMENT_BYTES + HEADER_BYTES)


def test_a_block_lies_in_the_smallest_hole() -> None:
    heap = Heap()
    blocks = [heap.allocate(size) for size in (5000, 10, 3000, 10, 4000, 10)]
    for index, size in ((0, 5000), (2, 3000), (4, 4000)):
        heap.free(size, blocks[index])
    third = blocks[4]
    assert third is not None and heap.allocate(3500) == Block(third.start, third.start + 3500 + HEADER_BYTES)


def test_no_blocks_overlap_and_all_that_are_freed_leave_one_hole() -> None:
    heap, rng, blocks = Heap(), random.Random(0), dict[Block, int]()
    for _ in range(500):
        if blocks and rng.random() < 0.45:
            block = rng.choice([*blocks])
            heap.free(blocks.pop(block), block)
        elif block := heap.allocate(size := rng.randrange(1, 10**5)):
            blocks[block] = size
        stops = [0, *(block.stop for block in sorted(blocks))]
        assert all(stop <= block.start for stop, block in zip(stops, sorted(blocks), strict=False))
    for block, size in blocks.items():
        heap.free(size, block)
    assert heap._holes == [Block(0, heap._end)]
