import torch
from torch import nn

from vaegan.trainers.ema import list_tensors, update_ema


def test_the_average_follows_its_formula() -> None:
    """Against weights written out by hand: sum over steps of (1 - d_k) times the product of the later d."""
    model, average = nn.BatchNorm1d(3).double(), nn.BatchNorm1d(3).double()
    tensors = list_tensors(average), list_tensors(model)
    with torch.no_grad():
        average.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
    values = [torch.tensor([1.0, -1.0, 0.5]) * (step + 2) for step in range(4)]
    decays = [1 / 10, 2 / 11, 0.2, 0.2]  # min(0.2, (1 + k) / (10 + k))
    expected = torch.tensor([1.0, 2.0, 3.0]).double()
    for step, value in enumerate(values):
        with torch.no_grad():
            model.weight.copy_(value)
            model.running_mean.copy_(value)
        update_ema(*tensors, 0.2, torch.tensor(step), torch.tensor(True))
        expected = decays[step] * expected + (1 - decays[step]) * value.double()
    torch.testing.assert_close(average.weight, expected, rtol=1e-14, atol=0)
    assert torch.equal(average.running_mean, model.running_mean)  # buffers are copied
    with torch.no_grad():
        model.weight.add_(1)
    for decay in (0.2, 0.9999):
        update_ema(*tensors, decay, torch.tensor(100), torch.tensor(False))  # a step that was skipped
    torch.testing.assert_close(average.weight, expected, rtol=1e-14, atol=0)
    update_ema(*tensors, 0.0, torch.tensor(100), torch.tensor(True))
    assert torch.equal(average.weight, model.weight)
