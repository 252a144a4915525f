"""Messages are read as they were written, by whole numbers alone, and take hardly more bits than their information."""

from math import log2

import numpy as np
import pytest

from vaegan.compression.range_coder import DamagedCodeError, Decoder, Encoder, make_model
from vaegan.compression.tables import TOTAL, Integers, normalise


def draw_table(draw: np.random.Generator, width: int) -> Integers:
    return normalise(draw.integers(0, 2, width) * draw.integers(0, 10**6, width))


def decode_by_hand(content: bytes, table: list[int], count: int) -> list[int]:
    """Decode symbols by Python's whole numbers: a range coder of 64 bits of state and words of 32 (Martin 1979)."""
    content += bytes(-len(content) % 4 + 8)
    words = [int.from_bytes(content[start : start + 4], "big") for start in range(0, len(content), 4)]
    point, words = words[0] << 32 | words[1], words[2:]
    lower, size, symbols = 0, 2**64 - 1, []
    for _ in range(count):
        unit, symbol, below = size >> 24, 0, 0
        while below + table[symbol] <= (point - lower) % 2**64 // unit:
            below, symbol = below + table[symbol], symbol + 1
        lower, size = (lower + unit * below) % 2**64, unit * table[symbol]
        if size < 2**32:
            next_word, words = (words[0] if words else 0), words[1:]
            lower, size, point = (lower << 32) % 2**64, size << 32, (point << 32 | next_word) % 2**64
        symbols.append(symbol)
    return symbols


@pytest.mark.parametrize("seed", range(4))
def test_messages_are_read_as_they_were_written(seed: int) -> None:
    draw = np.random.default_rng(seed)
    for trial in range(150):
        width, count = int(draw.integers(2, 40)), int(draw.integers(0, 60))
        table = draw_table(draw, width)
        likely, any_symbol = draw.choice(width, count, p=table / TOTAL), draw.integers(0, width, count)
        symbols = any_symbol if trial % 3 == 0 else likely
        numbers = [int(draw.integers(0, 2**62)) >> int(draw.integers(0, 62)) for _ in range(trial % 4)]
        encoder = Encoder()
        encoder.encode(symbols, make_model(table))
        for number in numbers:
            encoder.encode_number(number)
        content = encoder.finish()
        decoder = Decoder(content)
        assert np.array_equal(decoder.decode(make_model(table), count), symbols)
        assert [decoder.decode_number() for _ in numbers] == numbers
        if not numbers:
            bits = -sum(log2(table[symbol] / TOTAL) for symbol in symbols)
            assert bits - 1e-6 <= 8 * len(content) + 8 and 8 * len(content) <= bits + 8


def test_nothing_is_rounded() -> None:
    """A decoder of whole numbers, which knows nothing of the package, reads what the package has written."""
    draw = np.random.default_rng(5)
    for width, count in ((2, 200), (300, 1000), (2**12, 300)):
        table = draw_table(draw, width)
        symbols = draw.choice(width, count, p=table / TOTAL)
        encoder, each = Encoder(), Encoder()
        encoder.encode(symbols, make_model(table))
        each.encode_each(symbols, np.tile(table, (count, 1)))
        content = encoder.finish()
        assert each.finish() == content
        assert decode_by_hand(content, table.tolist(), count) == symbols.tolist()


@pytest.mark.parametrize("number", [0, 1, 2**16 - 2, 2**16 - 1, 2**16, 2**63 - 2])
def test_numbers_of_any_size(number: int) -> None:
    encoder = Encoder()
    encoder.encode_number(number)
    content = encoder.finish()
    assert Decoder(content).decode_number() == number
    assert len(content) <= (6 + number.bit_length()) // 8 + 1


def test_bytes_that_are_no_message_are_no_crash() -> None:
    draw = np.random.default_rng(6)
    model, refused = make_model(draw_table(draw, 300)), 0
    for _ in range(100):
        try:
            Decoder(draw.bytes(100)).decode(model, 400)
        except DamagedCodeError:
            refused += 1
    assert refused
