"""Write an ablation as a page without script and without requests; its table and its plot lie beside it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vaegan.config import dump_config
from vaegan.config.differences import flatten
from vaegan.config.load_ablation import CHOICE_SPLIT, PHASES
from vaegan.io import write_text
from vaegan.text import format_value, make_encodable

from ..ablation import Ablation
from ..comparing.verdicts import Effect
from ..metric_descriptions import ARROWS, describe_metric, sort_metrics
from .forest_plot import plot_effects
from .plot_files import write_plot
from .plots import draw_key
from .rows import build_effect_row, build_effect_rows
from .tables import EFFECTS_TABLE, format_csv
from .templates import render_page

PAGE_FILE, RECORD_FILE, PICTURE_FILE = "report.html", "ablation.json", "effects.png"
"""Names of the page, of the file of all numbers, and of the plot of the effects on the metric that decides."""


def write_ablation(ablation: Ablation, folder: Path) -> Ablation:
    """Write the page of an ablation, `ablation.json`, `effects.csv` and `effects.png`, each replaced as a whole.

    Args:
        ablation: The ablation, as far as it is finished.
        folder: Folder of the files, in which the phases have folders of their own.

    Returns:
        The ablation, which names its page.
    """
    effects = {phase: ablation.list_effects(phase) for phase in ablation.comparisons}
    names = ablation.list_variants()
    plots = {}
    for key in _sort_keys(ablation, [effect for each in effects.values() for effect in each]):
        of_key = {phase: [effect for effect in each if effect.key == key] for phase, each in effects.items()}
        plots[key] = plot_effects(describe_metric(key, ablation.density), of_key, names)
    rows, drawn_phases = list(ablation.iterate_rows()), [PHASES[phase] for phase in ablation.comparisons]
    page = render_page(
        "ablation.html.j2",
        ablation=ablation,
        settings=ablation.loaded.ablation,
        config=ablation.comparisons["screen"].first.config,
        phases=PHASES,
        drawn_phases=drawn_phases,
        split=CHOICE_SPLIT,
        names=["base", *names],
        metric=describe_metric(ablation.key, ablation.density),
        decisive={
            phase: {e.variant: build_effect_row(e, ablation.density) for e in each if e.key == ablation.key}
            for phase, each in effects.items()
        },
        changes={name: _describe(settings) for name, settings in ablation.loaded.ablation.changes.items()},
        plots=plots,
        effect_rows={
            phase: build_effect_rows(comparison, effects[phase]) for phase, comparison in ablation.comparisons.items()
        },
        arrows=ARROWS,
        draw_key=draw_key,
        yaml=dump_config(ablation.loaded.ablation),
        views={},
    )
    write_text(folder / PAGE_FILE, page)
    write_text(folder / RECORD_FILE, json.dumps(make_encodable(ablation.to_record()), indent=2, allow_nan=False))
    write_text(folder / EFFECTS_TABLE, format_csv(list(rows[0]), [list(row.values()) for row in rows]))
    write_plot(plots[ablation.key], folder / PICTURE_FILE, drawn_phases)
    return replace(ablation, report_file=folder / PAGE_FILE)


def _describe(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{key} = {format_value(value)}" for key, value in flatten(settings).items())


def _sort_keys(ablation: Ablation, effects: list[Effect]) -> list[str]:
    """Return the metrics of the effects of which one direction is better, the one that decides first."""
    keys = {effect.key for effect in effects if describe_metric(effect.key).better is not None}
    return [ablation.key, *(key for key in sort_metrics(keys) if key != ablation.key)]
