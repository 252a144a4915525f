"""The partition of the global batch over processes."""

from vaegan.config.adversarial import get_packing
from vaegan.config.schema import Config
from vaegan.errors import UserError


def get_batch_slice(config: Config, rank: int, world_size: int) -> slice:
    """Return the slice of the global batch that one process works on.

    Args:
        config: The run.
        rank: Number of the process, from 0.
        world_size: Number of processes.

    Raises:
        UserError: `train.batch_size` is not a multiple of ``world_size``, or `train.micro_batch_size` does not divide
            the images of one process, or one of them divides images that `model.discriminator.packing` scores together.
    """
    batch_size, micro_batch_size = config.train.batch_size, config.train.micro_batch_size
    if batch_size % world_size:
        problem = f"{batch_size} is not a multiple of the {world_size} processes that share it"
        raise UserError(f"train.batch_size: {problem}")
    images = batch_size // world_size
    if micro_batch_size is not None and images % micro_batch_size:
        per_process = f"the {images} images that each of the {world_size} processes has"
        problem = f"{micro_batch_size} does not divide {per_process} of train.batch_size={batch_size}"
        raise UserError(f"train.micro_batch_size: {problem}")
    packing = get_packing(config.model)
    key, count = ("batch_size", images) if micro_batch_size is None else ("micro_batch_size", micro_batch_size)
    if count % packing:
        problem = f"model.discriminator.packing={packing} scores pairs, and a forward of a process has {count} images"
        raise UserError(f"train.{key}: {problem}; give each an even number")
    return slice(rank * images, (rank + 1) * images)
