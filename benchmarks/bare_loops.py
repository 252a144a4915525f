"""Training loops as one writes them by hand for one family and one device, to time the training loop beside.

They have the networks, losses and optimizers of `vaegan.trainers`, noise from torch.randn, and R1 on the real images
alone; no averaging of weights, no gradient norms, no log, no resume. The two-way VAE-GAN decodes its codes twice, with
and without their graph, so that the encoder gets no adversarial gradient. The codebook of the VQ-VAE follows by moving
averages, and no entry is revived.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config import Config
from vaegan.data import Data
from vaegan.images import to_float
from vaegan.trainers.steps import build_step


class Bare(NamedTuple):
    """Networks, optimizers and settings of a bare step."""

    autoencoder: Any
    discriminator: Any
    compiled_discriminator: Any
    """The discriminator of forwards without a penalty: the same one, compiled or not."""
    model: Any
    """The `model` section of the config."""
    autocast_dtype: torch.dtype | None

    def autocast(self, images: Tensor) -> torch.autocast:
        """Return the autocast context on the device of images."""
        return torch.autocast(images.device.type, self.autocast_dtype, enabled=self.autocast_dtype is not None)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return means, log-variances and samples of the posteriors, each of shape (N, d)."""
        with self.autocast(images):
            parameters: Tensor = self.autoencoder.encoder(images)
        mean, log_variance = parameters.float().chunk(2, 1)
        return mean, log_variance, mean + (0.5 * log_variance).exp() * torch.randn_like(mean)

    def decode(self, codes: Tensor) -> Tensor:
        """Return what the decoder makes of codes, shape (N, C, S, S)."""
        with self.autocast(codes):
            images: Tensor = self.autoencoder.decoder(codes)
        return images.float()


def negative_elbo(model: Any, images: Tensor, reconstruction: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute the negative ELBO, a mean over images and pixel values, without its constant."""
    error = (images - reconstruction).square().sum() / (2 * model.scale**2)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
    loss: Tensor = (error + model.beta * divergence) / images.numel()
    return loss


def take_vae_step(bare: Bare, images: Tensor, step: int) -> None:
    """Add the gradients of a step of the VAE."""
    mean, log_variance, codes = bare.encode(images)
    negative_elbo(bare.model, images, bare.decode(codes), mean, log_variance).backward()


def two_way(real: Tensor, fakes: Tensor, swapped: bool) -> Tensor:
    """Compute the loss of one score: of the discriminator, or (swapped) of the generator, whose fakes look real."""
    return F.softplus(-fakes).mean() if swapped else F.softplus(-real).mean() + F.softplus(fakes).mean()


def three_way(real: Tensor, fakes: Tensor, swapped: bool) -> Tensor:
    """Compute the cross-entropy of three logits."""
    count = len(real)
    if swapped:
        return F.cross_entropy(fakes, torch.zeros(2 * count, dtype=torch.long, device=real.device))
    return F.cross_entropy(torch.cat([real, fakes]), torch.arange(3, device=real.device).repeat_interleave(count))


def relativistic(real: Tensor, fakes: Tensor, swapped: bool) -> Tensor:
    """Compute softplus(-d), or softplus(d), of the differences d of two scores of real and fake images."""
    reconstructed, generated = fakes.chunk(2)
    differences = torch.stack(
        [real[:, 0] - reconstructed[:, 0], real[:, 0] - generated[:, 0], reconstructed[:, 1] - generated[:, 1]]
    )
    return F.softplus(differences if swapped else -differences).mean()


def take_vaegan_step(loss_of: Callable[..., Tensor], bare: Bare, images: Tensor, step: int) -> None:
    """Add the gradients of a step of a VAE-GAN whose loss is `loss_of` (real scores, fake scores, swapped)."""
    model, settings, discriminator, count = bare.model, bare.model.adversarial, bare.discriminator, len(images)
    mean, log_variance, codes = bare.encode(images)
    adversarial_codes = [codes.detach()] if loss_of is two_way else []
    decoded = bare.decode(torch.cat([codes, torch.randn_like(mean), *adversarial_codes]))
    fakes = decoded[: 2 * count].detach()

    if (settings.r1 or settings.r2) and step % settings.penalty_every == 0:
        weights = [settings.r1, *([settings.r2 / 2] * 2 if settings.r2 else [])]
        penalised = (torch.cat([images, fakes]) if settings.r2 else images).requires_grad_()
        output = discriminator(penalised)
        scores, features = output.scores, output.features
        realness = scores[:, 0] - scores[:, 1:].logsumexp(1) if loss_of is three_way else scores[:, 0]
        (slope,) = torch.autograd.grad(realness.sum(), penalised, create_graph=True)
        squares = slope.square().sum((1, 2, 3)).view(-1, count).mean(1)
        penalty = sum(weight * square for weight, square in zip(weights, squares, strict=True))
        if not settings.r2:
            scores = torch.cat([scores, bare.compiled_discriminator(fakes, bare.autocast_dtype).scores])
        loss = loss_of(scores[:count], scores[count:], False) + settings.penalty_every / 2 * penalty
    else:
        output = bare.compiled_discriminator(torch.cat([images, fakes]), bare.autocast_dtype)
        scores, features = output.scores, output.features
        loss = loss_of(scores[:count], scores[count:], False)
    loss.backward()

    discriminator.requires_grad_(False)
    output = bare.compiled_discriminator(decoded, bare.autocast_dtype)
    adversarial = loss_of(scores[:count].detach(), output.scores[-2 * count :], True)
    similarity = 0.5 * F.mse_loss(output.features[:count], features[:count].detach())
    loss = negative_elbo(model, images.detach(), decoded[:count], mean, log_variance)
    (loss + settings.similarity * similarity + settings.weight * adversarial).backward()
    discriminator.requires_grad_(True)


def take_vqvae_step(bare: Bare, images: Tensor, step: int) -> None:
    """Add the gradients of a step of the VQ-VAE, and move its codebook."""
    model, autoencoder, codebook = bare.model, bare.autoencoder, bare.autoencoder.codebook
    with bare.autocast(images):
        vectors = autoencoder.encoder(images)
    vectors = vectors.float()
    rows = vectors.detach().movedim(1, -1).reshape(-1, model.code_size)
    indices = (codebook.square().sum(1) - 2 * rows @ codebook.T).argmin(1)
    entries = codebook[indices].view(len(images), *vectors.shape[2:], -1).movedim(-1, 1)
    reconstruction = bare.decode(vectors + (entries - vectors).detach()).tanh()
    error = F.mse_loss(reconstruction, images) / autoencoder.variance
    (error + model.commitment * F.mse_loss(vectors, entries)).backward()

    counts, sums = torch.zeros_like(autoencoder.counts), torch.zeros_like(codebook)
    counts.index_add_(0, indices, torch.ones_like(rows[:, 0]))
    sums.index_add_(0, indices, rows)
    autoencoder.counts.lerp_(counts, 1 - model.codebook_decay)
    autoencoder.sums.lerp_(sums, 1 - model.codebook_decay)
    codebook.copy_(autoencoder.sums / (autoencoder.counts + 1e-5)[:, None])


TAKE_STEP: Mapping[str, Callable[[Bare, Tensor, int], None]] = {
    "vae": take_vae_step,
    "vaegan2": partial(take_vaegan_step, two_way),
    "vaegan3": partial(take_vaegan_step, three_way),
    "relativistic": partial(take_vaegan_step, relativistic),
    "vqvae": take_vqvae_step,
}
"""Function that adds the gradients of a bare step, by family."""


def make_bare_loop(
    family: str, config: Config, data: Data, device: torch.device, compiled: bool
) -> Callable[[int], None]:
    """Return a function that takes a number of steps of the bare loop, the first of them with a penalty."""
    networks: dict[str, Any] = {
        name: network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, network in build_step(config).build_networks().items()
    }
    optimizers = [
        torch.optim.Adam(network.parameters(), config.train.learning_rate, config.train.betas, fused=True)
        for network in networks.values()
    ]
    autoencoder, discriminator = networks["autoencoder"], networks.get("discriminator")
    compiled_discriminator = discriminator
    if compiled:
        autoencoder.encoder.compile(fullgraph=True, dynamic=False)
        autoencoder.decoder.compile(fullgraph=True, dynamic=False)
        if discriminator is not None:
            compiled_discriminator = torch.compile(discriminator, fullgraph=True, dynamic=False)
    dtype = torch.bfloat16 if config.train.precision == "bf16" else None
    bare = Bare(autoencoder, discriminator, compiled_discriminator, config.model, dtype)
    pixels, batch_size = data.train.copy_to(device), config.train.batch_size

    def take_steps(count: int) -> None:
        for step in range(count):
            batch = pixels[torch.randint(len(pixels), (batch_size,), device=device)]
            mirrored = torch.rand(batch_size, device=device) < 0.5
            images = to_float(torch.where(mirrored[:, None, None, None], batch.flip(-1), batch))
            TAKE_STEP[family](bare, images, step)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()

    return take_steps
