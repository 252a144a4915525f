"""The card of a model: a README.md with the header of the Hugging Face Hub, written from what its run's folder says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vaegan import __version__
from vaegan.config.data import ROOTED_SOURCES
from vaegan.config.models import GANConfig
from vaegan.models import Autoencoder
from vaegan.text import make_printable, to_one_line

from .facts import Facts, hide_paths, read_facts
from .parts import describe_codes

CARD_FILE = "README.md"
"""Name of the file."""
ListMetrics = Callable[[Mapping[str, float], str | None], list[tuple[str, str]]]
"""Returns names of metrics for readers and values as text, of metrics by key and of the density that was sampled."""
METRIC_TYPES = {
    "fid": "fid", "kid": "kid", "psnr": "psnr", "ssim": "ssim", "ms_ssim": "ms_ssim", "lpips_alex": "lpips",
    "lpips_vgg": "lpips", "lpips_squeeze": "lpips",
}  # fmt: skip
"""Names that the Hub has for metrics, by the last part of our keys."""
FAMILIES = {
    "ae": "autoencoder",
    "vae": "variational autoencoder (VAE)",
    "vqvae": "VQ-VAE",
    "pixelcnn": "PixelCNN prior over the codes of a VQ-VAE",
    "flow": "flow-matching prior over the codes of an autoencoder",
    "vaegan": "VAE-GAN",
    "larsen": "VAE/GAN after Larsen et al. 2016",
    "ganvae": "GAN with an encoder behind its generator",
}
"""Families in words."""
MAX_CLASS_LIST_CHARACTERS = 500
"""Most characters of the list of the classes."""
NOT_FOR = """\
- Do not use it to identify, recognise, sort or judge people, or to guess anything about them: neither codes nor scores
  say who somebody is.
- Do not use it to deceive. Generated, reconstructed and changed images are no photographs; say so where they are shown.
- Generated images are no data of people, nor of anything else that exists, and reconstructions are not their originals:
  they are no evidence and no measurement, and no ground for medical, legal or safety decisions.
- A generated image can resemble a training image. Find out before you treat generated images as free of the rights of
  those who made, or are in, the training images.
"""
"""Uses that every card warns of."""


@dataclass(frozen=True)
class CardOptions:
    """What a card needs beside the run's folder."""

    license_name: str | None = None
    """Licence of the weights, as the Hub names it; None: the card has none."""
    list_metrics: ListMetrics = lambda metrics, density: [(key, f"{value:.5g}") for key, value in metrics.items()]
    """Writes metrics."""
    notify: Callable[[str], None] = lambda line: None
    """Called with one line about each file of the run that cannot be read."""
    name: str | None = None
    """Name of the model; None: that of the folder."""


def write_card(path: Path, model: Autoencoder, usage: str, options: CardOptions) -> str:
    """Return the text of the card of a run's model.

    Args:
        path: The run's folder, or the folder of an exported model.
        model: The model.
        usage: How it is loaded, in Markdown.
        options: What else it needs.

    Raises:
        UserError: The config or the description of the run is damaged.
    """
    return format_card(read_facts(path, model, options.notify, options.name), usage, options)


def format_card(facts: Facts, usage: str, options: CardOptions) -> str:
    """Return the text of a card.

    Args:
        facts: What is known of the model.
        usage: How it is loaded, in Markdown.
        options: What else it needs.
    """
    header = yaml.safe_dump(make_header(facts, options.license_name), sort_keys=False, allow_unicode=True)
    sections = [
        f"---\n{header}---",
        f"# {_escape(facts.name)}",
        _describe_model(facts),
        f"## Use\n\n{usage}",
        f"## Data\n\n{_describe_data(facts)}",
        f"## Training\n\n{_describe_training(facts)}",
        f"## Figures\n\n{_describe_figures(facts, options.list_metrics)}",
        f"## What it must not be used for\n\n{NOT_FOR.rstrip()}",
        f"## Limits\n\n{_describe_limits(facts)}",
    ]
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def make_header(facts: Facts, license_name: str | None) -> dict[str, Any]:
    """Return the header of a card as the Hub takes it.

    Args:
        facts: What is known of the model.
        license_name: Licence of the weights; None: the header has none.
    """
    family, classes = facts.description.model.family, facts.model.classes
    generates = facts.model.has_prior and classes is None
    task = "unconditional-image-generation" if generates else "image-feature-extraction"
    tags = ["vaegan", "autoencoder", *["image-generation"] * facts.model.has_prior, family]
    tags += ["conditional"] * (classes is not None)
    header: dict[str, Any] = {"license": license_name} if license_name is not None else {}
    header |= {"library_name": "vaegan", "pipeline_tag": task, "tags": [*dict.fromkeys(tags)]}
    results = [
        {"type": METRIC_TYPES[last], "value": value, "name": key}
        for key, value in facts.metrics.items()
        if (last := key.rpartition("/")[2]) in METRIC_TYPES
    ]
    if results and facts.config is not None:
        name = _name_data(facts)
        dataset = {"type": name, "name": name, "split": str(facts.protocol.get("split", "test"))}
        entry = {"task": {"type": task}, "dataset": dataset, "metrics": results}
        header["model-index"] = [{"name": facts.name, "results": [entry]}]
    return header


def _describe_model(facts: Facts) -> str:
    channels, side, _ = facts.description.image_shape
    kind = FAMILIES[facts.description.model.family]
    article = "An" if kind.startswith("a") else "A"
    conditional = f", by {facts.model.classes} classes" if facts.model.classes is not None else ""
    images = f"images with {channels} x {side} x {side} values in [-1, 1]{conditional}"
    text = f"{article} {kind} of {images}, written by vaegan {__version__}."
    return f"{text} Its code is {describe_codes(facts.model)}."


def _name_data(facts: Facts) -> str:
    assert facts.config is not None
    data = facts.config.data
    root = data.root.name if data.root is not None and data.source in ROOTED_SOURCES else None
    return data.hub or root or data.source


def _describe_data(facts: Facts) -> str:
    if facts.config is None:
        return "Not known: only the model is there, without its run."
    data = facts.config.data
    counts = ", ".join(f"{count:,} {split}" for split, count in facts.splits.items())
    of = facts.protocol.get("of")
    test = f", {of:,} of them in the split {facts.protocol.get('split')}" if isinstance(of, int) else ""
    channels = f"{data.channels} channel{'s' * (data.channels > 1)}"
    rows = {
        "source": f"{data.source}" if _name_data(facts) == data.source else f"{data.source}: {_name_data(facts)}",
        "images": counts or (f"{data.count:,}" if data.count is not None else f"all of the set{test}"),
        "held out": f"validation {data.validation:g}, test {data.test:g} of the images, or the set's official split",
        "size": f"{data.image_size} x {data.image_size}, {channels}, fit: {data.fit}",
        "training images": f"crop: {data.crop}" + (", mirrored at random" if data.horizontal_flip else ""),
    }
    if facts.description.classes:
        rows["classes"] = to_one_line(", ".join(facts.description.classes), MAX_CLASS_LIST_CHARACTERS)
    return _make_table(rows)


def _describe_training(facts: Facts) -> str:
    rows = {"steps": f"{facts.description.step:,}"}
    if (config := facts.config) is not None:
        if config.train.steps != facts.description.step:
            rows["steps"] += f" of {config.train.steps:,}: the training is not finished"
        rows["images seen"] = f"{facts.description.step * config.train.batch_size:,}"
    rows["parameters of the model"] = f"{sum(weight.numel() for weight in facts.model.parameters()):,}"
    if facts.cost:
        rows |= {"seconds": f"{facts.cost['seconds']:,.0f}", "memory": f"{facts.cost['memory_bytes'] / 2**30:.2f} GiB"}
    rows["SHA-256 of the weights"] = facts.description.sha256
    settings = {"model": facts.description.model.model_dump(mode="json")}
    if config is not None:
        settings = config.model_dump(mode="json", include={"seed", "model", "data", "train"})
    text = yaml.safe_dump(hide_paths(settings), sort_keys=False, allow_unicode=True)
    return f"{_make_table(rows)}\n\n{_fold('Its config, without the folders', text)}"


def _describe_figures(facts: Facts, list_metrics: ListMetrics) -> str:
    if not facts.metrics:
        return "Not evaluated: nothing is known of the quality of its images."
    density = str(facts.protocol.get("samples_from")) if facts.protocol.get("density") else None
    rows = list_metrics(facts.metrics, density)
    table = "\n".join(["| metric | value |", "| --- | --- |", *(f"| {_escape(a)} | {_escape(b)} |" for a, b in rows)])
    protocol = yaml.safe_dump(hide_paths(facts.protocol), sort_keys=False, allow_unicode=True)
    return f"{table}\n\n{_fold('Every choice that they depend on', protocol)}"


def _describe_limits(facts: Facts) -> str:
    model, config = facts.model, facts.description.model
    lines = []
    if not model.has_prior:
        lines.append("It has no prior: no image can be sampled from it without a density that is fitted to its codes.")
    if weak := model.describe_weak_prior():
        lines.append(f"{weak[0].upper()}{weak[1:]}.")
    if isinstance(config, GANConfig):
        lines.append("The discriminator is not in it: scores of realness need the run's own folder.")
    lines.append(
        "The training images are not in it: a density fitted to their codes, and whatever compares, needs them."
    )
    lines.append("The optimizer is not in it: the training cannot go on; another one can start from its weights.")
    lines.append("What it makes of other images than those of its set is not measured.")
    return "\n".join(f"- {line}" for line in lines)


def _fold(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n```yaml\n{text}```\n\n</details>"


def _make_table(rows: Mapping[str, str]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {_escape(value)} |" for key, value in rows.items())])


def _escape(text: str) -> str:
    """Return text as a cell of a table, in which nothing is markup."""
    return make_printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
