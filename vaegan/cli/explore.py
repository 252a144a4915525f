"""The command `vaegan explore`: a page on which a person moves through the codes of a run, or of two."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.workflows.destinations import check_regular_file
from vaegan.workflows.trained_model import check_output_of_run, fit_density, open_images_of_run

from .console import Console
from .options import (
    DATA_ROOT_OPTION,
    DENSITY_OPTION,
    FOLDER,
    OTHER_DATA_OPTION,
    PATH,
    Integer,
)

if TYPE_CHECKING:
    from vaegan.applications.attributes import Method
    from vaegan.data import Images
    from vaegan.explorer.explored_run import ExploredRun
    from vaegan.explorer.view import Direction, View

MAX_RUNS = 2
"""Most runs side by side."""
DEFAULT_PORT = 7860
"""Port of the page, that of gradio."""


def _check_page(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check that a page can be written at ``path``, and return the path.

    Raises:
        UserError: The name does not end in .html, or is that of something else than a file.
    """
    if path is not None:
        if path.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"--export {path}: not a page; let it end in .html")
        check_regular_file(path, "--export")
    return path


@click.command(short_help="Move through the codes of a run in a browser.")
@click.argument("runs", metavar="RUN [RUN2]", nargs=-1, required=True, type=FOLDER)
@click.option("--dimensions", type=Integer(1, 64), default=12, show_default=True, help="Largest number of sliders.")
@click.option(
    "--direction", "directions", metavar="FILE", multiple=True, type=PATH,
    help="File of `vaegan attribute`, which becomes a slider; repeatable.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["mean", "logistic"]), default="mean", show_default=True,
    help="The direction: difference of the means, or that of logistic regression.",
)  # fmt: skip
@DENSITY_OPTION
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=Integer(0, 65535), default=DEFAULT_PORT, show_default=True, help="Port; 0: any that is free."
)
@click.option(
    "--export", "output", type=PATH, metavar="PAGE.html", callback=_check_page,
    help="Write a page that holds the model itself and needs no server, for small models; serve nothing.",
)  # fmt: skip
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@click.pass_context
def explore(
    context: click.Context, runs: tuple[Path, ...], dimensions: int, directions: tuple[Path, ...], method: "Method",
    density: str | None, host: str, port: int, output: Path | None, data_root: Path | None, allow_other_data: bool,
) -> None:  # fmt: skip
    """Serve a page on which a person moves through the codes of RUN, or of RUN and RUN2 side by side.

    The page has sliders for the dimensions, in the order of their KL divergence. Drop an image on it, move it along
    learned directions, walk to another one, complete what is painted over, draw samples. Only this machine can open the
    page unless --host is given. Ctrl-C ends it.
    """
    console = Console()
    if len(runs) > MAX_RUNS:
        raise UserError(f"{len(runs)} runs: the page holds at most {MAX_RUNS}; name fewer")
    if data_root is not None and len(runs) > 1:
        raise UserError("--data-root: of one run; let RUN and RUN2 remember theirs one by one")
    if output is not None:
        _check_export(context, runs)
        _export(runs[0], dimensions, output, data_root, allow_other_data, console)
        return
    check_packages(["gradio"])
    _serve(_open_view(runs, dimensions, directions, method, density, data_root, allow_other_data, console), host, port)


def _check_export(context: click.Context, runs: Sequence[Path]) -> None:
    """Check that an exported page can have everything that the command names.

    Raises:
        UserError: There are two runs, or options of the page that is served.
    """
    if len(runs) > 1:
        raise UserError("--export: a page of one run; leave RUN2 out")
    for name in ("directions", "method", "density", "host", "port"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = next(each.opts[0] for each in context.command.params if each.name == name)
            raise UserError(f"{option}: of the page that is served; leave it out with --export")


def _export(
    run: Path, dimensions: int, output: Path, data_root: Path | None, allow_other_data: bool, console: Console
) -> None:
    from vaegan.explorer.exported_page import TRIED_CODES, build_exported_page
    from vaegan.io import write_text

    check_output_of_run(run, output, data_root=data_root)
    explored, images = _explore(run, dimensions, None, data_root, allow_other_data, console)
    tried = images.select_evenly(TRIED_CODES)
    classes = explored.model.classes if explored.model.networks_take_labels else None
    page = build_exported_page(explored, images[tried], images.get_labels(tried, classes))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, page)
    console.say(f"{output}: {output.stat().st_size / 1e6:.2f} MB; open it in a browser, no server is needed")


def _serve(view: "View", host: str, port: int) -> None:
    from vaegan.explorer.serving import (
        LOOPBACK_NAMES,
        build_app,
        keep_gradio_quiet,
        make_upload_folder,
        open_socket,
        serve,
    )

    console, listener = Console(), open_socket(host, port)
    with listener, make_upload_folder() as folder:
        keep_gradio_quiet(folder)
        from vaegan.explorer.page import build_page

        is_local = host in LOOPBACK_NAMES
        app = build_app(build_page(view), LOOPBACK_NAMES if is_local else None)
        if not is_local:
            console.note(f"--host {host}: whoever can reach this machine can open the page, without a password")
        name = f"[{host}]" if ":" in host else host
        console.say(f"http://{name}:{listener.getsockname()[1]}: open it in a browser; Ctrl-C ends it")
        serve(app, listener)


def _open_view(
    paths: Sequence[Path], dimensions: int, directions: Sequence[Path], method: "Method", density: str | None,
    data_root: Path | None, allow_other_data: bool, console: Console,
) -> "View":  # fmt: skip
    from vaegan.explorer.view import View

    found = _load_directions(paths, directions)
    runs = [_explore(path, dimensions, density, data_root, allow_other_data, console)[0] for path in paths]
    if len({run.name for run in runs}) < len(runs):
        runs = [replace(run, name=str(path)) for run, path in zip(runs, paths, strict=True)]
    view = View(tuple(runs), tuple(found), method)
    view.check()
    return view


def _explore(
    path: Path, dimensions: int, density: str | None, data_root: Path | None, allow_other_data: bool, console: Console
) -> "tuple[ExploredRun, Images]":
    """Load a run, encode its training images, fit the density if one is named; return the run and these images."""
    from vaegan.evaluate.run_evaluation import check_classes
    from vaegan.explorer.explored_run import explore_run
    from vaegan.storage.loading import load, load_class_names, load_decoding
    from vaegan.storage.run_folder import Run
    from vaegan.workflows.runs import load_run_model
    from vaegan.workflows.trained_model import choose_density

    if density is not None:
        choose_density(path, density)
    model = load_run_model(path, load, console)
    data, _ = open_images_of_run(path, "train", console, data_root, allow_other_data)
    check_classes(Run(path), model, data)
    fitted = None
    if density is not None:
        fitted = fit_density(choose_density(path, density), model, data.train, console)
    elif model.has_prior and (problem := model.describe_weak_prior()):
        console.note(f"{path}: {problem}")
    name, classes = path.name or str(path.resolve()), load_class_names(path)
    with console.progress("Encoding", "images") as progress:
        run = explore_run(name, model, load_decoding(path), data.train, dimensions, classes, fitted, progress)
    return run, data.train


def _load_directions(paths: Sequence[Path], directions: Sequence[Path]) -> list["Direction"]:
    """Load files of directions, each for the run whose model it was learned from.

    Raises:
        UserError: A file is none of directions, or of the codes of another model.
    """
    from vaegan.applications.attributes import load_attribute
    from vaegan.explorer.view import Direction
    from vaegan.storage.loading import load_weights_hash

    hashes, found = [load_weights_hash(path) for path in paths], []
    for file in directions:
        number = next((n for n, each in enumerate(hashes) if load_attribute(file).header.weights == each), 0)
        found.append(Direction(load_attribute(file, hashes[number]), number))
    return found
