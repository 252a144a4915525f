"""The `model` section of a config: one class for each family and kind of code, composed of the bases before it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from .adversarial import AdversarialLossConfig, DiscriminatorConfig, VAEGANDiscriminatorConfig, VAEGANLossConfig
from .architectures import (
    AutoencoderConfig,
    ConditionalConfig,
    ContinuousConfig,
    DiffusersConfig,
    GridConfig,
    VectorConfig,
)
from .objectives import ELBOConfig, KLConfig, PerceptualConfig
from .section import Count, Fraction, Positive, Section, Weight


class GaussianConfig(ContinuousConfig, ConditionalConfig):
    """Base of every family whose encoder gives a Gaussian posterior over codes of the prior N(0, I).

    A conditional one is that of Sohn et al. 2015, with a prior that does not depend on the class: q(z | x, y), G(z, y).
    """


class GANConfig(GaussianConfig):
    """Base of every family whose decoder is also the generator of a GAN."""

    discriminator: DiscriminatorConfig = DiscriminatorConfig()

    @property
    def score_count(self) -> int:
        """Number of scores that the discriminator gives for each image, or each patch."""
        return 1

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins of the images that the discriminator is trained with, in their order."""
        return "real", "reconstructed", "generated"

    @model_validator(mode="after")
    def _check_auxiliary(self) -> "GANConfig":
        if self.discriminator.condition == "auxiliary" and self.labels is None:
            raise ValueError(
                "model.discriminator.condition: auxiliary tells the classes of model.labels, which is not given;"
                " give it, or leave the condition out"
            )
        return self


class AEFamilyConfig(ContinuousConfig):
    """A deterministic autoencoder trained on the squared error; it has no prior to sample from."""

    family: Literal["ae"] = "ae"
    """Kind of model."""
    denoising: Weight = 0.0
    """Standard deviation, in units of the [-1, 1] pixel range, of the noise on the images that the encoder is shown
    while it is trained to give them back without it (Vincent et al. 2008, section 2.3); 0: none."""


class AEConfig(AEFamilyConfig, VectorConfig):
    """A deterministic autoencoder trained on the squared error; it has no prior to sample from."""


class GridAEConfig(AEFamilyConfig, GridConfig):
    """A deterministic autoencoder whose code is a grid."""


class DiffusersAEConfig(AEFamilyConfig, DiffusersConfig):
    """A deterministic autoencoder of the package diffusers."""

    is_gaussian = False


class VAEFamilyConfig(PerceptualConfig, ELBOConfig, GaussianConfig):
    """A variational autoencoder (Kingma & Welling 2014, eq. 3)."""

    family: Literal["vae"] = "vae"
    """Kind of model."""


class VAEConfig(VAEFamilyConfig, VectorConfig):
    """A variational autoencoder (Kingma & Welling 2014, eq. 3)."""


class GridVAEConfig(VAEFamilyConfig, GridConfig):
    """A variational autoencoder whose code is a grid."""


class DiffusersVAEConfig(VAEFamilyConfig, DiffusersConfig):
    """A variational autoencoder of the package diffusers."""

    is_gaussian = True


class VAEGANFamilyConfig(PerceptualConfig, ELBOConfig, GANConfig):
    """A VAE whose decoder is also the generator of a GAN, with a two-way or three-way discriminator."""

    family: Literal["vaegan"] = "vaegan"
    """Kind of model."""
    discriminator: VAEGANDiscriminatorConfig = VAEGANDiscriminatorConfig()
    adversarial: VAEGANLossConfig = VAEGANLossConfig()
    cycle: Weight = 0.0
    """Weight of -log q(z | G(z)) of the prior's codes, in nats per pixel value: the latent cycle as a further term."""

    @model_validator(mode="after")
    def _check_instance(self) -> "VAEGANFamilyConfig":
        if bool(self.adversarial.instance) != bool(self.discriminator.instance_layers):
            problem = "the term takes a weight, and layers as model.discriminator.instance_layers"
            raise ValueError(f"model.adversarial.instance: {problem}; give both, or none")
        return self

    @model_validator(mode="after")
    def _check_cycle(self) -> "VAEGANFamilyConfig":
        if self.cycle and self.discriminator.classes == "reconstructed":
            raise ValueError(
                "model.cycle: it encodes generated images, of which there are none under"
                " model.discriminator.classes=reconstructed; leave one of them out"
            )
        return self

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins of the images that the discriminator is trained with, in their order."""
        return super().origins[: 2 if self.discriminator.classes == "reconstructed" else 3]

    @property
    def score_count(self) -> int:
        """Number of scores: one; of three classes a logit each, or two scores to compare images by."""
        if self.discriminator.classes != "three":
            return 1
        return 2 if self.adversarial.loss == "relativistic" else 3


class VAEGANConfig(VAEGANFamilyConfig, VectorConfig):
    """A VAE whose decoder is also the generator of a GAN, with a two-way or three-way discriminator."""


class GridVAEGANConfig(VAEGANFamilyConfig, GridConfig):
    """A VAE-GAN whose code is a grid."""


class DiffusersVAEGANConfig(VAEGANFamilyConfig, DiffusersConfig):
    """A VAE-GAN of an autoencoder of the package diffusers."""

    is_gaussian = True


class LarsenFamilyConfig(KLConfig, GANConfig):
    """The VAE-GAN exactly as in Larsen et al. 2016: no term in pixels, gamma at the decoder alone."""

    family: Literal["larsen"] = "larsen"
    """Kind of model."""
    gamma: Positive = 1e-6
    """Weight of the learned similarity against the adversarial term, both of the decoder (algorithm 1)."""


class LarsenConfig(LarsenFamilyConfig, VectorConfig):
    """The VAE-GAN exactly as in Larsen et al. 2016: no term in pixels, gamma at the decoder alone."""


class GridLarsenConfig(LarsenFamilyConfig, GridConfig):
    """The VAE-GAN as in Larsen et al. 2016, whose code is a grid."""


class GANVAEFamilyConfig(GANConfig):
    """A GAN with an encoder behind its generator, z -> G(z) -> E(G(z)): the latent cycle alone."""

    family: Literal["ganvae"] = "ganvae"
    """Kind of model."""
    adversarial: AdversarialLossConfig = AdversarialLossConfig()
    cycle: Weight = 1.0
    """Weight of -log q(z | G(z)), in nats per pixel value."""

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins of the images that the discriminator is trained with, in their order."""
        return "real", "generated"


class GANVAEConfig(GANVAEFamilyConfig, VectorConfig):
    """A GAN with an encoder behind its generator, z -> G(z) -> E(G(z)): the latent cycle alone."""


class GridGANVAEConfig(GANVAEFamilyConfig, GridConfig):
    """A GAN with an encoder behind its generator, whose code is a grid."""


class VQVAEConfig(AutoencoderConfig):
    """An autoencoder whose code is a grid of entries of a codebook (van den Oord et al. 2017)."""

    family: Literal["vqvae"] = "vqvae"
    """Kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 128
    """Channels at a quarter of the resolution; half as many before."""
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
    """Vectors per step, on average, below which an unused entry is replaced by a vector of the step; 0: never."""


class PixelCNNConfig(ConditionalConfig):
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


class ClassifierConfig(Section):
    """A residual network that learns the labels of a data set (`vaegan train-features`); it is not an autoencoder."""

    family: Literal["classifier"] = "classifier"
    """Kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 32
    """Channels at full resolution, doubled at each halving up to 8 times as many; those of the last one, averaged over
    all positions, are the features."""
    depth: Annotated[int, Field(ge=1, le=16)] = 1
    """Blocks at each resolution."""
    classes: Annotated[int, Field(ge=2, le=65536)]
    """Number of classes of the data set."""


def choose_model(settings: Any) -> str | None:
    """Return the tag of the class of a `model` section: its family, and the kind of its code if it has several.

    Args:
        settings: The section as a mapping, or an instance of a class.
    """
    if not isinstance(settings, Mapping):
        settings = {key: getattr(settings, key, None) for key in ("family", "network", "code")}
    family = settings.get("family")
    if family in ("ae", "vae", "vaegan") and settings.get("network") == "diffusers":
        return f"{family}, network: diffusers"
    if family in ("ae", "vae", "vaegan", "larsen", "ganvae") and settings.get("code") == "grid":
        return f"{family}, code: grid"
    return family if isinstance(family, str) else None


ModelConfig = Annotated[
    Annotated[AEConfig, Tag("ae")]
    | Annotated[GridAEConfig, Tag("ae, code: grid")]
    | Annotated[DiffusersAEConfig, Tag("ae, network: diffusers")]
    | Annotated[VAEConfig, Tag("vae")]
    | Annotated[GridVAEConfig, Tag("vae, code: grid")]
    | Annotated[DiffusersVAEConfig, Tag("vae, network: diffusers")]
    | Annotated[VQVAEConfig, Tag("vqvae")]
    | Annotated[PixelCNNConfig, Tag("pixelcnn")]
    | Annotated[VAEGANConfig, Tag("vaegan")]
    | Annotated[GridVAEGANConfig, Tag("vaegan, code: grid")]
    | Annotated[DiffusersVAEGANConfig, Tag("vaegan, network: diffusers")]
    | Annotated[LarsenConfig, Tag("larsen")]
    | Annotated[GridLarsenConfig, Tag("larsen, code: grid")]
    | Annotated[GANVAEConfig, Tag("ganvae")]
    | Annotated[GridGANVAEConfig, Tag("ganvae, code: grid")]
    | Annotated[ClassifierConfig, Tag("classifier")],
    Discriminator(choose_model),
]

CLASSES_BY_TAG: Mapping[str, type[Section]] = {
    tag.tag: cls for cls, tag in (get_args(member) for member in get_args(get_args(ModelConfig)[0]))
}
"""Class of a `model` section by the tag of `choose_model`."""
