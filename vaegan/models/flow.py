"""An autoencoder that can be sampled from a prior fitted to its codes by flow matching (Lipman et al. 2023)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import FlowConfig
from vaegan.errors import UserError
from vaegan.losses.flow_matching import follow_path
from vaegan.networks.initialise import initialise
from vaegan.networks.velocity import VelocityNetwork
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import draw_normal

from .ae import AE
from .autoencoder import Autoencoder
from .continuous import ContinuousAutoencoder
from .ganvae import GANVAE
from .inputs import Labels, get_noise
from .larsen import Larsen
from .posterior import Posterior
from .vae import VAE
from .vaegan import VAEGAN

CONTINUOUS_CLASSES: Mapping[str, Callable[..., ContinuousAutoencoder]] = {
    "ae": AE, "vae": VAE, "vaegan": VAEGAN, "larsen": Larsen, "ganvae": GANVAE,
}  # fmt: skip
"""Class of each family whose code is continuous."""
Velocity = Callable[[Tensor, Tensor], Tensor]
"""Returns the velocity at points (N, ...) and times (N,), of the shape of the points."""


class FlowOutput(NamedTuple):
    """Output of a training forward of N images."""

    predicted: Tensor
    """Predicted velocity at a point of each image's path, in standardised codes, shape (N, d)."""
    velocity: Tensor
    """Velocity of the path, from its noise to the image's standardised code, shape (N, d)."""
    reconstruction: Tensor | None
    """Decoded posterior means, shape (N, C, S, S) in [-1, 1]; None in training mode, where nothing needs them."""


class Flow(Autoencoder):
    """E and G of a frozen autoencoder, and the prior of its codes z: the end of dx/dt = v(x, t), x(0) from N(0, I).

    The flow is that of standardised codes (z - mean) / scale, of which each dimension of a vector, or each channel of a
    grid, has mean 0 and variance 1. A conditional prior has v(x, t, class); E and G take the class if they are
    conditional.

    It is trained on posterior samples and not on posterior means, since the decoder was trained on samples. The samples
    of a dimension that carries nothing are N(0, 1), while its means are almost the same for all images, and
    standardising them would blow up their noise. For a deterministic code, samples and means are the same.

    Build it by `Flow(image_shape=(3, 32, 32), autoencoder=vae.config)`; the settings are those of `FlowConfig`.

    Args:
        config: The `model` section of a run's config; None: the settings alone.
        image_shape: (C, S, S) of the images, S a multiple of 4.
        seed: Root of the initial weights.
        settings: Settings of `FlowConfig` by name, which replace those of `config`; `autoencoder` is the config of the
            autoencoder.

    Raises:
        UserError: `image_shape` is missing or is no such shape, or a setting is wrong or missing.
    """

    config: FlowConfig
    config_class = FlowConfig
    prior_name = "flow over the codes"
    mean: Tensor
    """Mean of the codes of the training images, shape (d,) of vectors, (C, 1, 1) of grids."""
    scale: Tensor
    """Standard deviation of these codes, of the shape of `mean`."""

    def __init__(
        self,
        config: FlowConfig | None = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(config, image_shape, **settings)
        config = self.config
        if config.autoencoder is None:
            raise UserError("Flow: autoencoder: missing; give the config of an autoencoder with a continuous code")
        build = CONTINUOUS_CLASSES[config.autoencoder.family]
        self.autoencoder = build(config.autoencoder, image_shape, seed).requires_grad_(False)
        self.networks_take_labels = self.autoencoder.classes is not None
        self.code_shape = self.autoencoder.code_shape
        self.prior = VelocityNetwork(self.code_shape, config.width, config.depth, config.labels)
        initialise(self.prior, seed, "prior")
        sizes = (self.code_shape[0], *[1] * (len(self.code_shape) - 1))
        self.register_buffer("mean", torch.zeros(sizes))
        self.register_buffer("scale", torch.ones(sizes))

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """Return the autoencoder's posterior over the codes of images."""
        return self.autoencoder._encode(images, labels if self.networks_take_labels else None)

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Decode codes with the autoencoder."""
        return self.autoencoder._decode(codes, labels if self.networks_take_labels else None)

    def standardise(self, codes: Tensor) -> Tensor:
        """Return (z - mean) / scale of codes z: (N, d) => (N, *code_shape)."""
        standardised: Tensor = (codes.unflatten(1, self.code_shape) - self.mean) / self.scale
        return standardised

    def compute_velocity(self, points: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the velocity v(x, t) of standardised points x, of their shape.

        Args:
            points: Shape (N, *code_shape).
            time: Times t in [0, 1], shape (N,).
            labels: Class of each point, int64, shape (N,); None: the model is unconditional.
        """
        velocity: Tensor = self.prior(points, time, labels)
        return velocity

    @torch.no_grad()
    def draw_prior_codes(
        self, start: int, stop: int, seed: int, labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Draw the codes of indices ``start`` to ``stop - 1``, shape (n, d), from the noise of the prior N(0, I)."""
        noise = torch.empty(max(0, stop - start), *self.code_shape)
        for row, index in enumerate(range(start, stop)):
            noise[row] = draw_normal((self.code_size,), seed, "codes", index).view(self.code_shape)
        points = integrate(
            lambda points, time: self.compute_velocity(points, time, labels),
            noise.to(self.mean), self.config.solver_steps, self.config.solver, progress,
        )  # fmt: skip
        return (self.mean + self.scale * points).flatten(1)

    def forward(
        self,
        images: Tensor,
        noise: Tensor | None = None,
        source: Tensor | None = None,
        time: Tensor | None = None,
        autocast_dtype: torch.dtype | None = None,
        labels: Labels = None,
    ) -> FlowOutput:
        """Encode images, and predict the velocity at one point of each code's path.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            noise: Standard normal noise of the posterior samples, shape (N, d); None: fresh noise.
            source: Standard normal noise at which the paths begin, shape (N, d); None: fresh noise.
            time: Time t of each point, uniform in [0, 1], shape (N,); None: fresh times.
            autocast_dtype: Autocast type (bfloat16) of the prior; None: no autocast.
            labels: Class of each image, int64, shape (N,), or one class of all; ignored by an unconditional model.

        Raises:
            UserError: `images`, `noise`, `source` or `labels` are not what the model takes.
        """
        images = self.prepare_images(images, check_values=not self.training)
        labels = self.check_forward_labels(labels, len(images))
        with torch.no_grad():
            posterior = self._encode(images, labels)
            codes = self.standardise(posterior.sample(noise))
            reconstruction = None if self.training else self._decode(posterior.mean, labels)
        source = get_noise("source", source, posterior.mean).view_as(codes)
        time = torch.rand_like(posterior.mean[:, 0]) if time is None else time
        points, velocity = follow_path(source, codes, time)
        with self.autocast(images, autocast_dtype):
            predicted = self.compute_velocity(points, time, labels)
        return FlowOutput(predicted.to(images.dtype).flatten(1), velocity.flatten(1), reconstruction)


def integrate(
    velocity: Velocity, start: Tensor, steps: int, solver: str = "heun", progress: ProgressCallback = ignore_progress
) -> Tensor:
    """Integrate dx/dt = v(x, t) from t = 0 to 1 and return the end x(1), of the shape of the start.

    Args:
        velocity: v.
        start: x(0), shape (N, ...).
        steps: Number of steps h = 1 / steps.
        solver: `euler`, x + h v(x, t); or `heun`, which takes the mean of this velocity and that at the point which
            Euler's step leads to.
        progress: Called with (steps done, steps).
    """
    points, length = start, 1 / steps
    for step in range(steps):
        times = [start.new_full((len(start),), (step + offset) * length) for offset in (0, 1)]
        slope = velocity(points, times[0])
        if solver == "heun":
            slope = (slope + velocity(points + length * slope, times[1])) / 2
        points = points + length * slope
        progress(step + 1, steps)
    return points
