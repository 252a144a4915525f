"""The equations of docs/design.md a second time, and what a training step makes of the same networks and batch.

The oracle knows the networks and nothing else of the toolkit: neither `vaegan.losses` nor a training step.
"""

import math

import torch
from torch import Tensor, nn

from vaegan.config.schema import Config
from vaegan.models import Flow
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps.base import StepInput, StepOutput

from .adversarial_equations import ADVERSARIAL_TERMS, get_negative_elbo_terms

Gradients = dict[str, list[Tensor]]


def build_networks(config: Config, dtype: torch.dtype = torch.float64) -> dict[str, nn.Module]:
    """With every bias away from 0, so that all of them matter, and the moments of codes away from 0 and 1."""
    networks = build_step(config).build_networks()
    for network in networks.values():
        network.to(dtype)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(name)))
        if isinstance(network, Flow):  # whose codes are standardised
            nn.init.constant_(network.mean, 0.3)
            nn.init.constant_(network.scale, 1.7)
    return networks


def build_batch(config: Config, step: int = 0, dtype: torch.dtype = torch.float64, count: int = 6) -> StepInput:
    def draw(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=source, dtype=torch.float64).to(dtype)

    source = torch.Generator().manual_seed(step)
    size, training_step = config.data.image_size, build_step(config)
    images = draw(config.data.channels, size, size).tanh()
    noise = {purpose: draw(*shape) for purpose, shape in training_step.get_noise_shapes().items()}
    values = {"adaptive": 0.4, "augment": 0.6, "real": 0.3, "fake": -0.2}
    state = {
        name: torch.randn(value.shape, generator=source, dtype=torch.float64).to(dtype)
        if value.ndim
        else torch.tensor(values[name], dtype=dtype)
        for name, value in training_step.init_adaptive_state().items()
    }
    labels = torch.arange(count) * 7 % 10
    return StepInput(images, labels, noise, step, 0, None, state)


def run_step(config: Config, networks: dict[str, nn.Module], batch: StepInput) -> tuple[Gradients, StepOutput]:
    """Return the gradients that a training step leaves in the parts of the model and in the discriminator."""
    for network in networks.values():
        network.zero_grad()
    output = build_step(config).accumulate_gradients(networks, batch, lambda loss: loss.backward())
    parts = get_parts(networks)
    assert all(each.grad is not None for parameters in parts.values() for each in parameters)
    return {name: [each.grad.clone() for each in parameters] for name, parameters in parts.items()}, output


def get_parts(networks: dict[str, nn.Module]) -> dict[str, list[nn.Parameter]]:
    model, *others = networks
    parts = dict(networks[model].named_children()) | {name: networks[name] for name in others}
    trained = {name: [p for p in part.parameters() if p.requires_grad] for name, part in parts.items()}
    direct = {name: [p] for name, p in networks[model].named_parameters(recurse=False)}
    return {name: parameters for name, parameters in (direct | trained).items() if parameters}


def compute_oracle(
    config: Config, networks: dict[str, nn.Module], batch: StepInput
) -> dict[str, dict[str, list[Tensor]]]:
    """Return the gradient of each term of each network's equation: network, term, one tensor for each parameter."""
    model, x = config.model, batch.images
    parameters = get_parts(networks)
    count, pixels = len(x), x[0].numel()

    def gradient(term: Tensor, network: str) -> list[Tensor]:
        gradients = torch.autograd.grad(term, parameters[network], retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters[network], strict=True)]

    if model.family == "classifier":
        classifier = networks["classifier"]
        maps = classifier.trunk(x)[-1]
        features = maps.sum((2, 3)) / (maps.shape[2] * maps.shape[3])
        exponentials = torch.exp(features @ classifier.head.weight.T + classifier.head.bias)
        probabilities = torch.stack(
            [row[label] / row.sum() for row, label in zip(exponentials, batch.labels, strict=True)]
        )
        return {name: {"nll": gradient(-torch.log(probabilities).sum() / count, name)} for name in ("trunk", "head")}

    if model.family == "pixelcnn":
        prior = networks["prior"]
        indices = prior.autoencoder.encode_indices(x)
        exponentials = torch.exp(prior.prior(indices, batch.labels))
        probabilities = torch.gather(exponentials, 1, indices[:, None])[:, 0] / exponentials.sum(1)
        return {"prior": {"nll": gradient(-torch.log(probabilities).sum() / indices.numel(), "prior")}}

    if model.family == "flow":
        flow = networks["prior"]
        mean, log_variance = flow.autoencoder.encoder(x).chunk(2, dim=1)
        drawn = mean + torch.exp(log_variance / 2) * batch.noise["posterior"].view_as(mean)
        codes = (drawn - flow.mean) / flow.scale
        source = batch.noise["source"].view_as(codes)
        time = (1 + torch.erf(batch.noise["time"] / math.sqrt(2))) / 2
        t = time.reshape(-1, *[1] * (codes.ndim - 1))
        predicted = flow.prior((1 - t) * source + t * codes, time, batch.labels)
        error = ((predicted - (codes - source)) ** 2).sum() / codes.numel()
        return {"prior": {"velocity": gradient(error, "prior")}}

    encoder, decoder = networks["autoencoder"].encoder, networks["autoencoder"].decoder
    if model.family == "ae":
        shown = x + model.denoising * batch.noise["denoising"] if model.denoising else x
        error = ((x - decoder(encoder(shown))) ** 2).sum() / (count * pixels)
        return {name: {"error": gradient(error, name)} for name in ("encoder", "decoder")}

    if model.family == "vqvae":
        vectors, codebook = encoder(x), networks["autoencoder"].codebook
        rows = vectors.detach().permute(0, 2, 3, 1)
        chosen = ((rows[..., None, :] - codebook) ** 2).sum(-1).argmin(-1)
        if model.cosine:
            lengths = (rows**2).sum(-1, keepdim=True).sqrt() * (codebook**2).sum(-1).sqrt()
            chosen = ((rows @ codebook.T) / lengths).argmax(-1)
            vectors = vectors / (vectors**2).sum(1, keepdim=True).sqrt()
            codebook = codebook / (codebook**2).sum(1, keepdim=True).sqrt()
        entries = codebook[chosen].permute(0, 3, 1, 2)
        passed = entries.detach().requires_grad_()
        error = ((x - torch.tanh(decoder(passed))) ** 2).sum() / (count * pixels)
        error = error / networks["autoencoder"].variance
        (slope,) = torch.autograd.grad(error, passed, retain_graph=True)
        through = (vectors * slope).sum()  # whose gradient is that of the entries, at the vectors
        committed = model.commitment * ((vectors - entries.detach()) ** 2).sum() / vectors.numel()
        gradients = {
            "encoder": {"error": gradient(through, "encoder"), "commitment": gradient(committed, "encoder")},
            "decoder": {"error": gradient(error, "decoder")},
        }
        if "codebook" not in parameters:
            return gradients
        codebook_loss = ((vectors.detach() - entries) ** 2).sum() / vectors.numel()
        return gradients | {"codebook": {"codebook": gradient(codebook_loss, "codebook")}}

    terms = get_negative_elbo_terms(config, networks, batch) if model.family in ("vae", "vaegan") else {}
    learned = "scale" in parameters
    scale_gradients = {"scale": {"reconstruction": gradient(terms["reconstruction"], "scale")}} if learned else {}
    if model.family == "vae":
        gradients = {
            name: {key: gradient(term, name) for key, term in terms.items()} for name in ("encoder", "decoder")
        }
        return gradients | scale_gradients
    return scale_gradients | {
        network: {key: gradient(term, network) for key, term in network_terms.items()}
        for network, network_terms in ADVERSARIAL_TERMS[model.family](config, networks, batch, terms).items()
    }


EXPECTED_TERMS = {
    "classifier": {"trunk": {"nll"}, "head": {"nll"}},
    "ae": {"encoder": {"error"}, "decoder": {"error"}},
    "pixelcnn": {"prior": {"nll"}},
    "flow": {"prior": {"velocity"}},
    "flow-grid": {"prior": {"velocity"}},
    "vqvae": {"encoder": {"error", "commitment"}, "decoder": {"error"}},
    "vae": {"encoder": {"reconstruction", "divergence"}, "decoder": {"reconstruction"}},
    "vaegan2": {
        "encoder": {"reconstruction", "divergence", "similarity"},
        "decoder": {"reconstruction", "similarity", "fooling with reconstructions", "fooling with generated"},
        "discriminator": {"real", "reconstructed", "generated", "r1"},
    },
    "vaegan3": {
        "encoder": {"reconstruction", "divergence", "similarity", "fooling with reconstructions"},
        "decoder": {"reconstruction", "similarity", "fooling with reconstructions", "fooling with generated"},
        "discriminator": {"real", "reconstructed", "generated", "r1"},
    },
    "vae-grid": {"encoder": {"reconstruction", "divergence"}, "decoder": {"reconstruction"}},
    "vaegan1-grid": {
        "encoder": {"reconstruction", "divergence", "similarity", "fooling with reconstructions"},
        "decoder": {"reconstruction", "similarity", "fooling with reconstructions"},
        "discriminator": {"real", "reconstructed", "r1"},
    },
    "vaegan3-grid": {
        "encoder": {"reconstruction", "divergence", "similarity", "fooling with reconstructions"},
        "decoder": {"reconstruction", "similarity", "fooling with reconstructions", "fooling with generated"},
        "discriminator": {"real", "reconstructed", "generated", "r1"},
    },
    "larsen": {
        "encoder": {"prior", "feature likelihood"},
        "decoder": {"weighted feature likelihood", "fooling with reconstructions", "fooling with generated"},
        "discriminator": {"real", "reconstructed", "generated"},
    },
    "ganvae": {
        "encoder": {"cycle"},
        "decoder": {"cycle", "fooling with generated"},
        "discriminator": {"real", "generated", "r1"},
    },
}
EXPECTED_TERMS |= {f"{name}-grid": EXPECTED_TERMS[name] for name in ("larsen", "ganvae")}
"""Names of the terms that reach each network, by family."""


def norm(gradients: list[Tensor]) -> float:
    return math.sqrt(sum(each.square().sum().item() for each in gradients))
