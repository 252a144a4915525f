"""The partition of the global batch over processes."""

from vaegan.config.schema import TrainConfig
from vaegan.errors import UserError


def get_batch_slice(config: TrainConfig, rank: int, world_size: int) -> slice:
    """Return the slice of the global batch that one process works on.

    Args:
        config: The `train` section of the config.
        rank: Number of the process, from 0.
        world_size: Number of processes.

    Raises:
        UserError: `train.batch_size` is not a multiple of ``world_size``, or `train.micro_batch_size` does not divide
            the images of one process.
    """
    if config.batch_size % world_size:
        problem = f"{config.batch_size} is not a multiple of the {world_size} processes that share it"
        raise UserError(f"train.batch_size: {problem}")
    images = config.batch_size // world_size
    if config.micro_batch_size is not None and images % config.micro_batch_size:
        per_process = f"the {images} images that each of the {world_size} processes has"
        problem = f"{config.micro_batch_size} does not divide {per_process} of train.batch_size={config.batch_size}"
        raise UserError(f"train.micro_batch_size: {problem}")
    return slice(rank * images, (rank + 1) * images)
