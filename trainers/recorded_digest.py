"""The SHA-256 of weights that a setting of a run names, which the run's config records."""

from vaegan.config.schema import Config
from vaegan.distributed import all_gather_object
from vaegan.errors import UserError


def record_digest(config: Config, key: str, digest: str | dict[str, str]) -> Config:
    """Return the config of a run before its first step with the SHA-256 of weights; all processes do this together.

    Args:
        config: The config.
        key: Setting of `train` that names the weights.
        digest: What this process has read: the SHA-256 of the file, or of each file by its name.

    Raises:
        UserError: The processes have read different files, or others than the config records; raised on all ranks.
    """
    source, recorded = f"train.{key}: {getattr(config.train, key)}", getattr(config.train, f"{key}_sha256")
    if any(other != digest for other in all_gather_object(digest)):
        raise UserError(f"{source}: the processes see different files", on_all_ranks=True)
    if recorded not in (None, digest):
        problem = f"its files are not those of train.{key}_sha256; restore them, or leave that out for a new run"
        raise UserError(f"{source}: {problem}", on_all_ranks=True)
    return config.model_copy(update={"train": config.train.model_copy(update={f"{key}_sha256": digest})})
