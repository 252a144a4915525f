"""How the work of one step is divided over processes, and in which arithmetic it is done."""

import os
import warnings

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from vaegan.config.schema import TrainConfig
from vaegan.distributed import init_process_group
from vaegan.errors import UserError

LAUNCHED_PRECISIONS = {"no": None, "bf16": "bf16"}
"""What `accelerate launch --mixed_precision` may say, in our words."""


def make_accelerator(config: TrainConfig) -> Accelerator:
    """The processes of this training, in the precision that the config or `accelerate launch` asks for.

    Autocast is ours (`autocast_dtype`), so Accelerate itself always runs without.

    Raises:
        UserError: The two ask for different precisions, or for one that is not supported; or the processes that were
            launched cannot work together, so that each would train alone.
    """
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched not in LAUNCHED_PRECISIONS:
        raise UserError(
            f"--mixed_precision={launched}: not supported (one scaler cannot serve two networks); use bf16 or no",
            on_all_ranks=True,
        )
    if LAUNCHED_PRECISIONS[launched] and config.precision not in (None, LAUNCHED_PRECISIONS[launched]):
        raise UserError(
            f"train.precision: {config.precision} here, but {launched} was given to `accelerate launch`; leave one out",
            on_all_ranks=True,
        )
    torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    # Said of dimensions of one element, whose stride means nothing.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    # torch 2.15 calls `broadcast_buffers` by another name, which older ones do not know.
    warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
    init_process_group()
    # Buffers change once a step, alike on every process.
    replicas = DistributedDataParallelKwargs(gradient_as_bucket_view=True, broadcast_buffers=False)
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no", kwargs_handlers=[replicas])


def get_autocast_dtype(config: TrainConfig) -> torch.dtype | None:
    """The autocast type of the forwards; None: that of the weights."""
    asked = config.precision or LAUNCHED_PRECISIONS[os.environ.get("ACCELERATE_MIXED_PRECISION", "no")]
    return torch.bfloat16 if asked == "bf16" else None


def get_batch_slice(config: TrainConfig, rank: int, processes: int) -> slice:
    """The places in the global batch that one process works on.

    Raises:
        UserError: The batch cannot be shared evenly.
    """
    if config.batch_size % processes:
        raise UserError(
            f"train.batch_size: {config.batch_size} is not a multiple of the {processes} processes that share it"
        )
    own = config.batch_size // processes
    if config.micro_batch_size is not None and own % config.micro_batch_size:
        raise UserError(
            f"train.micro_batch_size: {config.micro_batch_size} does not divide the {own} images that each of the"
            f" {processes} processes has of train.batch_size={config.batch_size}"
        )
    return slice(rank * own, (rank + 1) * own)
