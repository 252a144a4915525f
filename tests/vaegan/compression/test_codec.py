"""Every kind of code comes back exactly, in as many bits as its tables say."""

from collections.abc import Callable
from math import log, log2

import numpy as np
import pytest
import torch

from vaegan.compression import coders, range_coder
from vaegan.compression.coders import MODES, PixelCNNCoder, TableCoder
from vaegan.compression.codes import get_vqvae, quantise
from vaegan.compression.compressing import check_symbols
from vaegan.compression.range_coder import make_model
from vaegan.compression.tables import TOTAL, normalise
from vaegan.errors import Failure
from vaegan.images import to_float, to_uint8
from vaegan.models import PixelCNN

from .conftest import KINDS, Fitted

Fit = Callable[[str], Fitted]


@pytest.mark.parametrize("kind", KINDS)
def test_symbols_come_back_and_become_the_images_of_the_quantised_codes(kind: str, fitted: Fit) -> None:
    part = fitted(kind)
    model, codec, (pixels, labels) = part.model, part.build(0.125), part.read(40)
    symbols = codec.quantise(pixels, labels)
    messages = codec.encode(symbols, labels)
    assert torch.equal(codec.decode(messages, labels), symbols) and symbols.unique().numel() > 2
    one = slice(17, 18)
    assert torch.equal(codec.decode(messages[one], None if labels is None else labels[one]), symbols[one])
    with torch.no_grad():
        vqvae = get_vqvae(model)
        if vqvae is not None:
            assert torch.equal(symbols.view(40, 2, 2), vqvae.encode_indices(to_float(pixels)))
            expected = vqvae.reconstruct(to_float(pixels))
        else:
            means = model.encode(to_float(pixels), labels).mean
            rounded = symbols.flatten(1).double() * codec.step
            assert (rounded - means).abs().max() <= codec.step / 2 * (1 + 1e-6) and codec.step <= 0.13
            expected = model.decode(rounded.float(), labels)
    assert torch.equal(codec.reconstruct(symbols, labels), to_uint8(expected))


@pytest.mark.parametrize("kind", ["ae", "grid", "vqvae"])
def test_messages_take_the_bits_of_their_tables(kind: str, fitted: Fit) -> None:
    part = fitted(kind)
    codec, (pixels, labels) = part.build(), part.read(50)
    coder = codec.coder
    assert isinstance(coder, TableCoder)
    symbols = codec.quantise(pixels, labels)
    for image, message in zip(symbols.numpy(), codec.encode(symbols, labels), strict=True):
        inside = np.abs(image) <= coder.most if coder.escapes else np.full(image.shape, True)
        if inside.all():
            bits = -np.log2(np.take_along_axis(coder.tables, image + coder.most, 1) / TOTAL).sum()
            assert bits - 8 <= 8 * len(message) <= bits + 8


def test_the_rate_is_the_entropy_of_the_tables() -> None:
    draw = np.random.default_rng(0)
    tables = normalise(np.exp(-0.5 * ((np.arange(42) - 20) / [[3.0], [6.0], [0.4]]) ** 2 + 18).astype(np.int64))
    coder, positions = TableCoder(tables, 30_000, escapes=True), 30_000
    symbols = np.stack([draw.choice(42, positions, p=table / TOTAL) for table in tables]) - 20
    (message,) = coder.encode(torch.from_numpy(symbols[None]), None)
    entropy = -(tables / TOTAL * np.log2(tables / TOTAL)).sum() * positions
    assert 8 * len(message) == pytest.approx(entropy, rel=0.01)
    assert np.array_equal(coder.decode([message], None)[0].numpy(), symbols)


def test_values_outside_the_tables_are_exact(fitted: Fit) -> None:
    for kind in ("vae", "grid"):
        codec = fitted(kind).build()
        assert isinstance(codec.coder, TableCoder)
        most = codec.coder.most
        symbols = torch.zeros(1, len(codec.coder.tables), codec.coder.positions, dtype=torch.int64).flatten()
        for place, symbol in enumerate((most + 1, -most - 1, 2**52 - 1, 1 - 2**52)):
            symbols[place % len(symbols)] = symbol
        symbols = symbols.view(1, len(codec.coder.tables), -1)
        assert torch.equal(codec.decode(codec.encode(symbols, None), None), symbols)
    for value in (float("nan"), float("inf"), 1e300):
        with pytest.raises(Failure, match="a code is not finite, or too large for the step"):
            quantise(torch.tensor([value], dtype=torch.float64), 0.1)


@pytest.mark.parametrize("kind", ["pixelcnn", "pixelcnn by class"])
def test_a_pixelcnn_takes_the_bits_of_its_likelihood(kind: str, fitted: Fit) -> None:
    part = fitted(kind)
    model, codec, (pixels, labels) = part.model, part.build(), part.read(60)
    assert isinstance(model, PixelCNN)
    symbols = codec.quantise(pixels, labels)
    messages = codec.encode(symbols, labels)
    with torch.no_grad():
        bits = model.prior_nll(symbols.view(-1, 2, 2), labels) / log(2) - log2(MODES[0] / TOTAL)
    sizes = 8 * torch.tensor(list(map(len, messages)))
    assert ((sizes <= bits * 1.01 + 8) & (sizes >= bits * 0.99 - 8)).all()
    assert len({*bits.tolist()}) > 10


def test_logits_near_a_tie_are_coded_under_the_histogram(fitted: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    part = fitted("pixelcnn by class")
    codec, (pixels, labels) = part.build(), part.read(12)
    assert isinstance(codec.coder, PixelCNNCoder)
    symbols = codec.quantise(pixels, labels)
    plain = codec.encode(symbols, labels)
    monkeypatch.setattr(coders, "TIE_MARGIN", 0.6)
    careful = codec.encode(symbols, labels)
    mixed = [(careful, plain)[number % 2][number] for number in range(12)]
    assert careful != plain
    for messages in (careful, mixed):
        assert torch.equal(codec.decode(messages, labels), symbols)
    monkeypatch.setattr(codec.coder.prior, "fill", None)
    assert torch.equal(codec.decode(careful, labels), symbols)  # which asks no network


def test_logits_that_differ_by_rounding_give_the_same_tables(fitted: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    ties = torch.tensor([0.5, 3.5 - 5e-9, -1.5 + 5e-9, 0.5 - 2e-8, 2.0], dtype=torch.float64) / 16
    assert coders.find_certain(ties).tolist() == [False, False, False, True, True]
    part = fitted("pixelcnn by class")
    codec, (pixels, labels) = part.build(), part.read(60)
    symbols = codec.quantise(pixels, labels)
    messages, plain = codec.encode(symbols, labels), coders.round_logits

    def round_elsewhere(logits: torch.Tensor) -> torch.Tensor:
        return plain(logits + coders.TIE_MARGIN / 16 * (2 * torch.rand_like(logits) - 1))

    monkeypatch.setattr(coders, "round_logits", round_elsewhere)
    assert torch.equal(codec.decode(messages, labels), symbols)


def test_a_coder_that_writes_other_bytes_is_refused(fitted: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    part = fitted("vqvae")
    part.build()
    range_coder.check_package.cache_clear()
    monkeypatch.setattr(range_coder, "make_model", lambda table: make_model(table[::-1]))
    with pytest.raises(Failure, match=r"^constriction [0-9.]+ writes other bytes than the files of this vaegan hold"):
        part.build()


def test_the_check_of_symbols_sees_any_change() -> None:
    symbols = torch.arange(24).view(2, 3, 4)
    one, two = check_symbols(symbols), check_symbols(symbols.flip(0))
    assert one == two[::-1] and one[0] != one[1]
