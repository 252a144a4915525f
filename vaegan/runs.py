"""A run's folder: what lies where, and how the finished model gets out of it."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from .checkpoints import replacing, save_tensors, sync
from .config.reading import check, dump, read_tree
from .config.schema import Config
from .errors import Mistake
from .models import Autoencoder, build_model


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
        """Make the folder and record what is trained in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        beside = self.config_file.with_suffix(".partial")
        beside.write_text(dump(config), encoding="utf-8")
        sync(beside)
        beside.rename(self.config_file)

    @property
    def exported_step(self) -> int | None:
        """Optimizer steps behind the exported model; None: there is none."""
        try:
            return int(json.loads((self.model_folder / "config.json").read_text(encoding="utf-8"))["step"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise Mistake(
                f"{self.model_folder / 'config.json'}: damaged ({error}); resume the run to write it anew"
            ) from None

    @property
    def finished(self) -> bool:
        """Whether the exported model has all its steps behind it."""
        return self.exists and self.exported_step == self.config.train.steps

    def export(self, model: Autoencoder, step: int) -> None:
        """Write the model that `vaegan.load` reads."""
        shape = {"step": step, "seed": self.config.seed, "image_shape": model.image_shape}
        with replacing(self.model_folder) as partial:
            save_tensors(model.state_dict(), partial / "model.safetensors")
            described = json.dumps({**shape, "model": model.config.model_dump(mode="json")}, indent=1)
            (partial / "config.json").write_text(described, encoding="utf-8")


def load(path: str | Path) -> Autoencoder:
    """The trained model of a run, on the CPU, ready to encode, decode, reconstruct and sample.

    Args:
        path: The run's folder.

    Raises:
        Mistake: The folder is no run, has no model yet, or its model is damaged.
    """
    run = Run(Path(path))
    config = run.config
    if run.exported_step is None:
        raise Mistake(f"{path}: the run has no model yet; finish it with `vaegan train ... --resume`")
    model = build_model(
        config.model, (config.data.channels, config.data.image_size, config.data.image_size), config.seed
    )
    file = run.model_folder / "model.safetensors"
    try:
        weights = load_file(file)
        dtype = next(iter(weights.values())).dtype
        model.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload] # as trained: the same bits
        model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError, StopIteration) as error:
        reason = (str(error) or "it holds none").splitlines()[-1].strip()
        raise Mistake(f"{file}: not this run's weights ({reason}); resume the run to write them anew") from None
    return model.eval().requires_grad_(False)
