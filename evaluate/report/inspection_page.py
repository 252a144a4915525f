"""Write an inspection as a page without script and without requests; its pictures and figures lie beside it."""

import json
from pathlib import Path

from vaegan.config import Config
from vaegan.errors import Failure
from vaegan.io import write_text
from vaegan.text import get_reason, make_encodable

from ..inspection import Inspection
from .inspection_plots import plot_densities, plot_information, plot_map, plot_moments
from .plot_files import write_plot
from .plots import draw_key
from .templates import render_page

PAGE_FILE, FIGURES_FILE = "inspection.html", "inspection.json"
"""Names of the page, and of the file of all figures."""


def write_inspection(inspection: Inspection, config: Config, run: Path, folder: Path) -> None:
    """Write `inspection.json`, `inspection.html` and its plots as PNG; each file is replaced as a whole.

    Args:
        inspection: The inspection.
        config: Config of the run.
        run: Folder of the run, for the page's title.
        folder: Folder of the files, which is made.

    Raises:
        Failure: A file cannot be written.
    """
    statistics = inspection.statistics
    plots = {"information": plot_information(statistics)}
    density_names: list[str] = []
    if statistics.kl is not None:
        plots["moments"] = plot_moments(statistics)
        plots["densities"], density_names = plot_densities(inspection.posterior, statistics)
    classes = () if inspection.map_labels is None else inspection.classes
    maps = {each.key: plot_map(each, inspection.map_labels, classes) for each in inspection.maps}
    page = render_page(
        "inspection.html.j2",
        run=run.resolve().name,
        config=config,
        inspection=inspection,
        statistics=statistics,
        size=len(statistics.active),
        plots=plots,
        density_names=density_names,
        maps=maps,
        classes=classes,
        draw_key=draw_key,
        views={},
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / PAGE_FILE, page)
        write_text(folder / FIGURES_FILE, json.dumps(make_encodable(inspection.to_dict()), indent=1) + "\n")
        keys = {"densities": [*density_names, "prior"], **dict.fromkeys(maps, classes)}
        for name, plot in (plots | maps).items():
            write_plot(plot, folder / f"{name}.png", keys.get(name, ()))
    except OSError as error:
        raise Failure(f"--output {folder}: {get_reason(error)}") from None
