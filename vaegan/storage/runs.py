"""A run's folder: what lies where, and how the finished model gets out of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import model_validator

from vaegan.config.load import dump_config, read_tree, validate_config
from vaegan.config.models import ConditionalConfig, ModelConfig
from vaegan.config.schema import Config
from vaegan.config.section import Channels, Section, Side
from vaegan.errors import UserError
from vaegan.io import hash_file, read_bytes, replace_folder, save_tensors, write_text
from vaegan.models import Model
from vaegan.text import to_one_line

ImageShape = tuple[Channels, Side, Side]
"""(C, S, S)."""
WEIGHTS_FILE, DESCRIPTION_FILE = "model.safetensors", "config.json"
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
            UserError: The folder is no run.
        """
        if not self.exists:
            raise UserError(
                f"{self.path}: not a run folder (it has no config.yaml); give the --output of `vaegan train`"
            )
        return validate_config(Config, read_tree(self.config_file), str(self.config_file))

    def write_config(self, config: Config) -> None:
        """Make the folder and record what is trained in it.

        Raises:
            UserError: What a training writes would lie somewhere else.
        """
        for folder in (self.checkpoints, self.samples):
            if folder.is_symlink():
                raise UserError(f"{folder}: a link, and what is written would replace files elsewhere; remove the link")
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, dump_config(config))

    @property
    def exported_step(self) -> int | None:
        """Optimizer steps behind the exported model; None: there is no whole one."""
        try:
            return read_description(self.model_folder).step
        except UserError:
            return None

    @property
    def finished(self) -> bool:
        """Whether the exported model is whole and has all its steps behind it."""
        return self.exists and self.exported_step == self.config.train.steps

    def export(self, model: Model, step: int, names: tuple[str, ...] = ()) -> None:
        """Write the model that `load` reads, and of a conditional one the ``names`` of the set's classes."""
        with replace_folder(self.model_folder) as partial:
            weights = partial / WEIGHTS_FILE
            save_tensors(model.state_dict(), weights)
            described = ExportedModel(
                step=step,
                image_shape=cast(ImageShape, model.image_shape),
                sha256=hash_file(weights),
                model=cast(ModelConfig, model.config),
                classes=names if model.classes is not None else None,
            )
            (partial / DESCRIPTION_FILE).write_text(described.model_dump_json(indent=1), encoding="utf-8")


class ExportedModel(Section):
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
    def _square(self) -> "ExportedModel":
        if self.image_shape[1] != self.image_shape[2]:
            raise ValueError("image_shape: not square")
        return self

    @model_validator(mode="after")
    def _named(self) -> "ExportedModel":
        known = self.model.labels if isinstance(self.model, ConditionalConfig) else None
        if self.classes and len(self.classes) != known:
            raise ValueError(f"classes: {len(self.classes)} names, and the model knows {known or 'no'} classes")
        return self

    def belongs_to(self, config: Config) -> bool:
        """Whether it is the model of a run with this config."""
        return self.model == config.model and self.image_shape == config.data.image_shape


def read_description(folder: Path) -> ExportedModel:
    """What an exported model is, once its weights are seen to be those that were written."""
    if not folder.is_dir():
        run = folder.parent
        raise UserError(
            f"{run}: the run has no model yet; finish it with `vaegan train ... --resume`"
            if Run(run).exists
            else f"{run}: not a run folder (it has no config.yaml); give the --output of `vaegan train`"
        )
    try:
        described = ExportedModel.model_validate_json(read_bytes(folder / DESCRIPTION_FILE))
        if hash_file(folder / WEIGHTS_FILE) == described.sha256:
            return described
        reason = f"{WEIGHTS_FILE} does not match its checksum"
    except (OSError, ValueError) as error:
        reason = f"{DESCRIPTION_FILE}: {to_one_line(error)}"
    raise UserError(f"{folder}: damaged ({reason}); `vaegan train ... --resume` writes it anew")
