"""A run's folder: what lies where, and how the finished model gets out of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import torch
from pydantic import model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .checkpoints import digest, load_latest, replacing, save_tensors, write_text
from .config.models import AdversaryConfig, ConditionalConfig, ModelConfig
from .config.reading import check, dump, read_tree
from .config.schema import Config
from .config.section import Channels, Section, Side
from .errors import Mistake
from .files import contents
from .models import Autoencoder, Classifier, Model, build_model
from .models.discriminator import build_discriminator
from .networks import Discriminator
from .wording import one_line, word

Kind = TypeVar("Kind", bound=Model)
ImageShape = tuple[Channels, Side, Side]
"""(C, S, S)."""
WEIGHTS, DESCRIPTION = "model.safetensors", "config.json"
"""Files of an exported model."""


@dataclass(frozen=True)
class Run:
    """The folder of one training run."""

    path: Path
    """The folder itself."""

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def history_file(self) -> Path:
        """Every logged scalar that training determines, one JSON object a line."""
        return self.path / "history.jsonl"

    @property
    def timing_file(self) -> Path:
        """Rates, memory and dates, which differ from run to run."""
        return self.path / "timing.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of the grids made during training."""
        return self.path / "samples"

    @property
    def model_folder(self) -> Path:
        """The exported model: averaged weights and `config.json`."""
        return self.path / "model"

    @property
    def metrics_file(self) -> Path:
        """What the last evaluation measured."""
        return self.path / "metrics.json"

    @property
    def scores_file(self) -> Path:
        """What the last evaluation measured of single images."""
        return self.path / "scores.safetensors"

    @property
    def exists(self) -> bool:
        """Whether a training was started here."""
        return self.config_file.is_file()

    @property
    def config(self) -> Config:
        """The resolved config.

        Raises:
            Mistake: The folder is no run.
        """
        if not self.exists:
            raise Mistake(f"{self.path}: not a run folder (it has no config.yaml); give the --output of `vaegan train`")
        return check(Config, read_tree(self.config_file), str(self.config_file))

    def write_config(self, config: Config) -> None:
        """Make the folder and record what is trained in it.

        Raises:
            Mistake: What a training writes would lie somewhere else.
        """
        for folder in (self.checkpoints, self.samples):
            if folder.is_symlink():
                raise Mistake(f"{folder}: a link, and what is written would replace files elsewhere; remove the link")
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, dump(config))

    @property
    def exported_step(self) -> int | None:
        """Optimizer steps behind the exported model; None: there is no whole one."""
        try:
            return _described(self.model_folder).step
        except Mistake:
            return None

    @property
    def finished(self) -> bool:
        """Whether the exported model is whole and has all its steps behind it."""
        return self.exists and self.exported_step == self.config.train.steps

    def export(self, model: Model, step: int, names: tuple[str, ...] = ()) -> None:
        """Write the model that `load` reads, and of a conditional one the ``names`` of the set's classes."""
        with replacing(self.model_folder) as partial:
            weights = partial / WEIGHTS
            save_tensors(model.state_dict(), weights)
            described = Exported(
                step=step,
                image_shape=cast(ImageShape, model.image_shape),
                sha256=digest(weights),
                model=cast(ModelConfig, model.config),
                classes=names if model.classes is not None else None,
            )
            (partial / DESCRIPTION).write_text(described.model_dump_json(indent=1), encoding="utf-8")


class Exported(Section):
    """What lies beside the weights of an exported model."""

    step: int
    """Optimizer steps behind it."""
    image_shape: ImageShape
    """Of its images."""
    sha256: str
    """Of the file of weights, hexadecimal."""
    model: ModelConfig
    """The `model` section of its run's config."""
    classes: tuple[str, ...] | None = None
    """Names of the classes that a conditional model knows, in order."""

    @model_validator(mode="after")
    def _square(self) -> "Exported":
        if self.image_shape[1] != self.image_shape[2]:
            raise ValueError("image_shape: not square")
        return self

    @model_validator(mode="after")
    def _named(self) -> "Exported":
        known = self.model.labels if isinstance(self.model, ConditionalConfig) else None
        if self.classes and len(self.classes) != known:
            raise ValueError(f"classes: {len(self.classes)} names, and the model knows {known or 'no'} classes")
        return self

    def belongs_to(self, config: Config) -> bool:
        """Whether it is the model of a run with this config."""
        return self.model == config.model and self.image_shape == config.data.image_shape


def load(path: str | Path) -> Autoencoder:
    """The trained model of a run, on the CPU, ready to encode, decode, reconstruct and sample.

    Args:
        path: The run's folder, or an exported model's own.

    Raises:
        Mistake: There is no model, or it is damaged, or no autoencoder.
    """
    return _of_kind(path, Autoencoder, "`vaegan evaluate` measures it")


def class_names(path: str | Path) -> tuple[str, ...]:
    """The names of the classes of a run's conditional model, in order; () where it has none, or they were not told.

    Args:
        path: As of `load`.

    Raises:
        Mistake: There is no model, or it is damaged.
    """
    return _described(_folder(Path(path))).classes or ()


def load_features(path: str | Path) -> Classifier:
    """The trained classifier of a run, on the CPU, ready to give `features` of images.

    Args:
        path: The run's folder, or an exported model's own.

    Raises:
        Mistake: There is no model, or it is damaged, or no classifier.
    """
    return _of_kind(path, Classifier, "`vaegan train-features` trains one")


def _of_kind(path: str | Path, kind: type[Kind], mend: str) -> Kind:
    model = load_model(path)
    if not isinstance(model, kind):
        raise Mistake(f"{path}: the run of a {type(model).__name__}, no {kind.__name__}; {mend}")
    return model


def load_model(path: str | Path) -> Model:
    """The trained model of a run of any family, on the CPU, in evaluation mode and without gradients.

    Args:
        path: The run's folder, or an exported model's own.

    Raises:
        Mistake: There is no model, or it is damaged.
    """
    run, folder = Run(Path(path)), _folder(Path(path))
    described = _described(folder)
    if folder != run.path and run.exists and not described.belongs_to(run.config):
        raise Mistake(f"{folder / DESCRIPTION}: not the model of {run.config_file}")
    try:
        weights = load_file(folder / WEIGHTS)
        dtype = _type(weights, described)
    except (SafetensorError, ValueError) as error:
        raise Mistake(
            f"{folder / WEIGHTS}: not the weights of the model in {DESCRIPTION} ({one_line(error)})"
        ) from None
    model = build_model(described.model, described.image_shape, seed=0)
    model.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload] # as trained: the same bits
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def _folder(path: Path) -> Path:
    """The exported model's folder, which a path is itself or that of the run of."""
    return path if (path / DESCRIPTION).is_file() else Run(path).model_folder


def _type(weights: Mapping[str, Tensor], described: Exported) -> torch.dtype:
    """The type of a model's weights, once they are seen to be those of its networks; ValueError where they are not.

    Nothing is allocated for it: a short description may ask for networks that no machine could hold.
    """
    with torch.device("meta"):
        wanted = build_model(described.model, described.image_shape, seed=0).state_dict()
    if wanted.keys() != weights.keys():
        raise ValueError(f"{word(min(wanted.keys() ^ weights.keys()))} is only in one of them")
    for name, weight in weights.items():
        if weight.shape != wanted[name].shape or weight.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"{name}: {weight.dtype} of shape {tuple(weight.shape)}, not {tuple(wanted[name].shape)}")
    return weight.dtype


def _described(folder: Path) -> Exported:
    """What an exported model is, once its weights are seen to be those that were written."""
    if not folder.is_dir():
        run = folder.parent
        raise Mistake(
            f"{run}: the run has no model yet; finish it with `vaegan train ... --resume`"
            if Run(run).exists
            else f"{run}: not a run folder (it has no config.yaml); give the --output of `vaegan train`"
        )
    try:
        described = Exported.model_validate_json(contents(folder / DESCRIPTION))
        if digest(folder / WEIGHTS) == described.sha256:
            return described
        reason = f"{WEIGHTS} does not match its checksum"
    except (OSError, ValueError) as error:
        reason = f"{DESCRIPTION}: {one_line(error)}"
    raise Mistake(f"{folder}: damaged ({reason}); `vaegan train ... --resume` writes it anew")


def load_discriminator(run: Run, notify: Callable[[str], None]) -> Discriminator | None:
    """The discriminator of a run's newest checkpoint, on the CPU; None: the run has none.

    Args:
        run: The run.
        notify: Told in one line of each checkpoint that is passed over.

    Raises:
        Mistake: The checkpoint is not one of this run.
    """
    config = run.config
    if not isinstance(config.model, AdversaryConfig):
        return None
    checkpoint = load_latest(run.checkpoints, notify)
    if checkpoint is None:
        return None
    network = build_discriminator(config.model, config.data.image_shape, config.seed)
    network.to(getattr(torch, config.train.dtype), memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        network.load_state_dict(checkpoint.tensors["discriminator"])
    except (KeyError, RuntimeError) as error:
        raise Mistake(f"{run.checkpoints}: not the checkpoints of {run.config_file} ({one_line(error)})") from None
    return network.eval().requires_grad_(False)
