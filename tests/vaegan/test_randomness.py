import subprocess
import sys

import pytest
import torch

from vaegan.randomness import derive_seed, draw_normal, draw_order, make_generator, seed_global_generator


def test_seeds_are_a_function_of_seed_and_purpose_alone() -> None:
    assert derive_seed(0, "prior", 3) == derive_seed(0, "prior", 3) == 1245462301967110064  # the same on every machine
    seen = [
        derive_seed(seed, purpose, step) for seed in (0, 1) for purpose in ("prior", "posterior") for step in range(99)
    ]
    assert len(set(seen)) == len(seen)
    assert all(0 <= seed < 2**63 for seed in seen)
    assert derive_seed(0, "a", 12) != derive_seed(0, "a1", 2)


def test_noise_is_the_same_in_another_process_whatever_was_drawn_before() -> None:
    torch.randn(17)
    noise = draw_normal((4, 3), 2**62, "posterior", 7)
    program = "from vaegan.randomness import draw_normal; print(draw_normal((4, 3), 2**62, 'posterior', 7).tolist())"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert noise.tolist() == eval(printed)
    assert not torch.equal(noise, draw_normal((4, 3), 2**62, "posterior", 8))
    assert not torch.equal(noise, draw_normal((4, 3), 2**62, "prior", 7))
    assert torch.equal(noise, torch.randn(4, 3, generator=make_generator(2**62, "posterior", 7)))


def test_noise_is_standard_normal() -> None:
    noise = torch.cat([draw_normal((64, 32), 0, "prior", step) for step in range(50)]).flatten()
    assert abs(noise.mean()) < 4 / len(noise) ** 0.5
    assert abs(noise.var() - 1) < 4 * (2 / len(noise)) ** 0.5


def test_seeded_puts_the_global_generator_back() -> None:
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    with seed_global_generator(0, "weights"):
        inside = torch.randn(3)
    assert torch.equal(torch.randn(3), expected)
    with seed_global_generator(0, "weights"):
        assert torch.equal(torch.randn(3), inside)


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (7, 7), (3, 8), (1, 5), (64, 1)])
def test_each_pass_shows_every_image_once_in_a_new_order(count: int, batch: int) -> None:
    passes = draw_order(count, 0, 6 * count, seed=3).reshape(6, count)
    assert torch.equal(passes.sort(1).values, torch.arange(count).expand(6, -1))
    if count > 9:
        assert len({tuple(each) for each in passes.tolist()}) == 6
        assert not torch.equal(draw_order(count, 0, count, seed=4), passes[0])
    steps = [draw_order(count, step * batch, (step + 1) * batch, 3) for step in range(6 * count // batch)]
    whole = torch.cat(steps)
    assert torch.equal(whole, passes.flatten()[: len(whole)])  # however the stream is divided
    later = draw_order(count, 2 * count + 1, 4 * count, 3)  # a resume starts in the middle
    assert torch.equal(later, passes.flatten()[2 * count + 1 : 4 * count])


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_the_ranks_slices_make_up_the_global_batch(processes: int) -> None:
    batch, size = 8, 8 // processes
    for step in (0, 3, 1000):
        first = step * batch
        whole, noise = draw_order(30, first, first + batch, 0), draw_normal((batch, 4), 0, "posterior", step)
        slices = [slice(rank * size, (rank + 1) * size) for rank in range(processes)]
        orders = [draw_order(30, first + part.start, first + part.stop, 0) for part in slices]
        assert torch.equal(torch.cat(orders), whole)
        assert torch.equal(torch.cat([draw_normal((batch, 4), 0, "posterior", step)[part] for part in slices]), noise)
