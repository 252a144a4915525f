"""The `model` section of the families whose code is a grid of entries of a codebook, and the base of trained priors."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .architectures import AutoencoderConfig, ConditionalConfig
from .section import Count, Fraction, Weight


class VQVAEConfig(AutoencoderConfig):
    """An autoencoder whose code is a grid of entries of a codebook (van den Oord et al. 2017)."""

    family: Literal["vqvae"] = "vqvae"
    """Kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 128
    """Channels at a quarter of the resolution; at half the resolution there are half as many."""
    residual_width: Count = 32
    """Channels inside a residual block."""
    depth: Annotated[int, Field(ge=1, le=64)] = 2
    """Residual blocks of the encoder and of the decoder."""
    codes: Annotated[int, Field(ge=2, le=65536)] = 512
    """Number K of entries of the codebook."""
    code_size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Size D of an entry."""
    commitment: Weight = 0.25
    """Weight beta of the encoder's distance from the entries assigned to its vectors (eq. 3)."""
    codebook: Literal["ema", "gradient"] = "ema"
    """Training of the entries: `ema` by moving averages of the vectors assigned to them (appendix A.1), `gradient` by
    the optimizer."""
    codebook_decay: Fraction = 0.99
    """Decay gamma per step of these averages, and of the average number of vectors assigned to each entry."""
    cosine: bool = False
    """Normalise vectors and entries to length 1, so that the nearest entry is that of the smallest angle (Yu et al.
    2022, section 3.2)."""
    kmeans: bool = True
    """Start from the k-means centres of the untrained encoder's vectors instead of random vectors."""
    revive_below: Weight = 0.1
    """An entry that fewer vectors per step choose, on average, is replaced by a vector of the step; 0: never."""


class TrainedPriorConfig(ConditionalConfig):
    """Base of every family that is trained as the prior of the codes of a frozen autoencoder, that of another run."""

    autoencoder_name: ClassVar[str]
    """Kind of that autoencoder, in words."""
    autoencoder_families: ClassVar[tuple[str, ...]]
    """Families that it may be of."""


class PixelCNNConfig(TrainedPriorConfig):
    """A gated PixelCNN prior, which is trained, over the codes of a frozen VQ-VAE (van den Oord et al. 2016, 2017)."""

    family: Literal["pixelcnn"] = "pixelcnn"
    """Kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 64
    """Channels of each of the two stacks."""
    depth: Annotated[int, Field(ge=1, le=64)] = 8
    """Gated layers."""
    reach: Annotated[int, Field(ge=1, le=8)] = 1
    """Positions that the kernel of a layer reaches up and to the sides."""
    autoencoder: VQVAEConfig | None = None
    """VQ-VAE whose codes the prior models; filled in from the run that `prior.autoencoder` names."""
    autoencoder_name = "VQ-VAE"
    autoencoder_families = ("vqvae",)
