"""Mean and standard deviation of the channels of latents, summed in float64 in the order of the rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Number of values of each channel, their mean, and the sum of their squared distances from it."""

    count: int
    mean: Tensor
    """float64, shape (C,)."""
    squares: Tensor
    """float64, shape (C,)."""

    @classmethod
    def measure(cls, latents: Tensor) -> "Moments":
        """Return the moments of latents (N, C, h, w), or of vectors (N, C)."""
        values = latents.double().movedim(1, 0).flatten(1)
        mean = values.mean(1)
        return cls(values.shape[1], mean, (values - mean[:, None]).square().sum(1))

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of values (Chan et al. 1979, eq. 2.1)."""
        count, difference = self.count + other.count, other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        squares = self.squares + other.squares + difference.square() * (self.count * other.count / count)
        return Moments(count, mean, squares)

    @property
    def std(self) -> Tensor:
        """Standard deviation of each channel, unbiased in the variance, float64, shape (C,)."""
        return (self.squares / max(1, self.count - 1)).sqrt()

    def to_texts(self) -> dict[str, str]:
        """Return the moments as the metadata of a shard."""
        values = {"count": self.count, "mean": self.mean.tolist(), "squares": self.squares.tolist()}
        return {name: json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> "Moments":
        """Return the moments that `to_texts` has written, bit for bit.

        Raises:
            KeyError: They are not there.
            ValueError: They are no numbers.
        """
        count, mean, squares = (json.loads(texts[name]) for name in ("count", "mean", "squares"))
        return cls(int(count), torch.tensor(mean, dtype=torch.float64), torch.tensor(squares, dtype=torch.float64))
