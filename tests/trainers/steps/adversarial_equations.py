"""The equations of the adversarial families, each network's terms written down apart, and never a training step's way.

As `equations`, it knows the networks and nothing else of the toolkit but the augmentation, which has its own tests.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vaegan.config.schema import Config
from vaegan.losses.augmentation import augment
from vaegan.trainers.steps.base import Batch

Terms = dict[str, Tensor]
Networks = Mapping[str, nn.Module]


def one_hot(batch: Batch, classes: int) -> Tensor:
    return torch.eye(classes, dtype=batch.images.dtype)[batch.labels]


def posterior(networks: Networks, batch: Batch, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance; of a conditional model the image comes with the plane of its class."""
    encoder = networks["autoencoder"].encoder
    if encoder.plane is not None:
        weight = encoder.plane.weight
        plane = (one_hot(batch, len(weight)) @ weight).reshape(len(images), 1, *images.shape[2:])
        images = torch.cat([images, plane], 1)
    mean, log_variance = encoder.head(encoder.trunk(images)[-1].reshape(len(images), -1)).chunk(2, 1)
    return mean, torch.exp(log_variance)


def decoded(networks: Networks, batch: Batch, codes: Tensor) -> Tensor:
    """Of a conditional model, the code comes with a 1 in the place of its class."""
    decoder = networks["autoencoder"].decoder
    if decoder.labels is not None:
        codes = torch.cat([codes, one_hot(batch, decoder.labels)], 1)
    return torch.tanh(decoder.trunk(codes))


def divergence(config: Config, networks: Networks, batch: Batch) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) with free nats, its sum over images and dimensions."""
    mean, variance = posterior(networks, batch, batch.images)
    kl = (mean**2 + variance - torch.log(variance) - 1) / 2
    return torch.where(kl > config.model.free_bits, kl, torch.full_like(kl, config.model.free_bits)).sum()


def drawn(networks: Networks, batch: Batch) -> Tensor:
    mean, variance = posterior(networks, batch, batch.images)
    return mean + torch.sqrt(variance) * batch.noise["posterior"]


def bound(config: Config, networks: Networks, batch: Batch) -> Terms:
    """-log N(x; G(z), s^2), -log Laplace(x; G(z), s) or the cross-entropy of (x + 1) / 2 and (G(z) + 1) / 2, and the
    divergence, of each value of an image."""
    model, x = config.model, batch.images
    error = x - decoded(networks, batch, drawn(networks, batch))
    s = torch.tensor(model.scale, dtype=x.dtype)
    if model.learned_scale:
        s = torch.exp(networks["autoencoder"].scale.logarithm)
    if model.likelihood == "gaussian":
        surprise = error**2 / (2 * s**2) + torch.log(math.sqrt(2 * math.pi) * s)
    elif model.likelihood == "laplace":
        surprise = torch.abs(error) / s + torch.log(2 * s)
    else:
        white, probability = (x + 1) / 2, (x - error + 1) / 2
        surprise = -white * torch.log(probability) - (1 - white) * torch.log(1 - probability)
    return {
        "reconstruction": surprise.sum() / x.numel(),
        "divergence": model.beta * divergence(config, networks, batch) / x.numel(),
    }


def cycle(networks: Networks, batch: Batch) -> Tensor:
    """-log N(z; E(G(z))), of each value of an image."""
    mean, variance = posterior(networks, batch, decoded(networks, batch, batch.noise["prior"]))
    surprise = (batch.noise["prior"] - mean) ** 2 / (2 * variance) + torch.log(2 * math.pi * variance) / 2
    return surprise.sum() / batch.images.numel()


class Opinion:
    """What the discriminator says, written with its layers: of a batch's images, or of others in their places."""

    def __init__(self, networks: Networks, batch: Batch) -> None:
        self.network, self.batch = networks["discriminator"], batch

    def last(self, images: Tensor) -> Tensor:
        return self.network.trunk(images)[-1].reshape(len(images), -1)

    def scores(self, images: Tensor) -> Tensor:
        """With <e_y, last features> added to the first."""
        scores = self.network.head(self.last(images))
        if self.network.projection is None:
            return scores
        vectors = one_hot(self.batch, self.network.projection.out_features) @ self.network.projection.weight
        realer = (vectors * self.last(images)).sum(1)
        return torch.stack([scores[:, k] + realer * (k == 0) for k in range(scores.shape[1])], 1)

    def features(self, images: Tensor) -> Tensor:
        return self.network.trunk(images)[self.network.layer - 1]

    def surprise(self, images: Tensor) -> Tensor:
        """Mean of -log p(class | image) by the auxiliary head."""
        exponentials = torch.exp(self.network.auxiliary(self.last(images)))
        own = (exponentials * one_hot(self.batch, exponentials.shape[1])).sum(1)
        return -torch.log(own / exponentials.sum(1)).mean()


class Game:
    """What the discriminator says, and what each side wants of it; every value a mean over the N images."""

    def __init__(self, config: Config, networks: Networks, batch: Batch) -> None:
        self.opinion, self.batch = Opinion(networks, batch), batch
        self.adversarial = config.model.adversarial
        self.scores_of_an_image = self.opinion.network.head.out_features
        self.tells_classes = self.opinion.network.auxiliary is not None

    def seen(self, images: Tensor) -> Tensor:
        if "augmentation" not in self.batch.noise:
            return images
        steered = self.adversarial.augment_target is not None
        strength = self.batch.controls["augment"] if steered else self.adversarial.augment
        return augment(images, self.batch.noise["augmentation"], strength)

    def scores(self, images: Tensor) -> Tensor:
        return self.opinion.scores(self.seen(images))

    def features(self, images: Tensor) -> Tensor:
        return self.opinion.features(self.seen(images))

    def realness(self, scores: Tensor) -> Tensor:
        if self.scores_of_an_image == 3:
            return scores[:, 0] - torch.log(torch.exp(scores[:, 1]) + torch.exp(scores[:, 2]))
        return scores[:, 0]

    def lead(self, scores: Tensor, origin: int) -> Tensor:
        if self.scores_of_an_image == 1:
            return scores[:, 0] * (1 if origin == 0 else -1)
        others = torch.stack([scores[:, k] for k in range(3) if k != origin])
        return scores[:, origin] - torch.max(others, 0).values

    def surprise(self, images: Tensor, origin: int) -> Tensor:
        """Mean of -log p(origin): of a softmax, or of sigmoid(D) for real and 1 - sigmoid(D) for fake; or the hinge."""
        scores = self.scores(images)
        if self.adversarial.loss == "hinge":
            return torch.clamp(1 - self.lead(scores, origin), min=0).mean()
        if self.scores_of_an_image == 3:
            return -torch.log(torch.exp(scores[:, origin]) / torch.exp(scores).sum(1)).mean()
        real = 1 / (1 + torch.exp(-scores[:, 0]))
        return -torch.log(real if origin == 0 else 1 - real).mean()

    def told(self, kinds: Mapping[str, Tensor]) -> Terms:
        """What the discriminator minimises, of images of which none has a graph."""
        adversarial, scores = self.adversarial, {name: self.scores(images) for name, images in kinds.items()}
        fakes = list(kinds)[1:]
        if adversarial.loss == "relativistic":
            terms = self.compared(scores, 1)
        else:
            shares = {name: 1 / 3 if self.scores_of_an_image == 3 else 1 / len(fakes) for name in fakes}
            shares["real"] = 1 / 3 if self.scores_of_an_image == 3 else 1
            origins = dict(zip(kinds, (0, 1, 2), strict=False))
            terms = {name: shares[name] * self.surprise(kinds[name], origins[name]) for name in kinds}
        if self.tells_classes:
            terms |= {f"class of {name}": self.class_surprise(kinds[name]) / len(fakes) for name in fakes}
            terms["class of real"] = self.class_surprise(kinds["real"])
        if self.batch.step % adversarial.penalty_every == 0:
            if adversarial.r1:
                terms["r1"] = adversarial.penalty_every * adversarial.r1 / 2 * self.slope(kinds["real"])
            if adversarial.r2:
                slopes = sum(self.slope(kinds[name]) for name in fakes) / len(fakes)
                terms["r2"] = adversarial.penalty_every * adversarial.r2 / 2 * slopes
        if adversarial.lecam:
            real, fake = (self.batch.controls[name] for name in ("real", "fake"))
            parts = [(self.realness(scores[name]) - real) ** 2 for name in fakes]
            anchored = (self.realness(scores["real"]) - fake) ** 2 + sum(parts) / len(fakes)
            terms["lecam"] = adversarial.lecam * anchored.mean()
        return terms

    def class_surprise(self, images: Tensor) -> Tensor:
        return self.opinion.surprise(self.seen(images))

    def slope(self, images: Tensor) -> Tensor:
        """Mean squared norm of the gradient of realness by the image."""
        images = images.clone().requires_grad_()
        rows = [torch.autograd.grad(each, images, create_graph=True)[0] for each in self.realness(self.scores(images))]
        return sum((row**2).sum() for row in rows) / len(images)

    def compared(self, scores: Mapping[str, Tensor], side: int) -> Terms:
        """Mean of log(1 + e^-d) of each difference of two kinds: of the discriminator, or mirrored of the generator."""
        pairs = [("real", name, 0) for name in list(scores)[1:]]
        pairs += [("reconstructed", "generated", 1)] if self.scores_of_an_image == 2 else []
        return {
            f"{above} above {below}": torch.log(
                1 + torch.exp(-side * (scores[above][:, k] - scores[below][:, k]))
            ).mean() / len(pairs)
            for above, below, k in pairs
        }  # fmt: skip

    def fooled(self, kinds: Mapping[str, Tensor]) -> Terms:
        """What the generator minimises."""
        if not self.tells_classes:
            return self.called_real(kinds)
        fakes = list(kinds)[1:]
        classes = {f"class of {name}": self.class_surprise(kinds[name]) / len(fakes) for name in fakes}
        return self.called_real(kinds) | classes

    def called_real(self, kinds: Mapping[str, Tensor]) -> Terms:
        if self.adversarial.loss == "relativistic":
            scores = {name: self.scores(images) for name, images in kinds.items()}
            return self.compared({**scores, "real": scores["real"].detach()}, -1)
        fakes = list(kinds)[1:]
        called = {"reconstructed": "fooling with reconstructions", "generated": "fooling with generated"}
        if self.adversarial.loss == "hinge":
            return {called[name]: -self.lead(self.scores(kinds[name]), 0).mean() / len(fakes) for name in fakes}
        return {called[name]: self.surprise(kinds[name], 0) / len(fakes) for name in fakes}

    def weight(self) -> float | Tensor:
        own, step = self.adversarial, self.batch.step
        if step < own.warmup_steps:
            return 0.0
        ramp = (step - own.warmup_steps + 1) / own.ramp_steps if own.ramp_steps else 1.0
        return own.weight * min(ramp, 1.0) * self.batch.controls.get("adaptive", 1.0)


def vaegan(config: Config, networks: Networks, batch: Batch, terms: Terms) -> dict[str, Terms]:
    game, model = Game(config, networks, batch), config.model
    reconstruction = decoded(networks, batch, drawn(networks, batch))
    generated = decoded(networks, batch, batch.noise["prior"])
    kinds = {"real": batch.images, "reconstructed": reconstruction, "generated": generated}
    features = game.features(batch.images).detach() - game.features(reconstruction)
    terms["similarity"] = model.adversarial.similarity * (features**2).sum() / (2 * features.numel())
    if model.cycle:
        terms["cycle"] = model.cycle * cycle(networks, batch)
    fooling = {name: game.weight() * term for name, term in game.fooled(kinds).items()}
    return {
        "encoder": terms if model.discriminator.classes == "two" else terms | fooling,
        "decoder": terms | fooling,
        "discriminator": game.told({name: images.detach() for name, images in kinds.items()}),
    }


def larsen(config: Config, networks: Networks, batch: Batch, _: Terms) -> dict[str, Terms]:
    """Algorithm 1, the sign of the decoder's L_GAN from section 2.2; sums over an image, means over the images."""
    model, x, count = config.model, batch.images, len(batch.images)
    reconstruction = decoded(networks, batch, drawn(networks, batch))
    generated = decoded(networks, batch, batch.noise["prior"])
    opinion = Opinion(networks, batch)

    def probability(images: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-opinion.scores(images)[:, 0]))

    def classes(**kinds: Tensor) -> Terms:
        if opinion.network.auxiliary is None:
            return {}
        return {f"class of {name}": opinion.surprise(images) for name, images in kinds.items()}

    likelihood = ((opinion.features(x).detach() - opinion.features(reconstruction)) ** 2).sum() / (2 * count)
    return {
        "encoder": {
            "prior": model.beta * divergence(config, networks, batch) / count,
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


def ganvae(config: Config, networks: Networks, batch: Batch, _: Terms) -> dict[str, Terms]:
    game = Game(config, networks, batch)
    kinds = {"real": batch.images, "generated": decoded(networks, batch, batch.noise["prior"])}
    found = {"cycle": config.model.cycle * cycle(networks, batch)}
    return {
        "encoder": found,
        "decoder": found | {name: game.weight() * term for name, term in game.fooled(kinds).items()},
        "discriminator": game.told({name: images.detach() for name, images in kinds.items()}),
    }


PLAYS: dict[str, Callable[[Config, Networks, Batch, Terms], dict[str, Terms]]] = {
    "vaegan": vaegan, "larsen": larsen, "ganvae": ganvae
}  # fmt: skip
