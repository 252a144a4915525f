"""The parts of a trained model as networks of their own, from tensors to tensors, for programs that know no more."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.architectures import DiffusersConfig
from vaegan.errors import UserError
from vaegan.losses.quantisation import find_nearest
from vaegan.models import VQVAE, Autoencoder, Flow, Model, PixelCNN
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.models.gaussian import GaussianAutoencoder
from vaegan.models.posterior import split_parameters

BATCH, HEIGHT, WIDTH = "batch", "height", "width"
"""Names of the sizes that an exported part leaves open."""
PART_NAMES = ("encoder", "decoder", "prior")
"""Names of the parts that a model may have."""


@dataclass(frozen=True)
class TensorDescription:
    """An input or an output of a part."""

    name: str
    """Its name."""
    shape: tuple[int | str, ...]
    """Its sizes; one that is open has a name, or is a term such as ``height / 8``."""
    dtype: str
    """``float32`` or ``int64``."""
    meaning: str
    """What it holds, in words."""
    range: tuple[float, float] | None = None
    """Smallest and largest value; None: there are no bounds."""


@dataclass(frozen=True)
class Part:
    """A network of a model with its inputs and outputs."""

    name: str
    """One of `PART_NAMES`."""
    module: nn.Module
    """The network, whose forward has the names of the inputs."""
    inputs: tuple[TensorDescription, ...]
    """Arguments of its forward."""
    outputs: tuple[TensorDescription, ...]
    """What its forward returns."""

    def name_weights(self) -> dict[str, str]:
        """Return the name of each weight in a file of the part alone, by its name in `module`."""
        return {name: name.removeprefix("network.") for name in self.module.state_dict()}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for inputs."""
        with torch.no_grad():
            outputs = self.module(*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)


class GaussianEncoder(nn.Module):
    """Network from images to the means and log-variances of their posteriors.

    Args:
        network: Encoder of a model.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return means and log-variances, shape (N, d) or (N, C', h, w) each."""
        return split_parameters(self.network(images, labels))


class QuantisingEncoder(nn.Module):
    """Network from images to the indices of codebook entries, and to these entries.

    Args:
        model: The VQ-VAE; with `cosine` the codebook that is kept is the normalised one.
    """

    codebook: Tensor

    def __init__(self, model: VQVAE) -> None:
        super().__init__()
        self.network, self.is_normalised = model.encoder, model.config.cosine
        self.register_buffer("codebook", get_codebook(model))

    def encode_vectors(self, images: Tensor) -> Tensor:
        """Return the vectors (N, D, g, g) that are compared with the entries."""
        vectors: Tensor = self.network(images)
        return F.normalize(vectors) if self.is_normalised else vectors

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return indices, int64 (N, g, g), and entries (N, D, g, g)."""
        rows = self.encode_vectors(images).movedim(1, -1)
        indices = find_nearest(rows.flatten(0, 2), self.codebook).view(rows.shape[:-1])
        return indices, F.embedding(indices, self.codebook).movedim(-1, 1)


class IndexDecoder(nn.Module):
    """Network from the indices of codebook entries to images.

    Args:
        model: The VQ-VAE; with `cosine` the codebook that is kept is the normalised one.
    """

    codebook: Tensor

    def __init__(self, model: VQVAE) -> None:
        super().__init__()
        self.network = model.decoder
        self.register_buffer("codebook", get_codebook(model))

    def forward(self, indices: Tensor) -> Tensor:
        """Return images (N, C, S, S) in [-1, 1] of indices, int64 (N, g, g)."""
        return torch.tanh(self.network(F.embedding(indices, self.codebook).movedim(-1, 1)))


class IndexPrior(nn.Module):
    """Network from the indices of codebook entries to the logits of each, given those before it in raster order.

    Args:
        network: The prior of a PixelCNN.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, indices: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N, K, g, g) of indices, int64 (N, g, g)."""
        logits: Tensor = self.network(indices, labels)
        return logits


class CodeVelocity(nn.Module):
    """Network from points on their way from noise to codes, in the units of the codes, to their velocities.

    Args:
        model: The flow.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: Flow) -> None:
        super().__init__()
        self.network = model.prior
        self.register_buffer("mean", model.mean)
        self.register_buffer("scale", model.scale)

    def forward(self, codes: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return velocities of points (N, d) or (N, C', h, w) at times (N,), of the shape of the points."""
        velocity: Tensor = self.scale * self.network((codes - self.mean) / self.scale, time, labels)
        return velocity


def get_codebook(model: VQVAE) -> Tensor:
    """Return the entries of a VQ-VAE as they are compared and decoded, shape (K, D)."""
    codebook = model.codebook.detach()
    return F.normalize(codebook) if model.config.cosine else codebook.clone()


def list_parts(model: Model) -> tuple[Part, ...]:
    """Return the parts of a model that are exported, which share its weights.

    Raises:
        UserError: It is no autoencoder.
    """
    match model:
        case PixelCNN():
            return (*_list_vqvae_parts(model.autoencoder), _describe_prior(model))
        case Flow():
            return (*_list_continuous_parts(model.autoencoder), _describe_velocity(model))
        case VQVAE():
            return _list_vqvae_parts(model)
        case ContinuousAutoencoder():
            return _list_continuous_parts(model)
    problem = "has neither encoder nor decoder"
    raise UserError(f"a {type(model).__name__} {problem}; export the run of an autoencoder, or load it in Python")


def describe_codes(model: Autoencoder) -> str:
    """Return what the codes of a model are, in words."""
    sizes = " x ".join(map(str, model.code_shape))
    vqvae = model.autoencoder if isinstance(model, PixelCNN) else model
    if isinstance(vqvae, VQVAE):
        return f"a grid of {vqvae.side} x {vqvae.side} indices of {vqvae.config.codes} codebook entries"
    kind = f"a grid of {sizes} (channels, height, width)" if len(model.code_shape) > 1 else f"a vector of {sizes}"
    if isinstance(model, Flow):
        return f"{kind}; `prior` is the velocity that carries mean + scale noise at time 0 to a code at time 1"
    if isinstance(model, GaussianAutoencoder):
        drawn = (
            "mean + exp(log_variance / 2) noise is a sample of the posterior, and codes from N(0, I) are the prior's"
        )
        return f"{kind}; {drawn}"
    return f"{kind} without a prior"


def find_open_sides(model: Model) -> int | None:
    """Return the number that both sides of images are multiples of, where a model takes any such; None: it does not."""
    model = model.autoencoder if isinstance(model, Flow) else model
    if not isinstance(model, ContinuousAutoencoder) or not model.has_grid:
        return None
    return model.downsampling


def _list_continuous_parts(model: ContinuousAutoencoder) -> tuple[Part, ...]:
    images = _describe_images(model, (-1.0, 1.0))
    drawn = _describe_images(model, None if isinstance(model.config, DiffusersConfig) else (-1.0, 1.0))
    labels = _describe_labels(model)
    codes = _describe_codes(model)
    shape = codes.shape
    if not isinstance(model, GaussianAutoencoder):
        encoder = Part("encoder", model.encoder, (images, *labels), (codes,))
    else:
        mean = TensorDescription("mean", shape, "float32", "means of the posteriors, which are the codes to decode")
        deviation = "natural logarithms of the variances of the posteriors"
        log_variance = TensorDescription("log_variance", shape, "float32", deviation, (-30.0, 20.0))
        encoder = Part("encoder", GaussianEncoder(model.encoder), (images, *labels), (mean, log_variance))
    return encoder, Part("decoder", model.decoder, (codes, *labels), (drawn,))


def _describe_codes(model: Flow | ContinuousAutoencoder, meaning: str = "codes") -> TensorDescription:
    if (multiple := find_open_sides(model)) is None:
        return TensorDescription("codes", (BATCH, *model.code_shape), "float32", meaning)
    shape = (BATCH, model.code_shape[0], f"{HEIGHT} / {multiple}", f"{WIDTH} / {multiple}")
    return TensorDescription("codes", shape, "float32", meaning)


def _list_vqvae_parts(model: VQVAE) -> tuple[Part, Part]:
    images = _describe_images(model, (-1.0, 1.0))
    indices = _describe_indices(model)
    codes = TensorDescription("codes", (BATCH, *model.code_shape), "float32", "codebook entries of the indices")
    return (
        Part("encoder", QuantisingEncoder(model), (images,), (indices, codes)),
        Part("decoder", IndexDecoder(model), (indices,), (images,)),
    )


def _describe_prior(model: PixelCNN) -> Part:
    indices, entries = _describe_indices(model.autoencoder), model.autoencoder.config.codes
    meaning = "of each index, given those before it in raster order; draw place by place"
    logits = TensorDescription("logits", (BATCH, entries, *indices.shape[1:]), "float32", f"logits {meaning}")
    return Part("prior", IndexPrior(model.prior), (indices, *_describe_labels(model)), (logits,))


def _describe_velocity(model: Flow) -> Part:
    moments = (",".join(f"{value:.6g}" for value in each.flatten().tolist()) for each in (model.mean, model.scale))
    start = "mean {} + scale {} noise at time 0".format(*moments)
    points = _describe_codes(model, f"points on the way from {start} to codes at time 1")
    time = TensorDescription("time", (BATCH,), "float32", "time of each point", (0.0, 1.0))
    velocity = TensorDescription("velocity", points.shape, "float32", "derivative of the points by the time")
    return Part("prior", CodeVelocity(model), (points, time, *_describe_labels(model)), (velocity,))


def _describe_images(model: Model, bounds: tuple[float, float] | None) -> TensorDescription:
    sides = model.image_shape[1:] if find_open_sides(model) is None else (HEIGHT, WIDTH)
    return TensorDescription("images", (BATCH, model.image_shape[0], *sides), "float32", "images", bounds)


def _describe_indices(model: VQVAE) -> TensorDescription:
    bounds = (0, model.config.codes - 1)
    return TensorDescription("indices", (BATCH, model.side, model.side), "int64", "codebook entries", bounds)


def _describe_labels(model: Autoencoder) -> tuple[TensorDescription, ...]:
    if model.classes is None:
        return ()
    return (TensorDescription("labels", (BATCH,), "int64", "class of each image", (0, model.classes - 1)),)
