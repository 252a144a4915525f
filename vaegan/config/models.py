"""The `model` section of a config: one class for each family."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .section import Count, Fraction, Positive, Section, Steps, Weight

Network = Literal["mlp", "conv", "resnet"]


class AutoencoderConfig(Section):
    """Any family that encodes and decodes images."""


class VectorConfig(AutoencoderConfig):
    """The encoder and the decoder of a family whose code is one vector."""

    network: Network = "conv"
    """`mlp`: fully connected; `conv`: plain convolutions; `resnet`: residual blocks."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 32
    """conv, resnet: channels at full resolution, doubled at each halving up to 8 times as many.
    mlp: units of each hidden layer."""
    depth: Annotated[int, Field(ge=1, le=16)] = 1
    """conv, resnet: blocks at each resolution; mlp: hidden layers."""
    latent_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Dimensions of the code z."""


class AEConfig(VectorConfig):
    """A deterministic autoencoder trained on the squared error; it has no prior to sample from."""

    family: Literal["ae"] = "ae"
    """The kind of model."""
    denoising: Weight = 0.0
    """Standard deviation, in units of the [-1, 1] pixel range, of the noise on the images that the encoder is shown
    while it is trained to give them back without it (Vincent et al. 2008, section 2.3); 0: none."""


class GaussianConfig(VectorConfig):
    """Any family whose encoder gives a Gaussian posterior, which the prior N(0, I) holds together."""

    beta: Weight = 1.0
    """Weight of the KL divergence (Higgins et al. 2017); 1 is the ELBO."""
    beta_warmup_steps: Steps = 0
    """Steps over which beta rises linearly from 0; 0: no warm-up."""
    free_bits: Weight = 0.0
    """Nats of each latent dimension of each image that the KL term leaves free (Kingma et al. 2016, per sample)."""


class VAEConfig(GaussianConfig):
    """A variational autoencoder (Kingma & Welling 2014, eq. 3)."""

    family: Literal["vae"] = "vae"
    """The kind of model."""
    likelihood: Literal["gaussian", "laplace", "bernoulli"] = "gaussian"
    """Observation model p(x | z): `gaussian` is the squared, `laplace` the absolute error, `bernoulli` the
    cross-entropy of intensities in [0, 1], which is no distribution of 8-bit pixels and has no ELBO of them."""
    scale: Positive = 0.2
    """Standard deviation (gaussian) or scale b (laplace) of p(x | z), in units of the [-1, 1] pixel range; bernoulli
    has none. Smaller weighs reconstruction more against the KL divergence."""
    learned_scale: bool = False
    """gaussian, laplace: let the optimizer move the scale, one for all pixels, from there (Rybkin et al. 2021)."""

    @model_validator(mode="after")
    def _has_a_scale_to_learn(self) -> "VAEConfig":
        if self.learned_scale and self.likelihood == "bernoulli":
            raise ValueError("model.learned_scale: bernoulli has no scale; leave it out, or take gaussian or laplace")
        return self


class DiscriminatorConfig(Section):
    """The discriminator; norm-free, so that no image is judged by its neighbours in the batch."""

    classes: Literal["two", "three"] = "three"
    """`two`: real / fake, after Larsen et al. 2016, where the encoder gets no adversarial gradient.
    `three`: real / reconstructed / generated, where it does."""
    network: Network = "conv"
    """As `model.network`."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 32
    """As `model.width`."""
    depth: Annotated[int, Field(ge=1, le=16)] = 1
    """As `model.depth`."""
    spectral_norm: bool = False
    """Divide each weight by its largest singular value (Miyato et al. 2018)."""


class AdversarialConfig(Section):
    """How the discriminator and the autoencoder train each other."""

    weight: Weight = 0.1
    """Weight of the adversarial term beside the negative ELBO in nats per pixel value."""
    similarity: Weight = 0.1
    """Weight of the learned similarity: the squared distance of an image and its reconstruction in the
    discriminator's features (Larsen et al. 2016, eq. 7)."""
    r1: Weight = 1.0
    """Weight gamma of the gradient penalty gamma/2 |grad|^2 at real images (Mescheder et al. 2018, eq. 9)."""
    r1_every: Count = 4
    """Steps between two gradient penalties, each weighted by this number (lazy, Karras et al. 2020)."""


class VAEGANConfig(VAEConfig):
    """A VAE whose decoder is also the generator of a GAN, with a two-way or three-way discriminator."""

    family: Literal["vaegan"] = "vaegan"  # type: ignore[assignment]
    """The kind of model."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    adversarial: AdversarialConfig = AdversarialConfig()


class VQVAEConfig(AutoencoderConfig):
    """An autoencoder whose code is a grid of entries of a codebook (van den Oord et al. 2017)."""

    family: Literal["vqvae"] = "vqvae"
    """The kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 128
    """Channels at a quarter of the resolution; half as many before."""
    residual_width: Count = 32
    """Channels inside a residual block."""
    depth: Annotated[int, Field(ge=1, le=64)] = 2
    """Residual blocks of the encoder and of the decoder."""
    codes: Annotated[int, Field(ge=2, le=65536)] = 512
    """Entries of the codebook, K."""
    code_size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Numbers of an entry, D."""
    commitment: Weight = 0.25
    """Weight beta of the encoder's distance from the entries that it is given (eq. 3)."""
    codebook: Literal["ema", "gradient"] = "ema"
    """How entries follow the encoder's vectors: `ema` by averages of those that they stood for (appendix A.1),
    `gradient` by the optimizer."""
    codebook_decay: Fraction = 0.99
    """ema: what the averages keep at each step, gamma."""
    cosine: bool = False
    """Choose entries by angle instead of by distance (Yu et al. 2022, section 3.2)."""
    kmeans: bool = True
    """Let the first codebook be the centres of the untrained encoder's vectors, instead of random vectors."""
    revive_below: Weight = 0.1
    """ema: an entry that stands for fewer vectors a step, on average, is put on a vector of the step; 0: never."""


class PixelCNNConfig(AutoencoderConfig):
    """A VQ-VAE with a gated PixelCNN over its codes, which is what is trained (van den Oord et al. 2016, 2017)."""

    family: Literal["pixelcnn"] = "pixelcnn"
    """The kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 64
    """Channels of each of the two stacks."""
    depth: Annotated[int, Field(ge=1, le=64)] = 8
    """Gated layers."""
    reach: Annotated[int, Field(ge=1, le=8)] = 1
    """Places that a layer reaches up and to the sides."""
    autoencoder: VQVAEConfig | None = None
    """The VQ-VAE over whose codes it is; filled in from the run that `prior.autoencoder` names."""


class ClassifierConfig(Section):
    """No autoencoder: a residual network that learns the labels of a set (`vaegan train-features`)."""

    family: Literal["classifier"] = "classifier"
    """The kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 32
    """Channels at full resolution, doubled at each halving up to 8 times as many; those of the last one, averaged over
    all places, are the features."""
    depth: Annotated[int, Field(ge=1, le=16)] = 1
    """Blocks at each resolution."""
    classes: Annotated[int, Field(ge=2, le=65536)]
    """How many the set has."""


ModelConfig = Annotated[
    AEConfig | VAEConfig | VQVAEConfig | PixelCNNConfig | VAEGANConfig | ClassifierConfig, Field(discriminator="family")
]
