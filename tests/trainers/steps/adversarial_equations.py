"""The equations of the adversarial families, each network's terms written down apart, and never a training step's way.

Like `equations`, it knows the networks and nothing else of the toolkit but the augmentation, which has its own tests.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vaegan.config.schema import Config
from vaegan.losses.augmentation import augment
from vaegan.trainers.steps.base import StepInput

Terms = dict[str, Tensor]
Networks = Mapping[str, nn.Module]


def one_hot(batch: StepInput, classes: int) -> Tensor:
    return torch.eye(classes, dtype=batch.images.dtype)[batch.labels]


def get_posterior(networks: Networks, batch: StepInput, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance; of a conditional model the image comes with the plane of its class."""
    encoder = networks["autoencoder"].encoder
    if encoder.plane is not None:
        weight = encoder.plane.weight
        plane = one_hot(batch, len(weight)) @ weight
        if is_grid(networks):
            plane = plane[:, :, None] * torch.ones_like(images[:, 0])
        images = torch.cat([images, plane.reshape(len(images), 1, *images.shape[2:])], 1)
    features = encoder.trunk(images)[-1]
    if is_grid(networks):
        parameters = encoder.head(encoder.attention(features))
        half = parameters.shape[1] // 2
        mean, log_variance = (part.reshape(len(images), -1) for part in (parameters[:, :half], parameters[:, half:]))
    else:
        mean, log_variance = encoder.head(features.reshape(len(images), -1)).chunk(2, 1)
    return mean, torch.exp(log_variance)


def is_grid(networks: Networks) -> bool:
    return hasattr(networks["autoencoder"].encoder, "attention")


def decode(networks: Networks, batch: StepInput, codes: Tensor) -> Tensor:
    """Of a conditional model, the code comes with a 1 in the place of its class."""
    decoder = networks["autoencoder"].decoder
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


class DiscriminatorOracle:
    """Discriminator outputs, written with its layers, for the images of a batch or others in their positions.

    A patch counts as an image does: the rows of scores are those of the patches of the first image, then the next.
    """

    def __init__(self, networks: Networks, batch: StepInput) -> None:
        self.network, self.batch = networks["discriminator"], batch

    def last(self, images: Tensor) -> Tensor:
        features = self.network.trunk(images)[-1]
        return features if self.has_patches else features.reshape(len(images), -1)

    @property
    def has_patches(self) -> bool:
        return isinstance(self.network.head, nn.Conv2d)

    def scores(self, images: Tensor) -> Tensor:
        """With <e_y, last features> added to the first."""
        last, scores = self.last(images), self.network.head(self.last(images))
        if self.has_patches:
            last, scores = (each.permute(0, 2, 3, 1).flatten(0, 2) for each in (last, scores))
        if self.network.projection is None:
            return scores
        vectors = one_hot(self.batch, self.network.projection.out_features) @ self.network.projection.weight
        realer = (vectors.repeat_interleave(len(last) // len(vectors), 0) * last).sum(1)
        return torch.stack([scores[:, k] + realer * (k == 0) for k in range(scores.shape[1])], 1)

    def features(self, images: Tensor) -> Tensor:
        return self.network.trunk(images)[self.network.layer - 1]

    def compute_nll(self, images: Tensor) -> Tensor:
        """Mean of -log p(class | image) by the auxiliary head."""
        exponentials = torch.exp(self.network.auxiliary(self.last(images)))
        probabilities = (exponentials * one_hot(self.batch, exponentials.shape[1])).sum(1)
        return -torch.log(probabilities / exponentials.sum(1)).mean()


class AdversarialOracle:
    """Terms of the discriminator and of the generator, each a mean over the N images."""

    def __init__(self, config: Config, networks: Networks, batch: StepInput) -> None:
        self.discriminator, self.batch = DiscriminatorOracle(networks, batch), batch
        self.adversarial = config.model.adversarial
        self.scores_per_image = self.discriminator.network.head.weight.shape[0]
        self.tells_classes = self.discriminator.network.auxiliary is not None

    def augment(self, images: Tensor) -> Tensor:
        if "augmentation" not in self.batch.noise:
            return images
        adapts = self.adversarial.augment_target is not None
        strength = self.batch.adaptive_state["augment"] if adapts else self.adversarial.augment
        return augment(images, self.batch.noise["augmentation"], strength)

    def scores(self, images: Tensor) -> Tensor:
        return self.discriminator.scores(self.augment(images))

    def features(self, images: Tensor) -> Tensor:
        return self.discriminator.features(self.augment(images))

    def realness(self, scores: Tensor) -> Tensor:
        if self.scores_per_image == 3:
            return scores[:, 0] - torch.log(torch.exp(scores[:, 1]) + torch.exp(scores[:, 2]))
        return scores[:, 0]

    def compute_margin(self, scores: Tensor, origin: int) -> Tensor:
        if self.scores_per_image == 1:
            return scores[:, 0] * (1 if origin == 0 else -1)
        others = torch.stack([scores[:, k] for k in range(3) if k != origin])
        return scores[:, origin] - torch.max(others, 0).values

    def compute_nll(self, images: Tensor, origin: int) -> Tensor:
        """Mean of -log p(origin): of a softmax, or of sigmoid(D) for real and 1 - sigmoid(D) for fake; or the hinge."""
        scores = self.scores(images)
        if self.adversarial.loss == "hinge":
            return torch.clamp(1 - self.compute_margin(scores, origin), min=0).mean()
        if self.scores_per_image == 3:
            return -torch.log(torch.exp(scores[:, origin]) / torch.exp(scores).sum(1)).mean()
        real = 1 / (1 + torch.exp(-scores[:, 0]))
        return -torch.log(real if origin == 0 else 1 - real).mean()

    def get_discriminator_terms(self, kinds: Mapping[str, Tensor]) -> Terms:
        """Terms that the discriminator minimises, for detached images of each kind."""
        adversarial, scores = self.adversarial, {name: self.scores(images) for name, images in kinds.items()}
        fakes = list(kinds)[1:]
        if adversarial.loss == "relativistic":
            terms = self.get_relativistic_terms(scores, 1)
        else:
            shares = {name: 1 / 3 if self.scores_per_image == 3 else 1 / len(fakes) for name in fakes}
            shares["real"] = 1 / 3 if self.scores_per_image == 3 else 1
            origins = dict(zip(kinds, (0, 1, 2), strict=False))
            terms = {name: shares[name] * self.compute_nll(kinds[name], origins[name]) for name in kinds}
        if self.tells_classes:
            terms |= {f"class of {name}": self.compute_class_nll(kinds[name]) / len(fakes) for name in fakes}
            terms["class of real"] = self.compute_class_nll(kinds["real"])
        if self.batch.step % adversarial.penalty_every == 0:
            if adversarial.r1:
                terms["r1"] = adversarial.penalty_every * adversarial.r1 / 2 * self.compute_squared_slope(kinds["real"])
            if adversarial.r2:
                slopes = sum(self.compute_squared_slope(kinds[name]) for name in fakes) / len(fakes)
                terms["r2"] = adversarial.penalty_every * adversarial.r2 / 2 * slopes
        if adversarial.lecam:
            real, fake = (self.batch.adaptive_state[name] for name in ("real", "fake"))
            means = {
                name: self.realness(each).reshape(len(self.batch.images), -1).mean(1) for name, each in scores.items()
            }
            parts = [(means[name] - real) ** 2 for name in fakes]
            anchored = (means["real"] - fake) ** 2 + sum(parts) / len(fakes)
            terms["lecam"] = adversarial.lecam * anchored.mean()
        return terms

    def compute_class_nll(self, images: Tensor) -> Tensor:
        return self.discriminator.compute_nll(self.augment(images))

    def compute_squared_slope(self, images: Tensor) -> Tensor:
        """Mean squared norm of the gradient of realness by the image, of patches by that of their sum with signs."""
        images = images.clone().requires_grad_()
        if self.discriminator.has_patches:
            signs = torch.sign(self.batch.noise["patches"]).flatten()
            total = (signs * self.realness(self.scores(images))).sum()
            return (torch.autograd.grad(total, images, create_graph=True)[0] ** 2).sum() / len(signs)
        rows = [torch.autograd.grad(each, images, create_graph=True)[0] for each in self.realness(self.scores(images))]
        return sum((row**2).sum() for row in rows) / len(images)

    def get_relativistic_terms(self, scores: Mapping[str, Tensor], side: int) -> Terms:
        """Mean of log(1 + e^-d) of each difference of two kinds: of the discriminator, or mirrored of the generator."""
        pairs = [("real", name, 0) for name in list(scores)[1:]]
        pairs += [("reconstructed", "generated", 1)] if self.scores_per_image == 2 else []
        return {
            f"{above} above {below}": torch.log(
                1 + torch.exp(-side * (scores[above][:, k] - scores[below][:, k]))
            ).mean() / len(pairs)
            for above, below, k in pairs
        }  # fmt: skip

    def get_generator_terms(self, kinds: Mapping[str, Tensor]) -> Terms:
        """Terms that the generator minimises."""
        if not self.tells_classes:
            return self.get_realness_terms(kinds)
        fakes = list(kinds)[1:]
        classes = {f"class of {name}": self.compute_class_nll(kinds[name]) / len(fakes) for name in fakes}
        return self.get_realness_terms(kinds) | classes

    def get_realness_terms(self, kinds: Mapping[str, Tensor]) -> Terms:
        if self.adversarial.loss == "relativistic":
            scores = {name: self.scores(images) for name, images in kinds.items()}
            return self.get_relativistic_terms({**scores, "real": scores["real"].detach()}, -1)
        fakes = list(kinds)[1:]
        called = {"reconstructed": "fooling with reconstructions", "generated": "fooling with generated"}
        if self.adversarial.loss == "hinge":
            return {
                called[name]: -self.compute_margin(self.scores(kinds[name]), 0).mean() / len(fakes) for name in fakes
            }
        return {called[name]: self.compute_nll(kinds[name], 0) / len(fakes) for name in fakes}

    def get_weight(self) -> float | Tensor:
        config, step = self.adversarial, self.batch.step
        if step < config.warmup_steps:
            return 0.0
        ramp = (step - config.warmup_steps + 1) / config.ramp_steps if config.ramp_steps else 1.0
        return config.weight * min(ramp, 1.0) * self.batch.adaptive_state.get("adaptive", 1.0)


def vaegan(config: Config, networks: Networks, batch: StepInput, terms: Terms) -> dict[str, Terms]:
    oracle, model = AdversarialOracle(config, networks, batch), config.model
    reconstruction = decode(networks, batch, sample_posterior(networks, batch))
    kinds = {"real": batch.images, "reconstructed": reconstruction}
    if model.discriminator.classes != "reconstructed":
        kinds["generated"] = decode(networks, batch, batch.noise["prior"])
    features = oracle.features(batch.images).detach() - oracle.features(reconstruction)
    terms["similarity"] = model.adversarial.similarity * (features**2).sum() / (2 * features.numel())
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
