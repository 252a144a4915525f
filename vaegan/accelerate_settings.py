"""Settings of `accelerate launch` and of its config file, and the refusal of those that no training here follows."""

import os
from collections.abc import Mapping

from .errors import UserError

UNSUPPORTED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ACCELERATE_USE_FSDP": (("false",), "FSDP is not supported: every process holds all weights"),
    "ACCELERATE_USE_DEEPSPEED": (("false",), "DeepSpeed is not supported: every process holds all weights"),
    "ACCELERATE_USE_MEGATRON_LM": (("false",), "Megatron-LM is not supported: every process holds all weights"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": (("false",), "processes divide the batch, and nothing else is divided"),
    "ACCELERATE_USE_SAGEMAKER": (("false",), "SageMaker's launcher is not supported"),
    "ACCELERATE_DYNAMO_BACKEND": (("no",), "Accelerate does not compile the networks here, and would switch on TF32"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (("1",), "train.micro_batch_size divides a batch"),
    "ACCELERATE_TORCH_DEVICE": ((), "CUDA_VISIBLE_DEVICES chooses the GPU"),
}
"""For each environment variable that Accelerate reads: its values, in lower case, that change nothing, and the reason
why all others are refused. `accelerate launch` sets them from its options and from its config file."""


def check_accelerate_settings() -> None:
    """Check that Accelerate is told nothing that a training or an evaluation would not follow, or only in part.

    Raises:
        UserError: It is, by `accelerate launch` or by an environment variable.
    """
    for variable, (harmless, reason) in UNSUPPORTED.items():
        value = os.environ.get(variable, "")
        if value and value.lower() not in harmless:
            where = (
                "leave it out of `accelerate launch`, its config file (`accelerate env` shows it), or the environment"
            )
            raise UserError(f"{variable}={value}: {reason}; {where}", on_all_ranks=True)
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "on"):
        import torch

        if torch.cuda.is_available():
            problem = "evaluations would use the GPU all the same; to hide it, set CUDA_VISIBLE_DEVICES= as well"
            raise UserError(f"ACCELERATE_USE_CPU: {problem}", on_all_ranks=True)
