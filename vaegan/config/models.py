"""The `model` section of a config: one class for each family and kind of code, composed of the bases before it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Discriminator, Field, SerializerFunctionWrapHandler, Tag, field_serializer, model_validator

from .adversarial import AdversarialLossConfig, DiscriminatorConfig, VAEGANDiscriminatorConfig, VAEGANLossConfig
from .architectures import ConditionalConfig, ContinuousConfig, DiffusersConfig, GridConfig, VectorConfig
from .classifier import ClassifierConfig
from .codebooks import PixelCNNConfig, TrainedPriorConfig, VQVAEConfig
from .objectives import ELBOConfig, KLConfig, PerceptualConfig
from .section import Positive, Section, Weight


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

    @model_validator(mode="after")
    def _check_packing(self) -> "GANConfig":
        if self.discriminator.packing > 1 and self.labels is not None and self.discriminator.condition != "none":
            problem = "two images have no class in common"
            raise ValueError(f"model.discriminator.packing: {problem}; give condition=none, or packing=1")
        return self


class AEFamilyConfig(ContinuousConfig):
    """A deterministic autoencoder trained on the squared error; it has no prior to sample from."""

    family: Literal["ae"] = "ae"
    """Kind of model."""
    denoising: Weight = 0.0
    """Standard deviation, in units of the [-1, 1] pixel range, of noise that training adds to the encoder's input; the
    target is the image without noise (Vincent et al. 2008, section 2.3). 0: no noise."""


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
    """Weight of the latent cycle, -log q(z | G(z)) of codes z drawn from the prior, in nats per pixel value."""

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
    """Weight of the learned similarity relative to the adversarial term, in the decoder's loss (algorithm 1)."""


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
    """Weight of the latent cycle, -log q(z | G(z)) of codes z drawn from the prior, in nats per pixel value."""

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins of the images that the discriminator is trained with, in their order."""
        return "real", "generated"


class GANVAEConfig(GANVAEFamilyConfig, VectorConfig):
    """A GAN with an encoder behind its generator, z -> G(z) -> E(G(z)): the latent cycle alone."""


class GridGANVAEConfig(GANVAEFamilyConfig, GridConfig):
    """A GAN with an encoder behind its generator, whose code is a grid."""


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


ContinuousModels: TypeAlias = (
    Annotated[AEConfig, Tag("ae")]
    | Annotated[GridAEConfig, Tag("ae, code: grid")]
    | Annotated[DiffusersAEConfig, Tag("ae, network: diffusers")]
    | Annotated[VAEConfig, Tag("vae")]
    | Annotated[GridVAEConfig, Tag("vae, code: grid")]
    | Annotated[DiffusersVAEConfig, Tag("vae, network: diffusers")]
    | Annotated[VAEGANConfig, Tag("vaegan")]
    | Annotated[GridVAEGANConfig, Tag("vaegan, code: grid")]
    | Annotated[DiffusersVAEGANConfig, Tag("vaegan, network: diffusers")]
    | Annotated[LarsenConfig, Tag("larsen")]
    | Annotated[GridLarsenConfig, Tag("larsen, code: grid")]
    | Annotated[GANVAEConfig, Tag("ganvae")]
    | Annotated[GridGANVAEConfig, Tag("ganvae, code: grid")]
)
"""Each class of a family whose code is continuous, with its tag."""


class FlowConfig(TrainedPriorConfig):
    """A prior that is trained by flow matching over the codes of a frozen autoencoder (Lipman et al. 2023)."""

    family: Literal["flow"] = "flow"
    """Kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 256
    """Units of each layer if the codes are vectors; channels of each layer if they are grids."""
    depth: Annotated[int, Field(ge=1, le=64)] = 4
    """Residual blocks."""
    solver: Literal["euler", "heun"] = "heun"
    """Method that integrates the velocity from noise to a code: `euler` evaluates the network once a step; `heun`, of
    second order, twice."""
    solver_steps: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Steps of the solver, all of the same length."""
    autoencoder: Annotated[ContinuousModels, Discriminator(choose_model)] | None = None
    """Autoencoder with a continuous code (a vector or a grid) whose codes the prior models; filled in from the run that
    `prior.autoencoder` names."""
    autoencoder_name = "autoencoder"
    autoencoder_families = ("ae", "vae", "vaegan", "larsen", "ganvae")

    @field_serializer("autoencoder", mode="wrap")
    def _keep_family(self, value: Section | None, handler: SerializerFunctionWrapHandler) -> Any:
        """Return the settings of the autoencoder with its family, by which its class is chosen, though a default."""
        return None if value is None else {"family": value.model_dump()["family"], **handler(value)}

    @model_validator(mode="after")
    def _check_labels(self) -> "FlowConfig":
        classes = getattr(self.autoencoder, "labels", None)
        if classes not in (None, self.labels):
            raise ValueError(
                f"model.labels: the autoencoder encodes and decodes images by {classes} classes; give {classes}"
            )
        return self


ModelConfig = Annotated[
    ContinuousModels
    | Annotated[VQVAEConfig, Tag("vqvae")]
    | Annotated[PixelCNNConfig, Tag("pixelcnn")]
    | Annotated[FlowConfig, Tag("flow")]
    | Annotated[ClassifierConfig, Tag("classifier")],
    Discriminator(choose_model),
]

CLASSES_BY_TAG: Mapping[str, type[Section]] = {
    tag.tag: cls for cls, tag in (get_args(member) for member in get_args(get_args(ModelConfig)[0]))
}
"""Class of a `model` section by the tag of `choose_model`."""


def get_autoencoder_config(model: Section) -> Section:
    """Return the settings of a model's encoder and decoder: its own, or those of the autoencoder that it is a prior of.

    Args:
        model: The `model` section of a config.
    """
    if isinstance(model, PixelCNNConfig | FlowConfig) and model.autoencoder is not None:
        return model.autoencoder
    return model
