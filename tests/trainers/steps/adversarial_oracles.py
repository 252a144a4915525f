"""What the equations of the adversarial families say of a discriminator and of the adversarial loss, term by term."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vaegan.config.schema import Config
from vaegan.losses.augmentation import augment
from vaegan.networks.discriminator import MultiScaleDiscriminator, PackedDiscriminator, ProjectedDiscriminator
from vaegan.trainers.steps.base import StepInput

Terms = dict[str, Tensor]
Networks = Mapping[str, nn.Module]


def one_hot(batch: StepInput, classes: int) -> Tensor:
    return torch.eye(classes, dtype=batch.images.dtype)[batch.labels]


class DiscriminatorOracle:
    """Discriminator outputs, written with its layers, for the images of a batch or others in their positions.

    A patch counts as an image does: the rows of scores are those of the patches of the first image, then the next. The
    patches of a discriminator of smaller images count as often as those of the first one that they cover. Images that
    are scored together have one row. With discriminators of a classifier's features an image has a row of each.
    """

    def __init__(self, networks: Networks, batch: StepInput) -> None:
        network, self.batch, self.packing = networks["discriminator"], batch, 1
        if isinstance(network, PackedDiscriminator):
            network, self.packing = network.member, network.packing
        kinds = (MultiScaleDiscriminator, ProjectedDiscriminator)
        self.whole, self.members = network, list(network.members) if isinstance(network, kinds) else [network]
        self.network = self.members[0]

    def pack(self, images: Tensor) -> Tensor:
        """Return an image of the channels of all of those that are scored together, one after another."""
        rows = range(0, len(images), self.packing)
        return torch.stack([torch.cat(list(images[row : row + self.packing])) for row in rows])

    def last(self, images: Tensor) -> Tensor:
        features = self.network.trunk(images)[-1]
        return features if isinstance(self.network.head, nn.Conv2d) else features.reshape(len(images), -1)

    @property
    def has_one_row(self) -> bool:
        return len(self.members) == 1 and not isinstance(self.network.head, nn.Conv2d)

    def scores(self, images: Tensor) -> Tensor:
        """With <e_y, last features> added to the first."""
        images = self.pack(images)
        if self.has_one_row:
            return self.add_class(self.network, self.last(images), self.network.head(self.last(images)))
        if isinstance(self.whole, ProjectedDiscriminator):
            stages = self.whole.classifier(images)
            inputs = [images, *(stages[layer - 1] for layer in self.whole.layers)]
            lasts = [net.trunk(each)[-1].flatten(1) for net, each in zip(self.members, inputs, strict=True)]
            rows = [self.add_class(net, each, net.head(each)) for net, each in zip(self.members, lasts, strict=True)]
            return torch.stack(rows, 1).flatten(0, 1)
        rows = []
        for power, network in enumerate(self.members):  # each halves the sides of the one before
            squares = images.unflatten(-1, (-1, 2**power)).unflatten(-3, (-1, 2**power))
            last = network.trunk(squares.mean((-3, -1)))[-1]
            flat = [each.permute(0, 2, 3, 1).flatten(0, 2) for each in (last, network.head(last))]
            of_places = self.add_class(network, *flat).reshape(len(images), *last.shape[2:], -1)
            covering = of_places.repeat_interleave(2**power, 1).repeat_interleave(2**power, 2)
            rows.append(covering.flatten(1, 2))
        return torch.cat(rows, 1).flatten(0, 1)

    def add_class(self, network: nn.Module, last: Tensor, scores: Tensor) -> Tensor:
        if network.projection is None:
            return scores
        vectors = one_hot(self.batch, network.projection.out_features) @ network.projection.weight
        realer = (vectors.repeat_interleave(len(last) // len(vectors), 0) * last).sum(1)
        return torch.stack([scores[:, k] + realer * (k == 0) for k in range(scores.shape[1])], 1)

    def features(self, images: Tensor) -> Tensor:
        return self.network.trunk(self.pack(images))[self.network.layer - 1]

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

    def compute_instance_nll(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Mean of -log of the share of the own image among it and the queue, over layers and images."""
        nll = []
        for layer in self.discriminator.network.instance_layers:
            queue = self.batch.adaptive_state[f"instance_queue/{layer}"]
            for image, reconstruction in zip(self.augment(images), self.augment(reconstructions), strict=True):
                own, anchor = (
                    self.discriminator.network.trunk(each[None])[layer - 1][0].flatten(1).mean(1)
                    for each in (image, reconstruction)
                )
                others = [own.detach(), *queue]
                cosines = [anchor @ each / torch.sqrt((anchor @ anchor) * (each @ each)) for each in others]
                shares = torch.exp(torch.stack(cosines) / self.adversarial.instance_temperature)
                nll.append(-torch.log(shares[0] / shares.sum()))
        return torch.stack(nll).mean()

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
                name: self.realness(each).reshape(len(self.batch.images) // self.discriminator.packing, -1).mean(1)
                for name, each in scores.items()
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
        if not self.discriminator.has_one_row:
            signs = torch.sign(self.batch.noise["patches"][:: self.discriminator.packing]).flatten()
            total = (signs * self.realness(self.scores(images))).sum()
            return (torch.autograd.grad(total, images, create_graph=True)[0] ** 2).sum() / len(signs)
        rows = [torch.autograd.grad(each, images, create_graph=True)[0] for each in self.realness(self.scores(images))]
        return sum((row**2).sum() for row in rows) / len(rows)

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
