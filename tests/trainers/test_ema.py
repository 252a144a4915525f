import pytest
import torch
from torch import nn

from vaegan.config.schema import TrainConfig
from vaegan.trainers.ema import compute_decay, list_tensors, update_ema


def test_the_average_follows_its_formula() -> None:
    """Against weights written out by hand: sum over steps of (1 - d_k) times the product of the later d."""
    model, average = nn.BatchNorm1d(3).double(), nn.BatchNorm1d(3).double()
    tensors = list_tensors(average), list_tensors(model)
    with torch.no_grad():
        average.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
    values = [torch.tensor([1.0, -1.0, 0.5]) * (step + 2) for step in range(4)]
    decays = [1 / 10, 2 / 11, 0.2, 0.2]  # min(0.2, (1 + k) / (10 + k))
    expected = torch.tensor([1.0, 2.0, 3.0]).double()
    config, without = (TrainConfig(steps=9, ema_decay=decay) for decay in (0.2, 0))
    for step, value in enumerate(values):
        with torch.no_grad():
            model.weight.copy_(value)
            model.running_mean.copy_(value)
        update_ema(*tensors, compute_decay(config, None, 9, torch.tensor(step)), torch.tensor(True))
        expected = decays[step] * expected + (1 - decays[step]) * value.double()
    torch.testing.assert_close(average.weight, expected, rtol=1e-14, atol=0)
    assert torch.equal(average.running_mean, model.running_mean)  # buffers are copied
    with torch.no_grad():
        model.weight.add_(1)
    update_ema(*tensors, torch.tensor(0.2).double(), torch.tensor(False))  # a step that was skipped
    torch.testing.assert_close(average.weight, expected, rtol=1e-14, atol=0)
    update_ema(*tensors, compute_decay(without, None, 9, torch.tensor(100)), torch.tensor(True))
    assert torch.equal(average.weight, model.weight)


def test_a_half_life_is_counted_in_images_whatever_the_batch_size() -> None:
    """After H images half of the weight is left, by steps of 4, 8 or 16 images; and at most a tenth of those seen."""
    updates = torch.tensor(0)

    def multiply(batch_size: int, first: int, last: int, half_life: object) -> float:
        options = {"steps": 10**5 // batch_size, "batch_size": batch_size, "ema_half_life": half_life}
        config = TrainConfig.model_validate(options)
        decays = [
            compute_decay(config, config.ema_half_life, step, updates)
            for step in range(first // batch_size, last // batch_size)
        ]
        return float(torch.stack([decay for decay in decays if decay is not None]).prod())

    for batch_size in (4, 8, 16):
        assert multiply(batch_size, 48_000, 48_800, 800) == pytest.approx(0.5, abs=1e-12)
        rising = {"start": 0, "end": 1600, "images": 96_000, "shape": "linear"}  # 800 in the middle
        assert multiply(batch_size, 47_600, 48_400, rising) == pytest.approx(0.5, abs=1e-3)
    config = TrainConfig(steps=100, batch_size=8, ema_half_life=800)
    assert compute_decay(config, 800, 0, updates) is None  # nothing is left of the initial weights
    early = compute_decay(config, 800, 50, updates)
    assert early is not None and float(early) == pytest.approx(2 ** (-8 / 40))
