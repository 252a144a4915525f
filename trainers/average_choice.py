"""The choice between two averages of the weights by an evaluation on the validation images, and their export."""

import math
from collections.abc import Iterable, Mapping, Sequence

from vaegan.code_scale import CodeScale
from vaegan.config.schema import Config, TrainConfig
from vaegan.errors import UserError
from vaegan.models import Model
from vaegan.storage.run_folder import VALIDATION_PREFIX, Run
from vaegan.text import shorten

from .ema import FIRST_AVERAGE, get_half_lives


def choose_average(config: TrainConfig, measured: Mapping[str, Mapping[str, float]]) -> str:
    """Return the name of the average with the lower `train.ema_metric`, the first one of equal ones.

    Args:
        config: The training loop.
        measured: Metrics of each average by its name.

    Raises:
        UserError: The metric was not measured.
    """
    metric, available = config.ema_metric, measured[FIRST_AVERAGE]
    if metric is None:
        return FIRST_AVERAGE
    if (key := _find_key(metric, available)) is None:
        problem = f"{shorten(metric)} is not measured; there are {', '.join(available)}"
        raise UserError(f"train.ema_metric: {problem}", on_all_ranks=True)
    return _find_lowest({name: metrics[key] for name, metrics in measured.items()})


def name_in_history(measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the metrics of each average by their names in the history; those of the first do not name it."""
    return {
        _get_prefix(average) + name: value for average, metrics in measured.items() for name, value in metrics.items()
    }


def read_choice(config: TrainConfig, lines: Sequence[Mapping[str, float | None]]) -> str:
    """Return the name of the average that the last evaluation in a history has chosen; without one, of the first.

    Args:
        config: The training loop.
        lines: Lines of the history.
    """
    names = get_half_lives(config)
    for line in reversed(lines):
        keys = {name: _find_key(f"{_get_prefix(name)}{config.ema_metric}", line) for name in names}
        values = {name: line[key] for name, key in keys.items() if key is not None}
        if len(values) == len(names):
            return _find_lowest(values)
    return FIRST_AVERAGE


def export_averages(
    run: Run, config: Config, averages: Mapping[str, Model], chosen: str, step: int, class_names: tuple[str, ...],
    code_scales: Mapping[str, CodeScale | None],
) -> None:  # fmt: skip
    """Write the other average, if there is one, beside the run's model, and then the chosen one as the run's model.

    Args:
        run: The run folder.
        config: The run.
        averages: The averages by name.
        chosen: Name of the chosen one.
        step: Number of optimizer steps that they were trained for.
        class_names: Names of the data set's classes.
        code_scales: Scale of the codes of each, by its name; see `Run.export`.
    """
    folders = {name: run.other_model_folder for name in averages if name != chosen} | {chosen: run.model_folder}
    for name, folder in folders.items():
        scale, data = code_scales.get(name), config.data
        run.export(averages[name], step, class_names, config.networks, data.version, data.fit, scale, folder)


def _find_key(metric: str, keys: Iterable[str]) -> str | None:
    """Return the key of a metric, which may end with the name of its network of features; None: it is not there."""
    return next((key for key in keys if key == metric or key.startswith(f"{metric}_")), None)


def _get_prefix(average: str) -> str:
    return VALIDATION_PREFIX if average == FIRST_AVERAGE else f"{VALIDATION_PREFIX}{average}/"


def _find_lowest(values: Mapping[str, float | None]) -> str:
    """Return the name of the lowest value; None and values that are not finite are the highest."""
    return min(values, key=lambda name: math.inf if (value := values[name]) is None or math.isnan(value) else value)
