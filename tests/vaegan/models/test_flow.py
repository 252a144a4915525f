"""A flow: its solver on velocities that are known, what it learns, and the classes of both of its parts."""

import pytest
import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.losses.flow_matching import flow_matching_error, follow_path
from vaegan.models import Flow
from vaegan.models.flow import integrate
from vaegan.networks.velocity import VelocityNetwork

from .build import build, draw_images


def gaussian_velocity(points: Tensor, time: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """The mean velocity of the straight paths from N(0, 1) to N(mean, std^2); each of its own ends at mean + std e."""
    t = time.view(-1, *[1] * (points.ndim - 1))
    slope = (t * std**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * std**2)
    return mean + slope * (points - t * mean)


def test_the_solvers_come_to_the_end_that_is_known_at_their_orders() -> None:
    start = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def measure_error(solver: str, steps: int) -> float:
        end = integrate(lambda points, time: gaussian_velocity(points, time, 2.0, 0.3), start, steps, solver)
        return (end - (2 + 0.3 * start)).abs().max().item()

    assert measure_error("heun", 64) < 1e-3 and measure_error("euler", 64) < 0.1
    assert measure_error("heun", 128) / measure_error("heun", 256) == pytest.approx(4, rel=0.1)
    assert measure_error("euler", 128) / measure_error("euler", 256) == pytest.approx(2, rel=0.1)
    for solver in ("euler", "heun"):
        assert torch.allclose(integrate(lambda points, time: 0 * points + 3, start, 1, solver), start + 3)


def test_the_path_leads_from_noise_to_the_code_at_its_velocity() -> None:
    source, codes = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    time = torch.linspace(0, 1, 5, dtype=torch.float64)
    points, velocity = follow_path(source, codes, time)
    assert torch.equal(points[0], source[0]) and torch.allclose(points[-1], codes[-1])
    later, _ = follow_path(source, codes, time + 1e-3)
    torch.testing.assert_close((later - points) / 1e-3, velocity)
    assert torch.equal(flow_matching_error(velocity, velocity), torch.zeros(5).double())
    assert torch.allclose(flow_matching_error(velocity + 3, velocity), torch.full((5,), 9.0).double())


@pytest.mark.parametrize("name", ["flow", "flow-grid"])
def test_codes_are_the_ends_of_the_paths_in_the_units_of_the_autoencoder(name: str) -> None:
    model = build(name, "model.solver_steps=100")
    assert isinstance(model, Flow)
    model.mean += torch.arange(len(model.mean)).view(model.mean.shape)
    model.scale *= 2.5
    model.compute_velocity = lambda points, time, labels: gaussian_velocity(points, time)  # of N(0, I) to N(0, I)
    noise = build("vae-grid" if name == "flow-grid" else "vae").draw_prior_codes(3, 9, seed=4)
    codes = model.draw_prior_codes(3, 9, seed=4)
    expected = model.mean + 2.5 * noise.unflatten(1, model.code_shape)
    torch.testing.assert_close(codes, expected.flatten(1), rtol=0, atol=2e-3)
    torch.testing.assert_close(model.standardise(codes).flatten(1), noise, rtol=0, atol=1e-3)
    steps: list[tuple[int, int]] = []
    model.draw_prior_codes(0, 2, 0, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(step, 100) for step in range(1, 101)]


@pytest.mark.parametrize("code_shape", [(2,), (2, 3, 3)])
def test_a_network_learns_the_distribution_of_codes_of_each_class(code_shape: tuple[int, ...]) -> None:
    """Of N(1, 0.5^2) and N(-2, 1.5^2)."""
    means, deviations = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.5])
    torch.manual_seed(0)
    network = VelocityNetwork(code_shape, 32, 1, classes=2)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    labels = torch.arange(256) % 2
    sizes = (-1, *[1] * len(code_shape))
    for _ in range(300):
        codes = means[labels].view(sizes) + deviations[labels].view(sizes) * torch.randn(256, *code_shape)
        time = torch.rand(256)
        points, velocity = follow_path(torch.randn_like(codes), codes, time)
        optimizer.zero_grad()
        flow_matching_error(network(points, time, labels), velocity).mean().backward()
        optimizer.step()
    with torch.no_grad():
        end = integrate(lambda points, time: network(points, time, labels), torch.randn(256, *code_shape), 20)
    for label in (0, 1):
        drawn = end[labels == label]
        assert drawn.mean().item() == pytest.approx(means[label].item(), abs=0.3)
        assert drawn.std().item() == pytest.approx(deviations[label].item(), rel=0.25)


def test_a_conditional_autoencoder_and_its_flow_take_the_same_class() -> None:
    model = build("flow", "model.labels=10", "model.autoencoder.labels=10").double().eval()
    x, labels = draw_images().double(), torch.tensor([3, 0, 9, 3, 7, 1])
    assert torch.equal(model.reconstruct(x, labels), model.autoencoder.reconstruct(x, labels))
    codes = model.draw_prior_codes(0, 6, 1, labels)
    assert torch.equal(model.sample(6, 1, labels=labels), model.autoencoder.decode(codes, labels))
    assert not torch.equal(codes, model.draw_prior_codes(0, 6, 1, (labels + 1) % 10))
    with pytest.raises(UserError, match=r"^labels: this model is conditional"):
        model.encode(x)
    with pytest.raises(UserError, match=r"model\.labels: the autoencoder encodes .* by 10 classes; give 10$"):
        build("flow", "model.autoencoder.labels=10")
