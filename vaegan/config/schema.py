"""Every setting of a run, typed and documented where it is defined.

``vaegan configs --schema`` prints these fields and those of `study`. Lengths of training are counted in optimizer
steps, batches in images, log-likelihoods in nats.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .models import ModelConfig, PixelCNNConfig, VectorConfig
from .section import Channels, Count, DensityName, Fraction, Positive, Section, Side, Steps, Text

Source = Literal["digits", "photos", "shapes", "folder", "mnist", "fashion_mnist", "cifar10", "celeba"]
Split = Literal["train", "validation", "test"]
MetricName = Literal[
    "psnr", "ssim", "ms_ssim", "lpips", "lpips_vgg", "lpips_squeeze", "sharpness", "frechet", "kid", "prdc", "elbo",
    "iwae", "gap", "codebook", "confusion",
]  # fmt: skip

SYNTHETIC: tuple[Source, ...] = ("photos", "shapes")
"""The sources whose number of images is chosen, not given."""


def _absolute(key: str) -> AfterValidator:
    """Makes a path absolute; ``key`` is the setting's, for messages."""

    def absolute(path: Path) -> Path:
        if "\0" in str(path):
            raise ValueError(f"{key}: a path cannot hold a null character")
        return Path(os.path.expanduser(path)).absolute()

    return AfterValidator(absolute)


class DataConfig(Section):
    """The images."""

    source: Source
    """`digits`, `photos` and `shapes` are embedded; `folder` is any tree of image files under `root`;
    the rest are read by torchvision's formats under `root`."""
    root: Annotated[Path, _absolute("data.root")] | None = None
    """Folder of the images (`folder`), or folder that holds or receives the set (`mnist`, ...; None: `data`
    in the working folder). The embedded sets take none."""
    image_size: Side
    """Height and width in pixels; larger and smaller images are resized (antialiased bicubic, short side) and
    centre-cropped."""
    channels: Channels = 3
    """1: grey (luminance); 3: RGB."""
    count: Annotated[int, Field(ge=10, le=100_000_000)] | None = None
    """`photos` and `shapes`: number of images in all splits together; None: 10,000. Other sources take none."""
    validation: Fraction = 0.1
    """Share of the images that is held out for evaluation during training; `celeba` keeps its official split."""
    test: Fraction = 0.1
    """Share held out for the final evaluation; `mnist`, `fashion_mnist`, `cifar10` and `celeba` keep their official
    test split."""
    horizontal_flip: bool = False
    """Mirror each training image with probability 1/2, as a function of seed, step and place in the batch."""
    cache: Literal["auto", "device", "memory", "none"] = "auto"
    """`device`, `memory`: hold the set as uint8 there; `none`: decode ahead in workers; `auto`: `device` for up to
    1 GiB on an accelerator, `memory` up to 4 GiB, else `none`."""
    workers: Annotated[int, Field(ge=0, le=256)] = 4
    """Processes (of each rank) that decode images ahead under `cache: none`; 0 decodes in the training process."""
    strict: bool = False
    """`folder`: a file that cannot be read as an image is an error instead of a warning."""
    download: bool = False
    """Let torchvision fetch `mnist`, `fashion_mnist`, `cifar10` or `celeba` where it is missing."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, S, S) of the images."""
        return self.channels, self.image_size, self.image_size

    @model_validator(mode="after")
    def _consistent(self) -> "DataConfig":
        if self.source == "folder" and self.root is None:
            raise ValueError("data.root: missing; data.source=folder needs the folder of the images")
        if self.source in ("digits", *SYNTHETIC) and self.root is not None:
            raise ValueError(f"data.root: {self.source} is embedded and has no folder; leave it out, or give null")
        if self.source != "folder" and self.strict:
            raise ValueError("data.strict: only folder takes it; leave it out")
        if self.source in ("digits", "folder", *SYNTHETIC) and self.download:
            raise ValueError(
                "data.download: only mnist, fashion_mnist, cifar10 and celeba can be fetched; leave it out"
            )
        if self.source not in SYNTHETIC and self.count is not None:
            raise ValueError(f"data.count: only {' and '.join(SYNTHETIC)} have a chosen number of images; leave it out")
        if self.validation + self.test >= 1:
            raise ValueError("data.validation: with data.test it leaves no image to train on; keep their sum below 1")
        return self


class TrainConfig(Section):
    """The training loop."""

    steps: Annotated[int, Field(ge=1, lt=10**8)]
    """Optimizer steps."""
    batch_size: Count = 64
    """Images of one optimizer step, over all processes and micro-batches."""
    micro_batch_size: Count | None = None
    """Images that one process holds at a time; None: its whole share of the batch."""
    precision: Literal["fp32", "tf32", "bf16"] | None = None
    """Arithmetic of the networks; None: what `accelerate launch --mixed_precision` says, else fp32.
    Under bf16 the losses stay float32, and so does the discriminator in steps with a gradient penalty."""
    dtype: Literal["float32", "float64"] = "float32"
    """Type of weights and images; float64 is for tests of exactness."""
    learning_rate: Positive = 1e-3
    """The optimizer's step size for encoder and decoder."""
    discriminator_learning_rate: Positive | None = None
    """The optimizer's step size for the discriminator; None: `learning_rate`."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    """Averaging of the gradient and of its square; rmsprop knows the second alone."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """`adam` (Kingma & Ba 2015), or `rmsprop` (Tieleman & Hinton 2012), as Larsen et al. 2016 trained."""
    warmup_steps: Steps = 0
    """Steps over which the learning rates rise linearly from 0."""
    decay: Literal["constant", "cosine"] = "constant"
    """Learning rates after the warm-up: kept, or lowered towards 0 along half a cosine."""
    clip_norm: Positive | None = None
    """Largest gradient norm of each network; None: no clipping."""
    ema_decay: Fraction = 0.999
    """Decay per step of the averaged weights that samples, evaluations and the exported model use, reached
    gradually as min(decay, (1 + n) / (10 + n)) after n updates; 0: the last weights."""
    log_every: Count = 50
    """Steps between two lines of `history.jsonl`."""
    sample_every: Count | None = None
    """Steps between two grids of samples and reconstructions; None: at the end only."""
    evaluate_every: Count | None = None
    """Steps between two evaluations on the validation split; None: none during training."""
    checkpoint_every: Count | None = 1000
    """Steps between two checkpoints; None: at the end and when interrupted only."""
    keep_checkpoints: Count = 2
    """Checkpoints that are kept; older ones are deleted."""
    nan: Literal["stop", "skip"] = "stop"
    """What to do where a gradient is not finite: `stop`, or `skip` that update (and stop after 5 in a row)."""
    disk_full: Literal["stop", "continue"] = "stop"
    """What to do where a checkpoint, a grid or a line of a log cannot be written: `stop`, or `continue` without it;
    lines are then kept until there is room. The last checkpoint and the model are never done without."""
    grace_seconds: Annotated[float, Field(gt=0, le=86400)] = 25.0
    """Seconds between SIGTERM and the end of the process, in which the step ends and a checkpoint is written (an
    evaluation is put off until the resume). Schedulers kill what is left after their own time, often 30 s."""

    @model_validator(mode="after")
    def _consistent(self) -> "TrainConfig":
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"train.micro_batch_size: {self.micro_batch_size} does not divide train.batch_size={self.batch_size}"
            )
        return self


class EvaluateConfig(Section):
    """How a run is judged."""

    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)] = (
        "psnr", "ssim", "lpips", "sharpness", "elbo", "gap", "codebook", "confusion",
    )  # fmt: skip
    """What to measure; a metric that the family cannot have (the ELBO of an AE) is passed over. Where p(x | z) is no
    distribution of 8-bit pixels, `elbo` is the rate alone, and there is no `iwae`."""
    features: Text = "inception"
    """The network of `frechet`, `kid` and `prdc`: `inception`, or the run folder of `vaegan train-features`."""
    importance_samples: Count = 64
    """Codes of each image for `iwae`."""
    split: Split = "test"
    """The images that are reconstructed and that samples are compared with."""
    samples: Count | None = None
    """Images drawn, and at most so many reconstructed; None: as many as the split holds."""
    density: DensityName | None = None
    """What samples are drawn from (Ghosh et al. 2020): `gaussian`, or `gmm`, a mixture of 10 (`gmm:20`: of 20), fitted
    to the codes of the training images anew for each evaluation; of families whose code is one vector. None: the
    family's prior."""
    batch_size: Count = 64
    """Images at a time. It is part of the protocol: a float32 feature moves by 4e-7 with it."""


class TrackConfig(Section):
    """Weights & Biases."""

    wandb: Literal["online", "offline", "disabled"] = "online"
    """`online` falls back to `offline` where there is no account; `wandb sync` uploads an offline run later."""
    project: Text = "vaegan"
    """Project of the run."""
    entity: Text | None = None
    """User or team; None: the account's default."""
    name: Text | None = None
    """Name of the run; None: the run folder's name."""
    group: Text | None = None
    """Group of the run; None: none (a study sets its title)."""
    tags: tuple[Text, ...] = ()
    """Tags of the run."""


class PriorConfig(Section):
    """What a prior is trained over."""

    autoencoder: Annotated[Path, _absolute("prior.autoencoder")]
    """Run folder of the finished VQ-VAE."""


class Config(Section):
    """One run that can be repeated: its weights are a function of this and nothing else."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Root of all randomness."""
    model: ModelConfig
    data: DataConfig
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    track: TrackConfig = TrackConfig()
    prior: PriorConfig | None = None
    """pixelcnn: the VQ-VAE; the other families take none."""

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if isinstance(self.model, PixelCNNConfig) and self.prior is None:
            raise ValueError("prior.autoencoder: missing; it names the run folder of the VQ-VAE")
        if not isinstance(self.model, PixelCNNConfig) and self.prior is not None:
            raise ValueError(f"prior: only family pixelcnn takes it, not {self.model.family}; leave it out")
        if self.evaluate.density is not None and not isinstance(self.model, VectorConfig):
            raise ValueError(
                f"evaluate.density: {self.model.family} has no code that is one vector; leave it out: a pixelcnn draws"
                " the codes of a VQ-VAE"
            )
        if self.train.evaluate_every is not None and not self.data.validation:
            raise ValueError("data.validation: 0 holds out no image for train.evaluate_every; leave one of them out")
        return self
