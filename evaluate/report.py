"""One page that shows a comparison: no script, no request, everything inside."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import Tensor

import vaegan
from vaegan.checkpoints import write_text
from vaegan.config import dump
from vaegan.data import Data
from vaegan.images import to_float, to_picture, to_uint8
from vaegan.models import Autoencoder
from vaegan.runs import load

from .comparison import Comparison
from .figures import ARROWS
from .spectrum_plot import Plot, spectrum_plot
from .verdict import Kind

COLUMNS = 12
"""Real images, and images of each row."""
SAMPLES = 2 * COLUMNS
"""Of each variant."""
OWN_PROTOCOL = ("origin", "seed", "samples", "elbo")
"""What may differ between the runs of one study."""


@dataclass(frozen=True)
class Strip:
    """A row of images."""

    name: str
    """The variant; empty: the real images."""
    caption: str
    """What they are."""
    images: list[str]
    """Data URIs; none where the variant cannot make any."""


def write_report(comparison: Comparison, data: Data, path: Path) -> None:
    """Write `report.html`; whoever looks finds the old page or the new one.

    Args:
        comparison: What is shown; images are those of the first seed's runs.
        data: The study's images.
        path: The file.
    """
    seed = comparison.study.seeds[0]
    models = {name: load(runs[seed].run.path) for name, runs in comparison.judged.items()}
    split = getattr(data, comparison.first.config.evaluate.split)
    real = split[split.spread(COLUMNS)]
    page = _environment().get_template("report.html.j2").render(
        comparison=comparison,
        config=comparison.first.config,
        evaluated=comparison.first.evaluation.protocol["reconstructions"],
        findings=_by_variant(comparison),
        reconstructions=reconstruction_strips(models, real),
        samples=sample_strips(models, SAMPLES, seed),
        sampled=SAMPLES,
        groups=[(name, list(rows)) for name, rows in groupby(comparison.rows(), lambda row: row.figure.group)],
        arrows=ARROWS,
        plots=plots(comparison),
        protocol=_common_protocol(comparison),
        configs={name: dump(comparison.judged[name][seed].config) for name in comparison.names},
        protocols={name: _own_protocol(comparison, name) for name in comparison.names},
        version=vaegan.__version__,
    )  # fmt: skip
    write_text(path, page)


def reconstruction_strips(models: Mapping[str, Autoencoder], real: Tensor) -> list[Strip]:
    """The real images, and below them what each model makes of the same.

    Args:
        models: By variant.
        real: uint8, shape (N, C, S, S).
    """
    strips = [Strip("", "real images", data_uris(real))]
    for name, model in models.items():
        images = model.reconstruct(to_float(real).to(next(model.parameters())))
        strips.append(Strip(name, "reconstructions", data_uris(to_uint8(images))))
    return strips


def sample_strips(models: Mapping[str, Autoencoder], count: int, seed: int) -> list[Strip]:
    """What each model draws from its prior, from the same codes."""
    return [
        Strip(name, "samples", data_uris(to_uint8(model.sample(count, seed))))
        if model.has_prior
        else Strip(name, "samples", [])
        for name, model in models.items()
    ]


def data_uris(images: Tensor) -> list[str]:
    """Each image, uint8 (N, C, S, S), as a PNG inside its address."""
    uris = []
    for image in images:
        file = io.BytesIO()
        to_picture(image).save(file, "PNG", optimize=True)
        uris.append("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
    return uris


def plots(comparison: Comparison) -> dict[str, Plot]:
    """Of reconstructions and of samples, those that were measured: the first seed's power beside the real images'."""
    found = {}
    for kind in ("reconstruction", "sample"):
        curves = {}
        for name, runs in comparison.judged.items():
            measured = runs[comparison.study.seeds[0]].evaluation.curves
            if f"spectrum_error/{kind}" in measured:
                curves[name] = measured["frequency"], measured[f"spectrum_error/{kind}"]
        if curves:
            found[f"{kind.capitalize()}s"] = spectrum_plot(curves)
    return found


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _by_variant(comparison: Comparison) -> dict[str, dict[Kind, Any]]:
    found: dict[str, dict[Kind, Any]] = {name: {} for name in comparison.names[1:]}
    for finding in comparison.findings:
        found[finding.variant][finding.kind] = finding
    return found


def _common_protocol(comparison: Comparison) -> str:
    protocol = comparison.first.evaluation.protocol
    return _text((key, value) for key, value in protocol.items() if key not in OWN_PROTOCOL)


def _own_protocol(comparison: Comparison, name: str) -> str:
    protocol = comparison.judged[name][comparison.study.seeds[0]].evaluation.protocol
    return _text((key, protocol[key]) for key in OWN_PROTOCOL if key in protocol)


def _text(items: Iterable[tuple[str, Any]]) -> str:
    return yaml.safe_dump(dict(items), sort_keys=False, allow_unicode=True)
