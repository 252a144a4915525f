"""The noise of the steps, drawn on the CPU while the previous step is computed."""

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from vaegan.devices import copy_to_device
from vaegan.randomness import draw_normal


def iterate_noise(
    shapes: Mapping[str, tuple[int, ...]], seed: int, batch_size: int, batch_slice: slice, dtype: torch.dtype,
    device: torch.device, start: int, stop: int,
) -> Generator[dict[str, Tensor], None, None]:  # fmt: skip
    """Yield standard normal tensors by purpose for each of the optimizer steps ``start`` to ``stop - 1``.

    Args:
        shapes: Shape of the noise of an image, by purpose.
        seed: Seed of the training.
        batch_size: B, images of one optimizer step over all processes, for which the noise is drawn.
        batch_slice: This process's slice of the global batch, whose noise is returned.
        dtype: Type of the tensors.
        device: Device that they are copied to.
        start: First step.
        stop: One after the last step.
    """

    def draw(step: int) -> dict[str, Tensor]:
        return {
            purpose: draw_normal((batch_size, *shape), seed, purpose, step)[batch_slice].to(dtype)
            for purpose, shape in shapes.items()
        }

    if not shapes:
        yield from ({} for _ in range(start, stop))
        return
    with ThreadPoolExecutor(1, "noise") as thread:
        drawn = thread.submit(draw, start)
        for step in range(start, stop):
            noise = drawn.result()
            drawn = thread.submit(draw, step + 1)
            yield {purpose: copy_to_device(tensor, device) for purpose, tensor in noise.items()}
