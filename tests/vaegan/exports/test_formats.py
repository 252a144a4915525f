"""Exported parts compute what the model computes, in programs that know nothing of this package."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from vaegan.config.schema import Config
from vaegan.exports.card import CardOptions
from vaegan.exports.folder import export_model
from vaegan.models import VQVAE, Autoencoder, Flow, PixelCNN
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.randomness import draw_normal
from vaegan.storage.loading import load

from ...tiny import divide_cases
from .card_blocks import run_card
from .configs import CONFIGS

MakeRun = Callable[[Config], Path]
SHORT = {("onnx", "vae"), ("torch", "vqvae"), ("torch", "vae-grid")}
CASES = divide_cases([(form, name) for form in ("onnx", "torch") for name in CONFIGS], SHORT)


def open_onnx(file: Path) -> Callable[..., list[Tensor]]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda **inputs: [
        torch.from_numpy(np.asarray(output))
        for output in session.run(None, {key: value.numpy() for key, value in inputs.items()})
    ]


def open_torch(file: Path) -> Callable[..., list[Tensor]]:
    network = torch.export.load(file).module()
    return lambda **inputs: [
        *(output if isinstance(output := network(*inputs.values()), tuple) else (output,)),
    ]


def compute(model: Autoencoder, images: Tensor, labels: Tensor | None) -> dict[str, list[Tensor]]:
    """Return what the model itself says of images: the outputs of each part, by its name."""
    vqvae = model.autoencoder if isinstance(model, PixelCNN) else model
    own_labels = labels if model.networks_take_labels else None
    if isinstance(vqvae, VQVAE):
        posterior = model.encode(images, own_labels)
        indices = vqvae.encode_indices(images)
        outputs = {"encoder": [indices, vqvae.embed(indices).unflatten(1, vqvae.code_shape)]}
        outputs["decoder"] = [model.decode(posterior.mean)]
        return outputs | ({"prior": [model.prior(indices, labels)]} if isinstance(model, PixelCNN) else {})
    if isinstance(model, Flow):
        outputs = compute(model.autoencoder, images, None)
        codes, time = outputs["encoder"][0], torch.full((len(images),), 0.3)
        velocity = model.prior((codes - model.mean) / model.scale, time, labels) * model.scale
        return outputs | {"prior": [velocity]}
    assert isinstance(model, ContinuousAutoencoder)
    shape = [-1] if not model.has_grid else model.config.get_code_shape((1, images.shape[2], images.shape[3]))
    posterior = model.encode(images, own_labels)
    mean = posterior.mean.unflatten(1, shape)
    spread = [] if posterior.log_variance.isinf().any() else [posterior.log_variance.unflatten(1, shape)]
    return {"encoder": [mean, *spread], "decoder": [model.decode(mean, own_labels)]}


def check_graphs(folder: Path, described: dict[str, Any]) -> None:
    """Check that the graphs of ONNX have the names and shapes that the description says."""
    assert set(described["versions"]) == {"vaegan", "torch", "onnx", "onnxscript", "onnxruntime"}
    for part in described["parts"].values():
        assert 0 <= part["largest_difference"] < 1e-5
        graph = onnx.load(folder / part["file"]).graph
        for values, told in ((graph.input, part["inputs"]), (graph.output, part["outputs"])):
            assert [value.name for value in values] == [each["name"] for each in told]
            shapes = [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in values]
            assert shapes == [each["shape"] for each in told] and all(shape[0] == "batch" for shape in shapes)


@pytest.mark.parametrize(("format_name", "name"), CASES)
def test_parts_compute_what_the_model_computes(format_name: str, name: str, make_run: MakeRun, tmp_path: Path) -> None:
    run, out = make_run(CONFIGS[name]()), tmp_path / "out"
    export_model(run, out, format_name, CardOptions())
    model, described = load(run).float(), json.loads((out / "description.json").read_text())
    open_part = {"onnx": open_onnx, "torch": open_torch}[format_name]
    parts = {part: open_part(out / each["file"]) for part, each in described["parts"].items()}
    sides = [(8, 8), (16, 24)] if "sides" in described else [(8, 8)]
    for count, (height, width) in [(4, sides[0]), (1, sides[-1])]:
        images = torch.stack([draw_normal((1, height, width), 7, "images", i) for i in range(count)]).tanh()
        labels = None if model.classes is None else torch.arange(count) + 3
        expected = compute(model, images, labels)
        assert expected.keys() == parts.keys()
        codes = expected["encoder"][0]
        given: dict[str, Any] = {
            "images": images,
            "labels": labels,
            "indices": codes,
            "codes": codes,
            "time": torch.full((count,), 0.3),
        }
        sizes = {"batch": count, "height": height, "width": width}
        sizes |= {f"{key} / {k}": sizes[key] // k for key in ("height", "width") for k in (2, 4)}
        for part, outputs in expected.items():
            names = [each["name"] for each in described["parts"][part]["inputs"]]
            found = parts[part](**{name: given[name] for name in names})
            for one, two, told in zip(outputs, found, described["parts"][part]["outputs"], strict=True):
                assert torch.allclose(one, two, rtol=1e-5, atol=1e-5) and one.shape == two.shape, (part, told["name"])
                assert str(two.dtype) == f"torch.{told['dtype']}" and two.double().std() > 1e-3
                assert [sizes.get(size, size) for size in told["shape"]] == list(two.shape)
                if told["range"] is not None:
                    assert told["range"][0] <= two.min() <= two.max() <= told["range"][1]
    names = run_card(out)
    assert (
        names["images"].shape == (4, 1, 8, 8)
        and names[described["parts"]["decoder"]["inputs"][0]["name"]].shape[0] == 4
    )
    if format_name == "onnx":
        check_graphs(out, described)
    for file in out.iterdir():  # exporters note the files of the code that each node comes from
        assert b".py" not in file.read_bytes() and file.stat().st_size > 1000
