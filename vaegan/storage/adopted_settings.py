"""Settings that an existing run decides where a config leaves them open: data version, precision, initial weights."""

from pathlib import Path

from vaegan.config.schema import DIGESTED_SETTINGS, Config
from vaegan.precision import choose_precision

from .run_folder import Run


def adopt_settings(config: Config, *folders: Path) -> Config:
    """Return a config whose open settings have the values of the first of some folders that holds a run.

    Raises:
        UserError: The run's `config.yaml` is no valid config.
    """
    return adopt_train_settings(adopt_data_version(config, *folders), *folders)


def adopt_data_version(config: Config, *folders: Path) -> Config:
    """Return a config with the `data.version` of the first of some folders that holds a run, unless it gives one.

    The last folder is that of a prior's autoencoder, which must hold out the same images.

    Raises:
        UserError: The run's `config.yaml` is no valid config.
    """
    if "version" in config.data.model_fields_set:
        return config
    run = find_run(*folders, *([config.prior.autoencoder] if config.prior is not None else []))
    if run is None:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"version": run.config.data.version})})


def adopt_train_settings(config: Config, *folders: Path) -> Config:
    """Return a config with the `train.precision` and the SHA-256 of weights of the runs that some folders hold.

    Raises:
        UserError: The run's `config.yaml` is no valid config.
    """
    for key in DIGESTED_SETTINGS:
        config = _adopt_digest(config, key, *folders)
    return _resolve_precision(config, *folders)


def _adopt_digest(config: Config, key: str, *folders: Path) -> Config:
    """Return a config with the SHA-256 of the weights that a setting names, as a run has recorded it.

    Args:
        config: The config.
        key: Setting of `train` that names weights.
        folders: Run folders; of several, the first with the same setting counts.
    """
    source, digest = getattr(config.train, key), f"{key}_sha256"
    if source is None or getattr(config.train, digest) is not None:
        return config
    trains = [run.config.train for run in map(Run, folders) if run.exists]
    alike = [train for train in trains if len(folders) == 1 or getattr(train, key) == source]
    recorded = next((getattr(train, digest) for train in alike), None)
    return config.model_copy(update={"train": config.train.model_copy(update={digest: recorded})})


def _resolve_precision(config: Config, *folders: Path) -> Config:
    """Return a config with the `train.precision` that `auto` stands for: the run's, or that of `choose_precision`."""
    if config.train.precision != "auto":
        return config
    run = find_run(*folders)
    precision = choose_precision(config.train.dtype) if run is None else run.config.train.precision
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": precision})})


def find_run(*folders: Path) -> Run | None:
    """Return the run of the first of some folders that holds one; None: none does."""
    return next((run for run in map(Run, folders) if run.exists), None)
