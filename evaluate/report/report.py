"""One page that shows a comparison: no script, no request, everything inside."""

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import vaegan
from vaegan.checkpoints import write_text
from vaegan.config import Config, dump
from vaegan.config.models import GANVAEConfig, VAEGANConfig, VectorConfig
from vaegan.config.study import Match
from vaegan.data import Data
from vaegan.losses.adversarial import NAMES, PREDICTED
from vaegan.runs import load

from ..comparing.comparison import Comparison
from ..comparing.findings import Effect, Finding, Pair, difference, probability
from ..comparing.resampling import Estimate
from ..comparing.verdict import LEVEL
from ..controls import AMOUNT, CHECKERBOARD, NOISE, REAL, SOFTNESS
from ..figures import ARROWS, Figure, duration, figure, in_order, memory, source
from .control_rows import COHERENCE, FIGURES, LEAST, control_rows
from .pictures import SOFTNESS as BLUR
from .pictures import VIEWS, interpolations, reconstructions, samples
from .plots import Plot
from .repeating import as_text, commands, common_protocol, control_protocols, feature_command, own_protocols, versions
from .spectrum_plot import spectrum_plot
from .tables import write_tables
from .tradeoff_plots import tradeoff_plots
from .training_plots import training_plots

COLUMNS = 12
"""Real images, and images of each row."""
SAMPLES = 2 * COLUMNS
"""Of each variant."""
STYLES = {"sharper": "yes", "less sharp": "no"}
"""Of an answer; others are open."""
DEFECTS = {
    "blurred": f"Gaussian blur of {SOFTNESS:g} pixels",
    "noisy": f"white noise of {NOISE:g}",
    "checkered": f"checkerboard of ±{CHECKERBOARD:g}",
    "over-sharpened": f"unsharp mask of {AMOUNT:g}",
}
"""What was done to the images of each control, in units of [-1, 1]."""

MATCHED: dict[Match, str] = {
    "decoder": "decoder with the same initial weights",
    "latent_size": "latent size",
    "images_seen": "number of images seen",
    "wall_clock": "time to train in, as far as the speed of its first steps tells",
}
"""What variants have in common, as part of a sentence."""


@dataclass(frozen=True)
class Bar:
    """What one variant costs."""

    name: str
    share: float
    """Of the longest bar, from 0 to 1."""
    text: str


@dataclass(frozen=True)
class Shift:
    """One row of the table of effects."""

    effect: Effect
    figure: Figure
    difference: str
    interval: str
    p: str
    size: str
    verdict: str
    """`better`, `worse`, or empty: the difference may be chance, or neither way is better."""


@dataclass(frozen=True)
class Confusion:
    """What a variant's discriminator takes images for, all seeds together."""

    name: str
    columns: tuple[str, ...]
    rows: dict[str, list[float]]
    """Shares of each origin."""


def write_report(comparison: Comparison, data: Data, path: Path, notify: Callable[[str], None]) -> None:
    """Write `report.html`, and beside it the tables as CSV; whoever looks finds old files or new ones.

    Args:
        comparison: What is shown; images are those of the first seed's runs.
        data: The study's images.
        path: The page.
        notify: Told in one line of what is left out.
    """
    seed = comparison.study.seeds[0]
    models = {name: load(runs[seed].run.path) for name, runs in comparison.judged.items()}
    split = getattr(data, comparison.first.config.evaluate.split)
    places = split.spread(COLUMNS)
    real = split[places]
    labels = {name: split.known(places, model.classes) for name, model in models.items()}
    controls = control_rows(comparison)
    page = _environment().get_template("page.html.j2").render(
        comparison=comparison,
        names=comparison.names,
        matched=[MATCHED[part] for part in comparison.study.matched] + ["images in the same order"],
        latent_size=_latent_size(comparison),
        grids=[name for name, each in comparison.configs.items() if not isinstance(each.model, VectorConfig)],
        config=comparison.first.config,
        evaluated=comparison.first.evaluation.protocol["reconstructions"],
        findings=_by_pair(comparison),
        styles=STYLES,
        reconstructions=reconstructions(models, real, labels),
        views=VIEWS,
        blur=BLUR,
        samples=samples(models, comparison.densities, SAMPLES, seed),
        source=source,
        interpolations=interpolations(models, real, labels),
        groups=[(name, list(rows)) for name, rows in groupby(comparison.rows(), lambda row: row.figure.group)],
        arrows=ARROWS,
        shifts=shifts(comparison),
        level=LEVEL,
        controls=controls,
        control_figures=_control_figures(),
        least=LEAST,
        untouched=REAL,
        defects=DEFECTS,
        confusions=confusions(comparison),
        relativistic=[name for name, each in comparison.configs.items() if _is_relativistic(each)],
        spectra=spectra(comparison),
        training=training_plots(comparison, notify),
        tradeoffs=tradeoff_plots(comparison),
        bars=bars(comparison),
        files={name: _csv_uri(text) for name, text in write_tables(comparison, controls, path.parent).items()},
        commands={name: commands(comparison, name, path.parent) for name in comparison.names},
        versions=versions(comparison),
        protocol=as_text(common_protocol(comparison)),
        control_protocols=control_protocols(comparison),
        features=feature_command(comparison, path.parent),
        configs={name: dump(comparison.judged[name][seed].config) for name in comparison.names},
        protocols={name: own_protocols(comparison, name) for name in comparison.names},
        version=vaegan.__version__,
    )  # fmt: skip
    write_text(path, page)


def spectra(comparison: Comparison) -> list[Plot]:
    """Of reconstructions and of samples, those that were measured: the power beside the real images'."""
    found = []
    for kind in ("reconstruction", "sample"):
        key = f"spectrum_error/{kind}"
        measured = {name: [each.curves for each in seeds.values()] for name, seeds in comparison.evaluations.items()}
        variants = {
            name: [list(zip(curves["frequency"], curves[key], strict=True)) for curves in seeds if key in curves]
            for name, seeds in measured.items()
        }
        if any(variants.values()):
            found.append(spectrum_plot(f"{kind.capitalize()}s{source(kind, comparison.density)}", variants))
    return found


def bars(comparison: Comparison) -> dict[str, list[Bar]]:
    """Time, memory and size of each variant."""
    written = {"seconds": duration, "memory_bytes": memory, "parameters": "{:,.0f}".format}
    found = {}
    for key, write in written.items():
        spreads = {name: comparison.spreads(name) for name in comparison.names}
        means = {name: own[key].mean for name, own in spreads.items() if key in own}
        most = max(means.values(), default=0.0) or 1.0
        found[figure(key).label] = [Bar(name, mean / most, write(mean)) for name, mean in means.items()]
    return found


def shifts(comparison: Comparison) -> dict[Pair, list[Shift]]:
    """The effects of each pair, as a table shows them."""
    found: dict[Pair, list[Shift]] = {pair: [] for pair in comparison.pairs if comparison.effects}
    order = in_order({effect.key for effect in comparison.effects})
    for effect in sorted(comparison.effects, key=lambda effect: order.index(effect.key)):
        found[effect.variant, effect.reference].append(_shift(effect, comparison.density))
    return found


def confusions(comparison: Comparison) -> list[Confusion]:
    """Of the variants that have a discriminator."""
    found = []
    for name, runs in comparison.judged.items():
        matrices = [run.evaluation.matrices.get("discriminator/confusion") for run in runs.values()]
        if counts := [torch.tensor(matrix, dtype=torch.float64) for matrix in matrices if matrix]:
            total = torch.stack(counts).sum(0)
            shares = (total / total.sum(1, keepdim=True).clamp_min(1)).tolist()
            found.append(Confusion(name, PREDICTED[total.shape[1]], dict(zip(NAMES, shares, strict=True))))
    return found


def _shift(effect: Effect, density: str | None) -> Shift:
    described, found = figure(effect.key, density), effect.estimate
    text, _, rest = difference(found, _digits(found)).partition(" ")
    better = (found.value > 0) == (described.better == "higher")
    sure = effect.corrected < LEVEL and described.better is not None
    return Shift(
        effect, described, text, rest.strip("()").removeprefix("95 %: "), probability(effect.corrected),
        "" if effect.size is None else f"{effect.size:+.2f}".replace("-", "−"),
        ("better" if better else "worse") if sure else "",
    )  # fmt: skip


def _digits(found: Estimate) -> int:
    """Decimals that leave two figures of the reach of an interval, 6 at most."""
    reach = found.high - found.value
    return min(6, max(0, 1 - math.floor(math.log10(reach)))) if 0 < reach < math.inf else 3


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _by_pair(comparison: Comparison) -> dict[Pair, list[Finding]]:
    found: dict[Pair, list[Finding]] = {pair: [] for pair in comparison.pairs}
    for finding in comparison.findings:
        found[finding.variant, finding.reference].append(finding)
    return found


def _is_relativistic(config: Config) -> bool:
    return isinstance(config.model, VAEGANConfig | GANVAEConfig) and config.model.adversarial.loss == "relativistic"


def _latent_size(comparison: Comparison) -> int | None:
    """Of all codes that are one vector; None: they are not matched, or there is none."""
    sizes = [each.model.latent_size for each in comparison.configs.values() if isinstance(each.model, VectorConfig)]
    return sizes[0] if sizes and "latent_size" in comparison.study.matched else None


def _control_figures() -> dict[str, Figure]:
    return {name: figure(f"reconstruction/{name}") for name in (FIGURES[0], COHERENCE, *FIGURES[1:])}


def _csv_uri(text: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
