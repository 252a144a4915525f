"""How an exported model is loaded, as blocks of Python that run where its files are."""

from collections.abc import Sequence

from vaegan.models import Autoencoder

from .parts import Part


def write_usage(format_name: str, model: Autoencoder, parts: Sequence[Part]) -> str:
    """Return how exported parts are loaded and called, in Markdown.

    Args:
        format_name: Name of the format, of `FORMATS`.
        model: The model.
        parts: Its parts.
    """
    shape, names = ", ".join(map(str, model.image_shape)), {each.name for part in parts for each in part.inputs}
    lines = {
        "onnx": ["import numpy as np", "import onnxruntime", ""],
        "torch": ["import torch", ""],
        "safetensors": ["from safetensors.torch import load_file", ""],
    }[format_name]
    lines += [_open(part, format_name) for part in parts]
    if format_name == "safetensors":
        return f"{_write_block(lines)}\n\nThe names are those of the weights in the networks of vaegan."
    is_onnx = format_name == "onnx"
    images = f"np.zeros((4, {shape}), np.float32)" if is_onnx else f"torch.zeros(4, {shape})"
    labels = "np.zeros(4, np.int64)" if is_onnx else "torch.zeros(4, dtype=torch.int64)"
    lines += ["", f"images = {images}  # in [-1, 1]", *[f"labels = {labels}"] * ("labels" in names)]
    time = "np.zeros(4, np.float32)" if is_onnx else "torch.zeros(4)"
    lines += [f"time = {time}  # from 0 to 1"] * ("time" in names)
    for part in parts:
        lines += ["codes = mean"] * (part.name == "decoder" and parts[0].outputs[0].name == "mean")
        lines.append(_call(part, is_onnx))
    return f"{_write_block(lines)}\n\n`description.json` has the shapes, ranges and meanings of inputs and outputs."


def write_usage_of_diffusers(name: str) -> str:
    """Return how the folder of a class of diffusers is loaded, in Markdown."""
    return _write_block(["import diffusers", "", f'model = diffusers.{name}.from_pretrained(".")'])


def write_usage_of_vaegan(place: str, model: Autoencoder) -> str:
    """Return how a model is loaded by this package, in Markdown.

    Args:
        place: Its name on the Hub.
        model: The model.
    """
    label = ", labels=0" if model.classes is not None else ""
    own_label = label if model.networks_take_labels else ""
    shape = ", ".join(map(str, model.image_shape))
    images = f"model.sample(4{label})" if model.has_prior else f"torch.zeros(4, {shape})"
    lines = [*["import torch"] * (not model.has_prior), "import vaegan", "", f'model = vaegan.load("{place}")']
    lines += [f"images = {images}  # in [-1, 1]", f"codes = model.encode(images{own_label}).mean"]
    return _write_block([*lines, f"reconstruction = model.decode(codes{own_label})"])


def _open(part: Part, format_name: str) -> str:
    call = {
        "onnx": 'onnxruntime.InferenceSession("{}.onnx")',
        "torch": 'torch.export.load("{}.pt2").module()',
        "safetensors": 'load_file("{}.safetensors")  # tensors by name',
    }[format_name]
    return f"{part.name} = {call.format(part.name)}"


def _call(part: Part, is_onnx: bool) -> str:
    names, outputs = [each.name for each in part.inputs], ", ".join(each.name for each in part.outputs)
    if not is_onnx:
        return f"{outputs} = {part.name}({', '.join(names)})"
    arrays = ", ".join(f'"{name}": {name}' for name in names)
    return f"{outputs if len(part.outputs) > 1 else f'({outputs},)'} = {part.name}.run(None, {{{arrays}}})"


def _write_block(lines: Sequence[str]) -> str:
    return "\n".join(["```python", *lines, "```"])
