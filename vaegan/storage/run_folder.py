"""The folder of a training run: the paths in it, its config, and the model that is exported into it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import model_validator
from torch import nn

from vaegan.code_scale import CodeScale
from vaegan.config.architectures import ConditionalConfig
from vaegan.config.data import DataVersion, Fit
from vaegan.config.load import dump_config, read_yaml, validate_config
from vaegan.config.models import ModelConfig
from vaegan.config.schema import Config, NetworksConfig
from vaegan.config.section import Channels, Section, Side
from vaegan.data.members import MemberList, parse_members
from vaegan.errors import UserError
from vaegan.io import hash_file, read_bytes, replace_file, replace_folder, save_tensors, write_text
from vaegan.models import Model
from vaegan.text import get_reason, to_one_line

ImageShape = tuple[Channels, Side, Side]
"""Channels, height and width of an image: (C, S, S)."""
WEIGHTS_FILE, DESCRIPTION_FILE = "model.safetensors", "config.json"
"""Names of the files of an exported model; diffusers' description has the same name."""
MAX_MEMBERS_FILE_BYTES = 2**34
"""Largest size of a list of images that is read."""
VALIDATION_PREFIX = "validation/"
"""Prefix of the metrics of an evaluation in the history."""
NOT_A_RUN = "{}: not a run folder (it has no config.yaml); give the --output of `vaegan train`"
"""Message about a path that is no run folder."""


@dataclass(unsafe_hash=True)
class Run:
    """The folder of one training run.

    Attributes:
        path: Path of the folder.
        config_file: File of the resolved config.
        history_file: File of every logged scalar that config and seed determine, one JSON object a line.
        timing_file: File of rates, memory and dates, which differ from run to run, one JSON object a line.
        checkpoints: Folder of the checkpoints.
        samples: Folder of the image grids drawn during training.
        model_folder: Folder of the exported model: averaged weights and `config.json`.
        other_model_folder: Folder of the average that `train.ema_metric` has not chosen, if there are two.
        networks_folder: Folder of the initial weights of the networks that were given as modules, if there are any.
        members_file: File of the list of the images that the run was started with.
        metrics_file: File of the last evaluation's metrics and their protocol.
        scores_file: File of the last evaluation's scores of single images.
        prior_file: File of the prior of the codes, under which images are compressed.
    """

    path: Path

    def __post_init__(self) -> None:
        """Derive the paths in the folder."""
        self.path = path = Path(self.path)
        self.config_file = path / "config.yaml"
        self.history_file, self.timing_file = path / "history.jsonl", path / "timing.jsonl"
        self.checkpoints, self.samples, self.model_folder = path / "checkpoints", path / "samples", path / "model"
        self.other_model_folder = path / "other_model"
        self.networks_folder, self.members_file = path / "networks", path / "members.jsonl"
        self.metrics_file, self.scores_file = path / "metrics.json", path / "scores.safetensors"
        self.prior_file = path / "compression" / "prior.safetensors"

    def __fspath__(self) -> str:
        """Return the folder's path, so that a run can be given wherever a path is expected."""
        return str(self.path)

    @property
    def exists(self) -> bool:
        """True if a training was started in this folder."""
        return self.config_file.is_file()

    @property
    def config(self) -> Config:
        """The resolved config; of a run from before there was `data.version`, with version 1.

        Raises:
            UserError: The folder has no `config.yaml`, or that is no valid config.
        """
        if not self.exists:
            raise UserError(NOT_A_RUN.format(self.path))
        tree = read_yaml(self.config_file)
        if isinstance(data := tree.get("data"), dict):
            tree["data"] = {"version": 1} | data
        return validate_config(Config, tree, str(self.config_file))

    def write_config(self, config: Config) -> None:
        """Create the folder and write the config into it.

        Raises:
            UserError: `checkpoints` or `samples` is a link, so that a training would write elsewhere.
        """
        for folder in (self.checkpoints, self.samples):
            _refuse_link(folder)
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, dump_config(config))

    @property
    def members(self) -> MemberList | None:
        """The list of the images that the run was started with; None: it is from before there were such lists.

        Raises:
            UserError: The list is damaged.
        """
        try:
            return parse_members(read_bytes(self.members_file, MAX_MEMBERS_FILE_BYTES).splitlines())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            reason, remedy = (
                get_reason(error),
                "restore it; without the file only the fingerprint of the images is compared",
            )
            raise UserError(f"{self.members_file}: damaged ({reason}); {remedy}") from None

    def write_members(self, members: MemberList) -> None:
        """Write the list of the run's images, unless the one that is there has the same fingerprint.

        Raises:
            OSError: The file cannot be written.
        """
        try:
            if (before := self.members) is not None and before.fingerprint == members.fingerprint:
                return
        except UserError:
            pass  # a damaged one is replaced
        self.path.mkdir(parents=True, exist_ok=True)
        with replace_file(self.members_file) as partial, partial.open("x", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in members.to_lines())

    def write_networks(self, networks: Mapping[str, nn.Module]) -> None:
        """Write the initial weights of given modules, each into a file of its name.

        Raises:
            UserError: The folder is a link, so that a training would write elsewhere.
            OSError: A file cannot be written.
        """
        _refuse_link(self.networks_folder)
        for name, module in networks.items():
            self.networks_folder.mkdir(parents=True, exist_ok=True)
            with replace_file(self.networks_folder / f"{name}.safetensors") as partial:
                save_tensors(module.state_dict(), partial)

    @property
    def exported_step(self) -> int | None:
        """Number of optimizer steps of the exported model; None if there is no intact one."""
        try:
            return read_description(self.model_folder).step
        except UserError:
            return None

    @property
    def finished(self) -> bool:
        """True if the exported model is intact and was trained for all steps of the config."""
        return self.exists and self.exported_step == self.config.train.steps

    def export(
        self,
        model: Model,
        step: int,
        class_names: tuple[str, ...] = (),
        networks: NetworksConfig | None = None,
        data_version: DataVersion = 2,
        data_fit: Fit = "crop",
        code_scale: CodeScale | None = None,
        folder: Path | None = None,
    ) -> None:
        """Write the model that `load` reads.

        Args:
            model: The averaged model.
            step: Number of optimizer steps it was trained for.
            class_names: Names of the data set's classes, recorded if the model is conditional.
            networks: The `networks` section of the run's config, of which those of the model are recorded.
            data_version: Its `data.version`.
            data_fit: Its `data.fit`.
            code_scale: Scale of the codes of its training images, if they are grids and the training is finished.
            folder: Folder that it is written to; None: `model_folder`.
        """
        with replace_folder(folder or self.model_folder) as partial:
            weights = partial / WEIGHTS_FILE
            save_tensors(model.state_dict(), weights)
            description = ExportedModel(
                step=step,
                image_shape=cast(ImageShape, model.image_shape),
                sha256=hash_file(weights),
                model=cast(ModelConfig, model.config),
                classes=class_names if model.classes is not None else None,
                networks=_select_model_networks(networks),
                data_version=data_version,
                data_fit=data_fit,
                code_scale=code_scale,
            )
            (partial / DESCRIPTION_FILE).write_text(description.model_dump_json(indent=1), encoding="utf-8")


class ExportedModel(Section):
    """The `config.json` of an exported model."""

    step: int
    """Number of optimizer steps the model was trained for."""
    image_shape: ImageShape
    """Shape (C, S, S) of its images."""
    sha256: str
    """SHA-256 of the file of weights, hexadecimal."""
    model: ModelConfig
    """The `model` section of its run's config."""
    classes: tuple[str, ...] | None = None
    """Names of the classes of a conditional model, in order."""
    networks: NetworksConfig | None = None
    """Encoder and decoder, as far as they were given as modules."""
    data_version: DataVersion = 1
    """The `data.version` by which its images are decoded; that of models from before it was recorded is 1."""
    data_fit: Fit = "crop"
    """The `data.fit` by which its images become square."""
    code_scale: CodeScale | None = None
    """Scale of the codes of its training images; None: they are vectors, or the training is not finished."""

    @model_validator(mode="after")
    def _check_shape_and_class_names(self) -> "ExportedModel":
        if self.image_shape[1] != self.image_shape[2]:
            raise ValueError("image_shape: not square")
        labels = self.model.labels if isinstance(self.model, ConditionalConfig) else None
        if self.classes and len(self.classes) != labels:
            raise ValueError(f"classes: {len(self.classes)} names, and the model knows {labels or 'no'} classes")
        return self

    def belongs_to(self, config: Config) -> bool:
        """Return whether this can be the model of a run with the config."""
        is_same_model = self.model == config.model and self.networks == _select_model_networks(config.networks)
        return is_same_model and self.image_shape == config.data.image_shape


def read_description(folder: Path) -> ExportedModel:
    """Read the description of an exported model, and check the hash of its weights.

    Raises:
        UserError: ``folder`` does not exist, or the description or the weights are damaged.
    """
    if not folder.is_dir():
        run = folder.parent
        if not Run(run).exists:
            raise UserError(NOT_A_RUN.format(run))
        raise UserError(f"{run}: the run has no model yet; finish it with `vaegan train ... --resume`")
    try:
        description = ExportedModel.model_validate_json(read_bytes(folder / DESCRIPTION_FILE))
        if hash_file(folder / WEIGHTS_FILE) == description.sha256:
            return description
        reason = f"{WEIGHTS_FILE} does not match its checksum"
    except (OSError, ValueError) as error:
        if read_diffusers_config(folder) is not None:
            raise UserError(f"{folder}: of diffusers, and no run; train.init starts a run from it") from None
        reason = f"{DESCRIPTION_FILE}: {to_one_line(error)}"
    raise UserError(f"{folder}: damaged ({reason}); `vaegan train ... --resume` writes it anew")


def read_diffusers_config(folder: Path) -> dict[str, Any] | None:
    """Read the `config.json` of a folder of diffusers; None: it has none."""
    try:
        settings = json.loads(read_bytes(folder / DESCRIPTION_FILE))
    except (OSError, ValueError, RecursionError):
        return None
    return settings if isinstance(settings, dict) and "_class_name" in settings else None


def _select_model_networks(networks: NetworksConfig | None) -> NetworksConfig | None:
    """Return the given networks that belong to an exported model; None: there are none."""
    return None if networks is None else networks.select("encoder", "decoder")


def _refuse_link(folder: Path) -> None:
    """Check that a folder is not a link.

    Raises:
        UserError: It is one.
    """
    if folder.is_symlink():
        raise UserError(f"{folder}: a link, and what is written would replace files elsewhere; remove the link")
