"""The settings of a run, typed and documented where they are defined.

``vaegan configs --schema`` prints these fields and those of `study_schema`. Lengths of training are counted in
optimizer steps, batches in images, log-likelihoods in nats.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from vaegan.paths import HUB_PREFIX, expand_path
from vaegan.text import format_value

from .architectures import ContinuousConfig
from .codebooks import TrainedPriorConfig
from .data import DataConfig
from .models import FlowConfig, ModelConfig
from .schedule import Schedule, ScheduledFraction, ScheduledPositive, convert_decay, get_scheduled_value
from .section import (
    FROM_PYTHON,
    Count,
    DensityName,
    Fraction,
    Positive,
    Section,
    Steps,
    Text,
    make_absolute,
)

SplitName = Literal["train", "validation", "test"]
MetricName = Literal[
    "psnr", "ssim", "ms_ssim", "lpips", "lpips_vgg", "lpips_squeeze", "sharpness", "frechet", "kid", "prdc", "elbo",
    "iwae", "calibration", "gap", "codebook", "confusion", "anomaly", "completion",
    "memorisation", "augmentation",
]  # fmt: skip


PartName = Literal["encoder", "decoder"]
"""Part of an autoencoder."""
DIGESTED_SETTINGS = ("init", "discriminator_features")
"""Settings of `train` that name weights, whose SHA-256 is recorded in the setting with `_sha256` at its end."""


def check_init(text: str) -> str:
    """Return the name of a folder on the Hub as it is, and the path of another folder absolute.

    Raises:
        ValueError: It begins as a name on the Hub does, and is none.
        UserError: It is no path.
    """
    if not text.startswith(HUB_PREFIX):
        return str(expand_path("train.init", text).absolute())
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(/\w[\w.-]*)*(@\w[\w./-]*)?", text.removeprefix(HUB_PREFIX)):
        raise ValueError(f"train.init: got {format_value(text)}; allowed: hf://owner/name | hf://owner/name/folder")
    return text


class TrainConfig(Section):
    """The training loop."""

    steps: Annotated[int, Field(ge=0, lt=10**8)]
    """Number of optimizer steps. 0: nothing is trained, and the run's model is that of `init`."""
    batch_size: Count = 64
    """Images of one optimizer step, over all processes and micro-batches."""
    micro_batch_size: Count | None = None
    """Images of one forward pass of a process; None: all of its images of the batch."""
    precision: Literal["auto", "fp32", "tf32", "bf16"] | None = None
    """Precision of the networks' forward and backward passes; None: that of `accelerate launch --mixed_precision`,
    else fp32. `auto`: bf16 on GPUs of CUDA and CPUs (AMX) that multiply it in hardware, and fp32 on others or with
    float64 weights; the run's config says which, and a resumed run or a started study keeps it. Under bf16 the losses
    stay float32, and so does the discriminator at the images of a gradient penalty."""
    compile: Literal["auto"] | bool = "auto"
    """Compile the networks' forward and backward passes by `torch.compile`, except those of a discriminator in
    steps with a gradient penalty. `auto`: on a GPU of CUDA, if the weights are float32 and there is a C++ compiler; on
    CPUs the compiled networks were slower."""
    checkpointing: bool = False
    """Whether the stages of encoder and decoder keep only their inputs and are computed once more in the backward pass:
    the same bits for less memory and about a third more time. It is of no use to `mlp` networks, `pixelcnn`,
    `flow`, `AutoencoderTiny` and `AutoencoderDC` of diffusers, and modules of your own."""
    dtype: Literal["float32", "float64"] = "float32"
    """Type of weights and images; float64 is for tests of exactness."""
    learning_rate: ScheduledPositive = 1e-3
    """Learning rate of encoder and decoder, or its schedule over the images seen, `{start: 1e-3, end: 1e-4}`: along
    half a cosine, or with `shape: linear` along a line; with `images: 50000` over the first 50,000 images, and
    constant from there on, else over the whole training."""
    discriminator_learning_rate: ScheduledPositive | None = None
    """Learning rate of the discriminator, or its schedule; None: `learning_rate`."""
    betas: Annotated[tuple[ScheduledFraction, ScheduledFraction], FROM_PYTHON] = (0.9, 0.99)
    """Decay of the running averages of the gradient and of its square, or their schedules; rmsprop uses the second
    alone."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """`adam` (Kingma & Ba 2015), or `rmsprop` (Tieleman & Hinton 2012), which Larsen et al. 2016 used."""
    init: Annotated[Text, AfterValidator(check_init)] | None = None
    """Folder with the initial weights of the whole encoder and decoder: a run, whose averaged weights are taken, or a
    model of diffusers; `hf://owner/name` or `hf://owner/name/folder` is one on the Hub. The discriminator starts from
    random weights. None: all weights are random."""
    init_sha256: dict[str, str] | None = None
    """SHA-256 of each file that these weights were read from, hexadecimal, which the training fills in."""
    freeze: Annotated[tuple[PartName, ...], FROM_PYTHON] = ()
    """Parts that keep their initial weights: `encoder` or `decoder`, with `quant_conv` or `post_quant_conv`."""
    discriminator_features: Annotated[Path, FROM_PYTHON, make_absolute("train.discriminator_features")] | None = None
    """Run folder of `vaegan train-features` with the classifier of `model.discriminator.projected_layers`. The run
    keeps its weights with those of the discriminator. None: there are no such layers."""
    discriminator_features_sha256: str | None = None
    """SHA-256 of these weights, hexadecimal, which the training fills in."""
    warmup_steps: Steps = 0
    """Steps over which a factor of the learning rates rises linearly from 0 to 1."""
    clip_norm: Positive | None = None
    """Maximum gradient norm of each network; None: no clipping."""
    ema_decay: Fraction = 0.999
    """Decay per step of the exponential moving average (EMA) of the weights, which samples, evaluations and the
    exported model use; it is min(decay, (1 + n) / (10 + n)) after n updates. 0: the last weights."""
    ema_half_life: ScheduledPositive | None = None
    """Half-life of that average in images, or its schedule, in the place of `ema_decay`, so that it does not depend on
    the batch size; it is at most a tenth of the images seen. None: `ema_decay` is used."""
    second_ema_half_life: ScheduledPositive | None = None
    """Half-life of a second average in images, or its schedule; None: only one. Each evaluation of `evaluate_every`
    measures both; the one with the lower `ema_metric` is the run's model, and the other one lies in `other_model/`."""
    ema_metric: Text | None = None
    """Metric that chooses between the averages, without its feature network (`sample/kid`); lower must be better."""
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
    """Action on a gradient that is not finite: `stop`, or `skip` the update (and stop after 5 in a row)."""
    disk_full: Literal["stop", "continue"] = "stop"
    """Action when a checkpoint, an image grid or a line of a log cannot be written: `stop`, or `continue` without it;
    lines are then kept in memory until there is room. Without the last checkpoint or the model a training always
    fails."""
    grace_seconds: Annotated[float, Field(gt=0, le=86400)] = 25.0
    """Seconds between SIGTERM and the end of the process, for the current step and a checkpoint (an evaluation is
    postponed to the resume). Schedulers kill processes after a grace time of their own, often 30 s."""

    @model_validator(mode="before")
    @classmethod
    def _convert_decay(cls, settings: Any) -> Any:
        return convert_decay(settings)

    @model_validator(mode="after")
    def _check_consistency(self) -> "TrainConfig":
        size = self.micro_batch_size
        if size is not None and self.batch_size % size:
            raise ValueError(f"train.micro_batch_size: {size} does not divide train.batch_size={self.batch_size}")
        if not self.steps and self.init is None:
            raise ValueError("train.steps: 0 trains nothing; give 1 or more, or the folder of a model as train.init")
        if {*self.freeze} == {*get_args(PartName)}:
            raise ValueError("train.freeze: nothing is left to train; give encoder or decoder alone")
        choice = (self.second_ema_half_life, self.ema_metric)
        if choice != (None, None) and None in (*choice, self.evaluate_every):
            problem = "choosing between two averages takes train.ema_metric and train.evaluate_every"
            raise ValueError(f"train.second_ema_half_life: {problem}; give all three, or none of the first two")
        if self.ema_metric is not None and (every := self.evaluate_every or 0) > self.steps:
            raise ValueError(f"train.evaluate_every: {every} is more than train.steps={self.steps}; give less")
        for key in DIGESTED_SETTINGS:
            if getattr(self, f"{key}_sha256") is not None and getattr(self, key) is None:
                raise ValueError(f"train.{key}_sha256: belongs to train.{key}, which is not given; leave it out")
        return self


def get_value_at_step(config: TrainConfig, setting: "float | Schedule[float]", step: int) -> float:
    """Return the value that a setting has in step ``step`` (from 0) of a training."""
    return get_scheduled_value(setting, step * config.batch_size, config.steps * config.batch_size)


class EvaluateConfig(Section):
    """The evaluation."""

    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1), FROM_PYTHON] = (
        "psnr", "ssim", "lpips", "sharpness", "elbo", "gap", "codebook", "confusion",
    )  # fmt: skip
    """Metrics to compute; those that the family does not have (the ELBO of an AE) are left out. If p(x | z) is not a
    distribution of 8-bit pixels, `elbo` is the rate alone, and `iwae` and `calibration` are left out."""
    features: Annotated[Text, AfterValidator(os.path.expanduser)] = "inception"
    """Feature network of `frechet`, `kid`, `prdc` and `memorisation`: `inception`, or the run folder of a classifier of
    `vaegan train-features`; `augmentation` trains its classifiers as this one was trained."""
    importance_samples: Count = 64
    """Importance samples of each image for `iwae`."""
    split: SplitName = "test"
    """Split whose images are reconstructed, and compared with samples."""
    samples: Count | None = None
    """Number of images to sample, and the largest number to reconstruct; None: the number of images in the split."""
    density: DensityName | None = None
    """Density over the codes that samples are drawn from (Ghosh et al. 2020), fitted to the codes of the training
    images at each evaluation: `gaussian`, or `gmm`, a mixture of 10 Gaussians (`gmm:20`: of 20); for families whose
    code is continuous. None: the family's prior."""
    batch_size: Count = 64
    """Images of one forward pass. It is part of the protocol: a float32 feature changes by 4e-7 with it."""


class TrackConfig(Section):
    """Weights & Biases."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """Mode of tracking. `auto` does as the environment variable WANDB_MODE says, by default `online`, and tracks
    nothing where wandb is not installed. `online` falls back to `offline` without an account; `wandb sync` uploads an
    offline run."""
    project: Text = "vaegan"
    """Project of the run."""
    entity: Text | None = None
    """User or team; None: the account's default."""
    name: Text | None = None
    """Name of the run; None: the run folder's name."""
    group: Text | None = None
    """Group of the run; None: none (a study sets its title)."""
    tags: Annotated[tuple[Text, ...], FROM_PYTHON] = ()
    """Tags of the run."""


class PriorConfig(Section):
    """Training of a prior over the codes of a finished autoencoder."""

    autoencoder: Annotated[Path, FROM_PYTHON, make_absolute("prior.autoencoder")]
    """Run folder of the finished autoencoder: a VQ-VAE for a `pixelcnn`, one with a continuous code for a `flow`."""


class GivenNetworkConfig(Section):
    """A network that was given as a torch module; written by the training, never by hand."""

    class_name: Text
    """Name of the module's class."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of its initial weights: names, types, shapes, values and which are trained, in the order of its state
    dict."""


class NetworksConfig(Section):
    """The networks that were given in Python, as torch modules, in place of those that `model` describes.

    A training writes what they are; a config of one's own leaves the section out.
    """

    encoder: GivenNetworkConfig | None = None
    """The encoder; None: that of `model`."""
    decoder: GivenNetworkConfig | None = None
    """The decoder; None: that of `model`."""
    discriminator: GivenNetworkConfig | None = None
    """The discriminator; None: that of `model.discriminator`."""

    def select(self, *names: str) -> "NetworksConfig | None":
        """Return the networks of these names alone; None: none of them was given."""
        chosen = {name: network for name in names if (network := getattr(self, name)) is not None}
        return NetworksConfig(**chosen) if chosen else None


class Config(Section):
    """The config of a run, which determines its weights completely."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of all randomness."""
    model: ModelConfig
    data: DataConfig
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    track: TrackConfig = TrackConfig()
    prior: PriorConfig | None = None
    """pixelcnn, flow: the autoencoder to train on; the other families take none."""
    networks: NetworksConfig | None = None
    """The networks that were given in Python; None: all are those of `model`."""

    @model_validator(mode="after")
    def _check_consistency(self) -> "Config":
        if isinstance(self.model, TrainedPriorConfig) and self.prior is None:
            name = self.model.autoencoder_name
            raise ValueError(f"prior.autoencoder: missing; it names the run folder of the {name}")
        if not isinstance(self.model, TrainedPriorConfig) and self.prior is not None:
            raise ValueError(f"prior: only families pixelcnn and flow take it, not {self.model.family}; leave it out")
        if self.evaluate.density is not None and not isinstance(self.model, ContinuousConfig):
            problem, remedy = "has no continuous code", "leave it out: a pixelcnn draws the codes of a VQ-VAE"
            if isinstance(self.model, FlowConfig):
                problem, remedy = "draws codes itself", "leave it out, or name the run of its autoencoder"
            raise ValueError(f"evaluate.density: {self.model.family} {problem}; {remedy}")
        for name in ("init", "freeze"):
            if getattr(self.train, name) and not isinstance(self.model, ContinuousConfig):
                problem = f"{self.model.family} has no encoder and decoder of a continuous code; leave it out"
                raise ValueError(f"train.{name}: {problem}")
        layers = getattr(getattr(self.model, "discriminator", None), "projected_layers", ())
        if bool(layers) != (self.train.discriminator_features is not None):
            problem = "a classifier, and layers of it as model.discriminator.projected_layers, belong together"
            raise ValueError(f"train.discriminator_features: {problem}; give both, or none")
        if layers and Path(self.evaluate.features).absolute() == self.train.discriminator_features:
            problem = "is what the discriminator is trained on (train.discriminator_features)"
            raise ValueError(f"evaluate.features: {problem}; name another classifier")
        is_adaptive = getattr(getattr(self.model, "adversarial", None), "adaptive", None) is not None
        if is_adaptive and "decoder" in self.train.freeze:
            problem = "compares gradients at the decoder's last layer, which train.freeze holds; leave one of them out"
            raise ValueError(f"model.adversarial.adaptive: {problem}")
        if self.train.evaluate_every is not None and not self.data.validation:
            raise ValueError("data.validation: 0 holds out no image for train.evaluate_every; leave one of them out")
        return self
