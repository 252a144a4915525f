"""The compilation of networks by `torch.compile`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from vaegan.config.schema import TrainConfig
from vaegan.errors import Failure, UserError
from vaegan.networks.discriminator import PenalisedDiscriminator
from vaegan.progress import Reporter
from vaegan.text import to_one_line

BACKEND = "inductor"
"""Backend of `torch.compile`."""


def decide_compilation(config: TrainConfig, device: torch.device, given: bool, reporter: Reporter) -> bool:
    """Return whether the networks of a training are compiled, by a fixed rule and not by a measurement.

    Args:
        config: The `train` section of the config.
        device: Device of the networks.
        given: Whether some of the networks are modules that the user has given.
        reporter: Takes a note if a missing compiler is the reason that they are not.

    Raises:
        UserError: `train.compile` is true, and there is no C++ compiler, or a network is the user's.
    """
    if config.compile is False:
        return False
    if config.compile is True and given:
        problem = "modules of your own are not compiled; give false, or compile them yourself"
        raise UserError(f"train.compile: {problem}", on_all_ranks=True)
    if config.compile == "auto" and (given or device.type != "cuda" or config.dtype != "float32"):
        return False
    if has_compiler():
        return True
    if config.compile is True:
        raise UserError("train.compile: no C++ compiler is found; install one (g++), or give false", on_all_ranks=True)
    reporter.note("train.compile: no C++ compiler is found, so the networks are not compiled; install one (g++)")
    return False


@cache
def has_compiler() -> bool:
    """Return whether there is a C++ compiler that `torch.compile` can use."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True


@contextmanager
def report_failed_compilation(compiled: bool) -> Iterator[None]:
    """Turn the error of a compiler into one line.

    Args:
        compiled: Whether networks are compiled when the block first calls them.

    Raises:
        Failure: A network could not be compiled.
    """
    if not compiled:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    try:
        yield
    except TorchDynamoException as error:
        remedy = f"delete {cache_dir()}, where a kill may have left half a file, or give train.compile=false"
        raise Failure(f"train.compile: {to_one_line(error)}; {remedy}") from error


def compile_networks(networks: Iterable[nn.Module]) -> None:
    """Let the networks of a training compile their forwards, and forget those of earlier trainings in this process.

    Networks of one class share their code, and torch compiles at most eight versions of it over all trainings.
    """
    torch.compiler.reset()
    for network in networks:
        compile_network(network)


def compile_network(network: nn.Module) -> None:
    """Let a network compile its forward, in place, when it is first called; each shape is compiled once.

    `torch.compile` has no double backward, so that a discriminator is not compiled where a penalty differentiates it.
    The graphs keep the tensors of their backward, since `model.adversarial.adaptive` goes through a network twice.
    """
    torch._functorch.config.donated_buffer = False
    if isinstance(network, PenalisedDiscriminator):
        compiled = torch.compile(network.compute_output, fullgraph=True, dynamic=False, backend=BACKEND)
        network.compute_unpenalised = compiled  # type: ignore[method-assign]
    else:
        network.compile(fullgraph=True, dynamic=False, backend=BACKEND)
