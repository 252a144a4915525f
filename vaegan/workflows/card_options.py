"""What a model's card needs beside the run's folder: a licence, and the names of metrics for readers."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vaegan.errors import UserError
from vaegan.progress import Reporter
from vaegan.text import shorten

if TYPE_CHECKING:
    from vaegan.exports.card import CardOptions

MAX_LICENSE_CHARACTERS = 64
"""Most characters of the name of a licence."""


def make_card_options(license_name: str | None, reporter: Reporter, hub_name: str | None = None) -> "CardOptions":
    """Return the options of a card whose metrics have the names of evaluations.

    Args:
        license_name: Licence of the weights; None: the card has none.
        reporter: Shows notes.
        hub_name: ``hf://owner/name`` of a model on the Hub; None: its name is that of the run's folder.

    Raises:
        UserError: The licence is no name, or the name is not one of the Hub.
    """
    from vaegan.evaluate.metric_descriptions import describe_metric, sort_metrics
    from vaegan.exports.card import CardOptions
    from vaegan.storage.hub import parse_hub_name

    if license_name is not None and not re.fullmatch(rf"[\w.+-]{{1,{MAX_LICENSE_CHARACTERS}}}", license_name):
        raise UserError(f"--license {shorten(license_name)}: no name of a licence; give one such as apache-2.0")

    def list_metrics(metrics: Mapping[str, float], density: str | None) -> list[tuple[str, str]]:
        described = {key: describe_metric(key, density) for key in sort_metrics({*metrics})}
        return [(f"{each.group}: {each.name}", each.format(metrics[key])) for key, each in described.items()]

    name = None if hub_name is None else parse_hub_name(hub_name).name
    return CardOptions(license_name, list_metrics, reporter.note, name)
