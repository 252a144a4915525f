"""The Accelerator of a training and the precision of its forwards."""

import warnings

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import DistributedDataParallelKwargs

from vaegan.config.schema import TrainConfig
from vaegan.distributed import init_process_group
from vaegan.errors import UserError
from vaegan.precision import LAUNCHED_PRECISIONS, get_launched_precision, set_tf32


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Join the processes of this launch and return their Accelerator, which itself never uses mixed precision.

    Autocast is chosen by `get_autocast_dtype` and entered inside each forward. TF32 is switched on or off here.

    Raises:
        UserError: `train.precision` and `accelerate launch --mixed_precision` name different precisions, or the latter
            names one that is not supported.
        UserError: The script has an Accelerator that compiles or has mixed precision, which all others would share.
        UserError: The processes of this launch cannot work together, so that each would train alone.
    """
    launched = get_launched_precision()
    if launched not in LAUNCHED_PRECISIONS:
        problem = "not supported (one scaler cannot serve two networks); use bf16 or no"
        raise UserError(f"--mixed_precision={launched}: {problem}", on_all_ranks=True)
    if LAUNCHED_PRECISIONS[launched] and config.precision not in (None, LAUNCHED_PRECISIONS[launched]):
        problem = f"{config.precision} here, but {launched} was given to `accelerate launch`; leave one out"
        raise UserError(f"train.precision: {problem}", on_all_ranks=True)
    if is_initialized():
        _check_shared_state(AcceleratorState())
    set_tf32(config.precision == "tf32")
    # torch warns about dimensions of one element, whose stride means nothing.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    # torch 2.15 renames `broadcast_buffers`; older versions do not know the new name.
    warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
    init_process_group()
    # Buffers change once per optimizer step, alike on every process.
    ddp_options = DistributedDataParallelKwargs(gradient_as_bucket_view=True, broadcast_buffers=False)
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no", kwargs_handlers=[ddp_options])


def _check_shared_state(state: AcceleratorState) -> None:
    """Check the settings of the script's own Accelerator, which all others share."""
    settings = {"mixed_precision": (state.mixed_precision, "set train.precision for the training")}
    settings["dynamo_backend"] = (state.dynamo_plugin.backend.value, "compile modules of your own yourself")
    for name, (value, remedy) in settings.items():
        if value.lower() != "no":
            problem = f"this script has one with {name}={value!r}; make it with {name}='no', and {remedy}"
            raise UserError(f"Accelerator: {problem}", on_all_ranks=True)


def describe_unused_device() -> str | None:
    """Return a line that names a GPU of this machine that is not used, since it has no CUDA; None: there is none."""
    unused = {"MPS (Apple)": torch.backends.mps.is_available(), "XPU (Intel)": torch.xpu.is_available()}
    names = [name for name, is_there in unused.items() if is_there]
    if torch.cuda.is_available() or not names:
        return None
    return f"{' and '.join(names)}: not used; the training computes on the CPU, as it does without a GPU of CUDA"


def get_autocast_dtype(config: TrainConfig) -> torch.dtype | None:
    """Return the autocast type of the forwards; None if they run in the type of the weights."""
    precision = config.precision or LAUNCHED_PRECISIONS[get_launched_precision()]
    return torch.bfloat16 if precision == "bf16" else None
