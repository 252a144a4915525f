"""The equations of the adversarial families, each network's terms written down apart, and never a training step's way.

Like `equations`, it knows the networks and nothing else of the toolkit but the augmentation, which has its own tests.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vaegan.config.schema import Config
from vaegan.trainers.steps.base import StepInput

from .adversarial_oracles import AdversarialOracle, DiscriminatorOracle, Networks, Terms, one_hot


def get_posterior(networks: Networks, batch: StepInput, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance; of a conditional model the image comes with the plane of its class."""
    encoder = networks["autoencoder"].encoder
    if is_diffusers(networks):
        return split_parameters(encoder.quant_conv(encoder.encoder(images)))
    if encoder.plane is not None:
        weight = encoder.plane.weight
        plane = one_hot(batch, len(weight)) @ weight
        if is_grid(networks):
            plane = plane[:, :, None] * torch.ones_like(images[:, 0])
        images = torch.cat([images, plane.reshape(len(images), 1, *images.shape[2:])], 1)
    features = encoder.trunk(images)[-1]
    if is_grid(networks):
        return split_parameters(encoder.head(encoder.attention(features)))
    mean, log_variance = encoder.head(features.reshape(len(images), -1)).chunk(2, 1)
    return mean, torch.exp(log_variance)


def split_parameters(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a grid of parameters."""
    half = parameters.shape[1] // 2
    mean, log_variance = (part.reshape(len(part), -1) for part in (parameters[:, :half], parameters[:, half:]))
    return mean, torch.exp(log_variance)


def is_diffusers(networks: Networks) -> bool:
    return hasattr(networks["autoencoder"].encoder, "quant_conv")


def is_grid(networks: Networks) -> bool:
    return hasattr(networks["autoencoder"].encoder, "attention")


def decode(networks: Networks, batch: StepInput, codes: Tensor) -> Tensor:
    """Of a conditional model, the code comes with a 1 in the place of its class; diffusers' pixels are not bounded."""
    decoder = networks["autoencoder"].decoder
    if is_diffusers(networks):
        grids = codes.reshape(len(codes), *networks["autoencoder"].code_shape)
        return decoder.decoder(decoder.post_quant_conv(grids))
    if is_grid(networks):
        codes = codes.reshape(len(codes), *networks["autoencoder"].code_shape)
        if decoder.vector is not None:
            vectors = one_hot(batch, len(decoder.vector.weight)) @ decoder.vector.weight
            codes = torch.cat([codes, vectors[:, :, None, None] * torch.ones_like(codes)], 1)
    elif decoder.classes is not None:
        codes = torch.cat([codes, one_hot(batch, decoder.classes)], 1)
    return torch.tanh(decoder.trunk(codes))


def compute_divergence(config: Config, networks: Networks, batch: StepInput) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) with free nats, its sum over images and dimensions."""
    mean, variance = get_posterior(networks, batch, batch.images)
    kl = (mean**2 + variance - torch.log(variance) - 1) / 2
    return torch.where(kl > config.model.free_bits, kl, torch.full_like(kl, config.model.free_bits)).sum()


def sample_posterior(networks: Networks, batch: StepInput) -> Tensor:
    mean, variance = get_posterior(networks, batch, batch.images)
    return mean + torch.sqrt(variance) * batch.noise["posterior"]


def get_negative_elbo_terms(config: Config, networks: Networks, batch: StepInput) -> Terms:
    """-log N(x; G(z), s^2), -log Laplace(x; G(z), s) or the cross-entropy of (x + 1) / 2 and (G(z) + 1) / 2, and the
    divergence, of each value of an image."""
    model, x = config.model, batch.images
    error = x - decode(networks, batch, sample_posterior(networks, batch))
    s = torch.tensor(model.scale, dtype=x.dtype)
    if model.learned_scale:
        s = torch.exp(networks["autoencoder"].scale.logarithm)
    if model.likelihood == "gaussian":
        nll = error**2 / (2 * s**2) + torch.log(math.sqrt(2 * math.pi) * s)
    elif model.likelihood == "laplace":
        nll = torch.abs(error) / s + torch.log(2 * s)
    else:
        white, probability = (x + 1) / 2, (x - error + 1) / 2
        nll = -white * torch.log(probability) - (1 - white) * torch.log(1 - probability)
    return {
        "reconstruction": nll.sum() / x.numel(),
        "divergence": model.beta * compute_divergence(config, networks, batch) / x.numel(),
    }


def compute_cycle_nll(networks: Networks, batch: StepInput) -> Tensor:
    """-log N(z; E(G(z))), of each value of an image."""
    mean, variance = get_posterior(networks, batch, decode(networks, batch, batch.noise["prior"]))
    nll = (batch.noise["prior"] - mean) ** 2 / (2 * variance) + torch.log(2 * math.pi * variance) / 2
    return nll.sum() / batch.images.numel()


def vaegan(config: Config, networks: Networks, batch: StepInput, terms: Terms) -> dict[str, Terms]:
    oracle, model = AdversarialOracle(config, networks, batch), config.model
    reconstruction = decode(networks, batch, sample_posterior(networks, batch))
    kinds = {"real": batch.images, "reconstructed": reconstruction}
    if model.discriminator.classes != "reconstructed":
        kinds["generated"] = decode(networks, batch, batch.noise["prior"])
    features = oracle.features(batch.images).detach() - oracle.features(reconstruction)
    terms["similarity"] = model.adversarial.similarity * (features**2).sum() / (2 * features.numel())
    if model.discriminator.instance_layers:
        terms["instance"] = model.adversarial.instance * oracle.compute_instance_nll(batch.images, reconstruction)
    if model.cycle:
        terms["cycle"] = model.cycle * compute_cycle_nll(networks, batch)
    fooling = {name: oracle.get_weight() * term for name, term in oracle.get_generator_terms(kinds).items()}
    return {
        "encoder": terms if model.discriminator.classes == "two" else terms | fooling,
        "decoder": terms | fooling,
        "discriminator": oracle.get_discriminator_terms({name: images.detach() for name, images in kinds.items()}),
    }


def larsen(config: Config, networks: Networks, batch: StepInput, _: Terms) -> dict[str, Terms]:
    """Algorithm 1, the sign of the decoder's L_GAN from section 2.2; sums over an image, means over the images."""
    model, x, count = config.model, batch.images, len(batch.images)
    reconstruction = decode(networks, batch, sample_posterior(networks, batch))
    generated = decode(networks, batch, batch.noise["prior"])
    discriminator = DiscriminatorOracle(networks, batch)

    def probability(images: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-discriminator.scores(images)[:, 0]))

    def classes(**kinds: Tensor) -> Terms:
        if discriminator.network.auxiliary is None:
            return {}
        return {f"class of {name}": discriminator.compute_nll(images) for name, images in kinds.items()}

    likelihood = ((discriminator.features(x).detach() - discriminator.features(reconstruction)) ** 2).sum() / (
        2 * count
    )
    return {
        "encoder": {
            "prior": model.beta * compute_divergence(config, networks, batch) / count,
            "feature likelihood": likelihood,
        },
        "decoder": {
            "weighted feature likelihood": model.gamma * likelihood,
            "fooling with reconstructions": torch.log(1 - probability(reconstruction)).mean(),
            "fooling with generated": torch.log(1 - probability(generated)).mean(),
            **classes(reconstructed=reconstruction, generated=generated),
        },
        "discriminator": {
            "real": -torch.log(probability(x)).mean(),
            "reconstructed": -torch.log(1 - probability(reconstruction.detach())).mean(),
            "generated": -torch.log(1 - probability(generated.detach())).mean(),
            **classes(real=x, reconstructed=reconstruction.detach(), generated=generated.detach()),
        },
    }


def ganvae(config: Config, networks: Networks, batch: StepInput, _: Terms) -> dict[str, Terms]:
    oracle = AdversarialOracle(config, networks, batch)
    kinds = {"real": batch.images, "generated": decode(networks, batch, batch.noise["prior"])}
    encoder_terms = {"cycle": config.model.cycle * compute_cycle_nll(networks, batch)}
    return {
        "encoder": encoder_terms,
        "decoder": encoder_terms
        | {name: oracle.get_weight() * term for name, term in oracle.get_generator_terms(kinds).items()},
        "discriminator": oracle.get_discriminator_terms({name: images.detach() for name, images in kinds.items()}),
    }


ADVERSARIAL_TERMS: dict[str, Callable[[Config, Networks, StepInput, Terms], dict[str, Terms]]] = {
    "vaegan": vaegan, "larsen": larsen, "ganvae": ganvae
}  # fmt: skip
