"""The `model` section of a config: one class for each family."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .section import Count, Fraction, Positive, Probability, Section, Steps, Weight

NetworkKind = Literal["mlp", "conv", "resnet"]
AdversarialLoss = Literal["cross_entropy", "hinge", "relativistic"]


class AutoencoderConfig(Section):
    """Any family that encodes and decodes images."""


class ConditionalConfig(AutoencoderConfig):
    """Any family that may make images by their class."""

    labels: Annotated[int, Field(ge=2, le=65536)] | None = None
    """Classes that images are made by: as many as the set has labels; None: unconditional."""


class VectorConfig(AutoencoderConfig):
    """The encoder and the decoder of a family whose code is one vector."""

    network: NetworkKind = "conv"
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


class GaussianConfig(VectorConfig, ConditionalConfig):
    """Any family whose encoder gives a Gaussian posterior over codes of the prior N(0, I).

    A conditional one is that of Sohn et al. 2015, with a prior that knows no class: q(z | x, y) and G(z, y).
    """


class VariationalConfig(GaussianConfig):
    """Any family whose posteriors the KL divergence draws to the prior."""

    beta: Weight = 1.0
    """Weight of the KL divergence (Higgins et al. 2017); 1 is the ELBO."""
    beta_warmup_steps: Steps = 0
    """Steps over which beta rises linearly from 0; 0: no warm-up."""
    free_bits: Weight = 0.0
    """Nats of each latent dimension of each image that the KL term leaves free (Kingma et al. 2016, per sample)."""


class VAEConfig(VariationalConfig):
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

    network: NetworkKind = "conv"
    """As `model.network`."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 32
    """As `model.width`."""
    depth: Annotated[int, Field(ge=1, le=16)] = 1
    """As `model.depth`."""
    spectral_norm: bool = False
    """Divide each weight by its largest singular value (Miyato et al. 2018)."""
    layer: Count | None = None
    """Whose features the learned similarity compares, counted from the image: of conv and resnet a resolution, of mlp
    a hidden layer; None: the last."""
    condition: Literal["none", "projection", "auxiliary"] = "projection"
    """How it knows an image's class where `model.labels` says how many there are. `projection`: <e_y, features> is
    added to the score of being real (Miyato & Koyama 2018, eq. 3); `auxiliary`: a further head tells the classes, whose
    cross-entropy the discriminator minimises on all images and the generator on its own (Odena et al. 2017, section 3);
    `none`: it does not."""


class AdversarialConfig(Section):
    """How the discriminator and the autoencoder train each other."""

    loss: AdversarialLoss = "cross_entropy"
    """Form of the game: `cross_entropy` of the classes, `hinge`, or `relativistic`, which compares each image with
    another."""
    weight: Weight = 0.1
    """Weight of the adversarial term beside the other terms, in nats per pixel value."""
    warmup_steps: Steps = 0
    """Steps in which the discriminator learns alone; the adversarial term then sets in."""
    ramp_steps: Steps = 0
    """Steps over which its weight rises linearly from 0, after those; 0: at once."""
    r1: Weight = 1.0
    """Weight gamma of the gradient penalty gamma/2 |grad|^2 at real images (Mescheder et al. 2018, eq. 9)."""
    r2: Weight = 0.0
    """Weight of the same penalty at fakes, a mean over their kinds (Mescheder et al. 2018, eq. 10)."""
    penalty_every: Count = 4
    """Steps between two gradient penalties, each weighted by this number (lazy, Karras et al. 2020)."""
    lecam: Weight = 0.0
    """Weight of the distance of the discriminator's scores from its past ones of the other kind (Tseng et al. 2021)."""
    augment: Probability = 0.0
    """Probability of each augmentation of what the discriminator sees; 1 is DiffAugment (Zhao et al. 2020)."""
    augment_target: Probability | None = None
    """Let that probability follow the discriminator instead (ADA, Karras et al. 2020, eq. 1): it rises where the mean
    sign of real images' scores is above this target (0.6 there), and begins with `augment`."""
    augment_images: Count = 500_000
    """Images over which it can rise from 0 to 1."""


class AdversaryConfig(GaussianConfig):
    """Any family whose decoder is also a generator that plays against a discriminator."""

    discriminator: DiscriminatorConfig = DiscriminatorConfig()

    @property
    def scores(self) -> int:
        """Numbers that the discriminator gives for each image."""
        return 1

    @model_validator(mode="after")
    def _has_classes_to_tell(self) -> "AdversaryConfig":
        if self.discriminator.condition == "auxiliary" and self.labels is None:
            raise ValueError(
                "model.discriminator.condition: auxiliary tells the classes of model.labels, which is not given;"
                " give it, or leave the condition out"
            )
        return self


class VAEGANDiscriminatorConfig(DiscriminatorConfig):
    """A discriminator that may know reconstructed from generated images."""

    classes: Literal["two", "three"] = "three"
    """`two`: real / fake, where the encoder gets no adversarial gradient (Larsen et al. 2016, section 2.3).
    `three`: real / reconstructed / generated, where it does."""


class VAEGANAdversarialConfig(AdversarialConfig):
    """How the discriminator and the autoencoder train each other where images are reconstructed too."""

    similarity: Weight = 0.1
    """Weight of the learned similarity: the squared distance of an image and its reconstruction in the
    discriminator's features (Larsen et al. 2016, eq. 7)."""
    adaptive: tuple[Weight, Weight] | None = None
    """Multiply `weight` by the ratio of the gradients that reconstruction and adversarial term have at the decoder's
    last layer (Esser et al. 2021, eq. 7), kept between these two bounds; None: 1."""

    @model_validator(mode="after")
    def _ordered(self) -> "VAEGANAdversarialConfig":
        if self.adaptive is not None and self.adaptive[0] > self.adaptive[1]:
            raise ValueError(f"model.adversarial.adaptive: {self.adaptive[0]} is above {self.adaptive[1]}; swap them")
        return self


class VAEGANConfig(VAEConfig, AdversaryConfig):
    """A VAE whose decoder is also the generator of a GAN, with a two-way or three-way discriminator."""

    family: Literal["vaegan"] = "vaegan"  # type: ignore[assignment]
    """The kind of model."""
    discriminator: VAEGANDiscriminatorConfig = VAEGANDiscriminatorConfig()
    adversarial: VAEGANAdversarialConfig = VAEGANAdversarialConfig()
    cycle: Weight = 0.0
    """Weight of -log q(z | G(z)) of the prior's codes, in nats per pixel value: the latent cycle beside the rest."""
    perceptual: Weight = 0.0
    """Weight of the LPIPS distance of an image and its reconstruction (Zhang et al. 2018)."""
    perceptual_network: Literal["vgg", "squeeze", "random"] = "vgg"
    """Its network, never that of the metric; `random` is AlexNet without training, which needs no file of weights."""

    @property
    def scores(self) -> int:
        """One; of three classes a logit each, or two scores to compare images by."""
        if self.discriminator.classes == "two":
            return 1
        return 2 if self.adversarial.loss == "relativistic" else 3


class LarsenConfig(VariationalConfig, AdversaryConfig):
    """The VAE-GAN to the letter of Larsen et al. 2016: no term in pixels, gamma at the decoder alone."""

    family: Literal["larsen"] = "larsen"
    """The kind of model."""
    gamma: Positive = 1e-6
    """Weight of the learned similarity against the adversarial term, both of the decoder (algorithm 1)."""


class GANVAEConfig(AdversaryConfig):
    """A GAN with an encoder behind its generator, z -> G(z) -> E(G(z)): the latent cycle alone."""

    family: Literal["ganvae"] = "ganvae"
    """The kind of model."""
    adversarial: AdversarialConfig = AdversarialConfig()
    cycle: Weight = 1.0
    """Weight of -log q(z | G(z)), in nats per pixel value."""


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
    """What the averages, and those of how often an entry is used, keep at each step, gamma."""
    cosine: bool = False
    """Give vectors and entries length 1, so that angles choose (Yu et al. 2022, section 3.2)."""
    kmeans: bool = True
    """Let the first codebook be the centres of the untrained encoder's vectors, instead of random vectors."""
    revive_below: Weight = 0.1
    """An entry that stands for fewer vectors a step, on average, is put on a vector of the step; 0: never."""


class PixelCNNConfig(ConditionalConfig):
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
    AEConfig | VAEConfig | VQVAEConfig | PixelCNNConfig | VAEGANConfig | LarsenConfig | GANVAEConfig | ClassifierConfig,
    Field(discriminator="family"),
]
