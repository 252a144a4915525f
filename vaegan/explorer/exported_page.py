"""The explorer of a small model as one page of HTML, which holds the weights and needs neither server nor network."""

import base64
import copy
import json
from html import escape
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models import Flow
from vaegan.models.continuous import ContinuousAutoencoder

from .explored_run import ExploredRun
from .network_program import WeightList, compute_unit, count_units, list_layers
from .template_files import read_template

MAX_PAGE_BYTES = 20_000_000
"""Largest page, which most mail servers still pass on."""
MAX_ROUNDING_ERROR = 5e-4
"""Largest change of a pixel in [-1, 1], over the images that are tried, at which weights are kept in 16 bits."""
TRIED_CODES = 32
"""Codes and images that are tried."""

WeightType = Literal["int16", "float32"]


def check_exportable(run: ExploredRun) -> ContinuousAutoencoder:
    """Check that a page can compute the networks of a run, and return its model.

    Raises:
        UserError: Its codes are entries of a codebook, or its prior is a flow.
    """
    if isinstance(run.model, Flow):
        raise UserError(f"{run.name}: a flow, which a page does not integrate; export the run of its autoencoder")
    if run.axes is None or not isinstance(run.model, ContinuousAutoencoder):
        raise UserError(f"{run.name}: codes are entries of a codebook, which a page has no sliders for; export another")
    return run.model


def build_exported_page(run: ExploredRun, images: Tensor, labels: Tensor | None = None) -> str:
    """Build the page of a run, HTML with its scripts and weights.

    Args:
        run: The run.
        images: Images that the precision of the weights is tried on, uint8, shape (N, C, S, S).
        labels: Class of each, int64, shape (N,); None: the model is unconditional.

    Raises:
        UserError: The page cannot compute a layer of its networks, or is larger than `MAX_PAGE_BYTES`.
    """
    model, weights = check_exportable(run), WeightList()
    try:
        programs = {name: list_layers(getattr(model, name), weights) for name in ("encoder", "decoder")}
    except UserError as error:
        raise UserError(f"{run.name}: {error}; explore it without --export") from None
    dtype = choose_weight_type(model, images, labels)
    values = weights.join_integers().numpy().astype("<i2") if dtype == "int16" else weights.join().numpy().astype("<f4")
    parts = {
        "@title@": escape(run.name),
        "@description@": _to_json(_describe(run, model, programs, dtype)),
        "@weights@": base64.b64encode(values.tobytes()).decode(),
        "@interpreter@": read_template("interpreter.js"),
        "@script@": read_template("export.js"),
        "@style@": read_template("export.css"),
    }
    page = read_template("export.html")
    for place, part in parts.items():
        before, found, after = page.partition(place)
        assert found, place
        page = before + part + after
    if (size := len(page.encode())) > MAX_PAGE_BYTES:
        limit = f"{size / 1e6:.1f} MB, more than {MAX_PAGE_BYTES / 1e6:.0f} MB"
        raise UserError(f"{run.name}: the page would be of {limit}; train one of a smaller model.width")
    return page


@torch.no_grad()
def choose_weight_type(model: ContinuousAutoencoder, images: Tensor, labels: Tensor | None) -> WeightType:
    """Return 16 bits if they change images hardly, see `MAX_ROUNDING_ERROR`, or else single precision.

    Args:
        model: The model.
        images: Images to reconstruct, uint8, shape (N, C, S, S).
        labels: Class of each, int64, shape (N,); None: the model is unconditional.
    """
    rounded = round_weights(model)
    codes = model.encode(images, labels).mean
    largest = max(
        (rounded.decode(codes, labels) - model.decode(codes, labels)).abs().max().item(),
        (rounded.reconstruct(images, labels) - model.reconstruct(images, labels)).abs().max().item(),
    )
    return "int16" if largest <= MAX_ROUNDING_ERROR else "float32"


@torch.no_grad()
def round_weights(model: ContinuousAutoencoder) -> ContinuousAutoencoder:
    """Return a copy of a model whose weights are those that a page keeps in 16 bits."""
    rounded = copy.deepcopy(model)
    for weight in rounded.parameters():
        weight.copy_(count_units(weight) * compute_unit(weight))
    return rounded


def _describe(
    run: ExploredRun, model: ContinuousAutoencoder, programs: dict[str, Any], dtype: WeightType
) -> dict[str, Any]:
    """Return what the scripts of the page must know, for JSON."""
    axes = run.axes
    assert axes is not None
    return {
        "name": run.name,
        "image_shape": list(model.image_shape),
        "fit": run.decoding[1],
        "code_shape": list(model.code_shape),
        "classes": model.classes,
        "class_names": list(run.class_names) or [str(number) for number in range(model.classes or 0)],
        "has_prior": model.has_prior,
        "start": _to_list(run.start),
        "axes": {
            "kind": axes.kind,
            "names": list(axes.names),
            "low": _to_list(axes.low),
            "high": _to_list(axes.high),
            "dimensions": None if axes.dimensions is None else axes.dimensions.tolist(),
            "directions": None if axes.directions is None else [_to_list(each) for each in axes.directions],
            "centre": None if axes.centre is None else _to_list(axes.centre),
        },
        "dtype": dtype,
        **programs,
    }


def _to_list(values: Tensor) -> list[float]:
    """Return numbers as short as float32 holds them."""
    return [float(np.format_float_scientific(value)) for value in values.float().cpu().numpy()]


def _to_json(tree: dict[str, Any]) -> str:
    """Return JSON that ends no element of HTML."""
    return json.dumps(tree, separators=(",", ":")).replace("<", "\\u003c")
