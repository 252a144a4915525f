"""The formats of exported parts: how each is written, and read again for the check against the model."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.io import load_tensors, save_tensors
from vaegan.text import to_one_line

from .parts import Part

Function: TypeAlias = Callable[..., tuple[Tensor, ...]]
"""A part as a function of tensors."""
Write: TypeAlias = Callable[[Part, Sequence[Tensor], Path, Mapping[str, str]], int | None]
"""Writes a part into a file, with inputs that it is traced with and texts that the file may keep; returns the most
images of one call, None if there is no limit."""


MAX_ONNX_BYTES = 2**31 - 2**26
"""Most bytes of weights in a file of ONNX, whose format ends at 2 GiB."""


class Format(NamedTuple):
    """A format of exported parts."""

    suffix: str
    """Ending of its files."""
    packages: tuple[str, ...]
    """Packages that it needs beside torch and safetensors."""
    write: Write
    """Writes a file."""
    read: Callable[[Part, Path], Function]
    """Reads a file that `write` has just written."""
    opened_by: str
    """What opens a file, in words."""


def _trace(part: Part, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """Trace a part, with the sizes open that its description leaves open.

    Raises:
        UserError: torch cannot follow its network.
    """
    open_sizes = [
        {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(given.shape) if isinstance(size, str)}
        for given in part.inputs
    ]
    try:
        with _quiet():
            program = torch.export.export(part.module, tuple(inputs), dynamic_shapes=tuple(open_sizes))
    except Exception as error:  # of the tracer, which has one of its own for everything that a forward may do
        problem = f"torch.export cannot follow its network ({to_one_line(error)})"
        raise UserError(f"{part.name}: {problem}; take --format safetensors") from None
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # the folders of this machine
    return program


def _write_torch(part: Part, inputs: Sequence[Tensor], file: Path, texts: Mapping[str, str]) -> int | None:
    program = _trace(part, inputs)
    with _quiet():
        torch.export.save(program, file)
    first = next(node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs)
    most = program.range_constraints[first.meta["val"].shape[0].node.expr].upper
    return int(most) if most.is_Integer else None  # networks of diffusers lay out 64 images and more differently


def _read_torch(part: Part, file: Path) -> Function:
    module = torch.export.load(file).module()

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = module(*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    return run


def _write_onnx(part: Part, inputs: Sequence[Tensor], file: Path, texts: Mapping[str, str]) -> None:
    """Write a part as ONNX, without the notes of where in the code each node comes from.

    Raises:
        UserError: torch cannot follow its network, or has no ONNX for it, or the file would be too large.
    """
    import onnx

    size = sum(value.nbytes for value in part.module.state_dict().values())
    if size > MAX_ONNX_BYTES:
        remedy = "take --format torch or safetensors"
        raise UserError(f"{part.name}: {size / 2**30:.1f} GiB of weights, and a file of ONNX holds 2; {remedy}")
    program = _trace(part, inputs)
    try:
        with _quiet():
            # Attention of three axes has no ONNX before it is decomposed.
            converted: Any = torch.onnx.export(
                program.run_decompositions(), dynamo=True, verbose=False,
                input_names=[each.name for each in part.inputs], output_names=[each.name for each in part.outputs],
            )  # fmt: skip
            model = converted.model_proto
    except Exception as error:
        raise UserError(f"{part.name}: torch has no ONNX for its network ({to_one_line(error)})") from None
    for node in (*model.graph.node, *model.graph.value_info, *(node for each in model.functions for node in each.node)):
        del node.metadata_props[:]
    for values, descriptions in ((model.graph.input, part.inputs), (model.graph.output, part.outputs)):
        for value, description in zip(values, descriptions, strict=True):
            for size, given in zip(value.type.tensor_type.shape.dim, description.shape, strict=True):
                if isinstance(given, str):
                    size.dim_param = given
    for key, text in texts.items():
        model.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _read_onnx(part: Part, file: Path) -> Function:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [each.name for each in part.inputs]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = {name: values.numpy() for name, values in zip(names, inputs, strict=True)}
        return tuple(map(torch.from_numpy, session.run([each.name for each in part.outputs], arrays)))

    return run


def _write_safetensors(part: Part, inputs: Sequence[Tensor], file: Path, texts: Mapping[str, str]) -> None:
    weights = part.module.state_dict()
    save_tensors({new: weights[old] for old, new in part.name_weights().items()}, file, {"format": "pt", **texts})


def _read_safetensors(part: Part, file: Path) -> Function:
    weights, module = load_tensors(file), copy.deepcopy(part.module)
    module.load_state_dict({old: weights[new] for old, new in part.name_weights().items()})
    return Part(part.name, module, part.inputs, part.outputs)


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _read_onnx, "onnxruntime"),
    "torch": Format(".pt2", (), _write_torch, _read_torch, "torch.export.load"),
    "safetensors": Format(".safetensors", (), _write_safetensors, _read_safetensors, "safetensors"),
}
"""The formats by their names."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the notes of torch's exporters, which are about themselves, from standard error."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
