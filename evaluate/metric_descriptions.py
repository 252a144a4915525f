"""Descriptions of metrics for tables and reports: name, meaning, better direction, and how a value is written."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["higher", "lower"]
"""Better direction of a metric."""
ARROWS = {"higher": "↑", "lower": "↓", None: ""}
"""Arrow of each better direction."""


@dataclass(frozen=True)
class MetricDescription:
    """The description of one metric."""

    group: str
    """Heading under which tables show it."""
    label: str
    """Name of the metric."""
    meaning: str
    """Explanation for a reader who has not met the metric, in one line."""
    better: Better | None = None
    """Better direction; None: neither."""
    ideal: float | None = None
    """Value of the real images compared with themselves; None: they have none."""
    write: Callable[[float], str] = "{:.3f}".format
    """Function that returns a value as text, with its unit where the label has none."""
    is_set_metric: bool = False
    """True for a metric of sets of images, which has no value for a single one."""

    @property
    def name(self) -> str:
        """The label, and an arrow in the better direction."""
        return f"{self.label} {ARROWS[self.better]}".rstrip()

    def format(self, value: float) -> str:
        """Return a value as text, with a typographic minus sign."""
        return self.write(value).replace("-", "−")


def format_duration(seconds: float) -> str:
    """Return seconds as text in the largest two units, as in `2 h 5 min`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_memory(size: float) -> str:
    """Return bytes as text in MiB or GiB."""
    return f"{size / 2**20:,.0f} MiB" if size < 2**30 else f"{size / 2**30:.2f} GiB"


RECONSTRUCTION, SAMPLE, LIKELIHOOD, CODES, COST = "Reconstructions", "Samples", "Likelihood", "Codes", "Cost"
ANOMALIES, COMPLETION, MEMORISATION = "Anomalies", "Completion of holes", "Memorisation"
AUGMENTATION = "Accuracy of a classifier"

SAMPLE_PREFIXES = ("sample", "discriminator/", "memorisation/", "augmentation/generated", "augmentation/both")
"""Beginnings of the keys of metrics of samples."""

_TWO_DECIMALS, _FOUR_DECIMALS = "{:.2f}".format, "{:.4f}".format

_SPECTRUM = "Distance of the power at each frequency from the real images’, in nats; blur and noise both raise it."
_LAPLACIAN = "Distance of the overall strength of edges from the real images’."
_KURTOSIS = "Distance from the real images’ fraction of clean edges; noise and blur both raise it."
_COHERENCE = "Fraction of the fine detail that is the right one at the right place; noise adds none."
_PSNR = "Closeness pixel by pixel; it favours blur over detail that is slightly out of place."
_SSIM = "Closeness of local structure, at most 1."
_MS_SSIM = "The same at several scales; small images have fewer of them than the paper’s five."
_LPIPS = "Distance in the features of a network trained on photographs."
_UNTRAINED = "Distance in the features of an untrained network, where the trained one’s weights are missing."
_FRECHET = "Distance of the two sets as Gaussians in a network’s features; it falls with the number of images."
_KID = {
    "reconstruction": "Distance of the two sets in a network’s features; a little below 0 for the images themselves.",
    "sample": "Distance of the two sets in a network’s features, whatever the number of images; about 0 for real ones.",
}
_PRECISION = "Fraction that looks like some real image."
_RECALL = "Fraction of the real images that look like one of these."
_DENSITY = "Density of real images around these, relative to that around the real ones; it may exceed 1."
_COVERAGE = "Fraction of the real images that have one of these nearby."
_ELBO = "Lower bound of the log-probability of an image."
_IWAE = "A closer lower bound, from several codes of each image."
_BITS = "Bits for each value of an image if the model were used to compress it."
_RATE = "Cost of an image’s code: the divergence of its posterior from the prior, or the NLL of its entries."
_ECE = "Mean distance, over 19 levels, of how often the true value lies inside its interval from how often it should."
_WIDTH = "Mean width of the interval that is to hold the true value in 90 % of cases, of a range of 2."
_GAP = "Distance of the real images’ codes from the prior."
_PERPLEXITY = "Number of equally frequent entries with the same entropy as those in use."
_USAGE = "Fraction of the entries that some test image uses."
_CONFUSION = "Balanced accuracy of the run’s own discriminator in telling where images come from."
_AUC = "Probability that an image with a defect has a larger score than one without; 0.5 by chance."
_HOLE_LAPLACIAN = "Distance of the strength of edges in the filled hole from that of the same part of the real image."
_NEARER = (
    "Probability that a sample is nearer to a training image than a held-out image is; 0.5 for new images of the same"
    " kind. Blur raises it in pixels."
)
_ACCURACY = "Accuracy on real images of a classifier that has learnt from these."
_COPIES = "Share of the samples that are nearer to a training image than 99 % of the held-out images are."
_SECONDS = "By the clock, without the final evaluation; to be compared where all were trained alike."
_MEMORY = (
    "GPU: the most allocated on it. CPU: the resident memory of the process when a line was logged, with what it held"
    " before."
)
_PARAMETERS = "Those of a discriminator, or of the autoencoder under a prior, included."


def _describe_lpips(network: str, meaning: str = _LPIPS) -> MetricDescription:
    return MetricDescription(RECONSTRUCTION, f"LPIPS ({network})", meaning, "lower", 0.0, _FOUR_DECIMALS)


def _describe_set_metrics(name: str, group: str) -> dict[str, MetricDescription]:
    """Return the metrics in the features of a network; the keys of other networks than the FID's end in their name."""
    return {
        f"{name}/fid": MetricDescription(group, "FID", _FRECHET, "lower", write=_TWO_DECIMALS, is_set_metric=True),
        f"{name}/fd": MetricDescription(group, "Fréchet distance", _FRECHET, "lower", is_set_metric=True),
        f"{name}/kid": MetricDescription(group, "KID", _KID[name], "lower", write="{:.5f}".format, is_set_metric=True),
        f"{name}/precision": MetricDescription(group, "precision", _PRECISION, "higher", is_set_metric=True),
        f"{name}/recall": MetricDescription(group, "recall", _RECALL, "higher", is_set_metric=True),
        f"{name}/density": MetricDescription(group, "density", _DENSITY, "higher", is_set_metric=True),
        f"{name}/coverage": MetricDescription(group, "coverage", _COVERAGE, "higher", is_set_metric=True),
    }


def _describe_planted_anomalies() -> dict[str, MetricDescription]:
    """Return the areas under the ROC curve of planted defects, by the anomaly score."""
    scores = {
        "pixels": "error in pixels", "lpips_alex": "LPIPS, AlexNet", "lpips_random": "LPIPS, random",
        "elbo": "negative ELBO", "elbo_complexity": "negative ELBO less complexity", "realness": "discriminator",
    }  # fmt: skip
    return {
        f"anomaly/auc_{key}": MetricDescription(ANOMALIES, f"ROC-AUC of planted defects ({label})", _AUC, "higher")
        for key, label in scores.items()
    }


def _describe_memorisation() -> dict[str, MetricDescription]:
    """Return the metrics of memorisation; those in the features of a network end in its name."""
    return {
        f"memorisation/{name}{end}": MetricDescription(MEMORISATION, label + space, meaning, None, ideal, write)
        for end, space in (("_in_pixels", " (pixels)"), ("", ""))
        for name, label, meaning, ideal, write in (
            ("nearer", "nearer than held-out images", _NEARER, 0.5, "{:.3f}".format),
            ("copies", "copies", _COPIES, 0.01, "{:.1%}".format),
        )
    }


METRIC_DESCRIPTIONS: dict[str, MetricDescription] = {
    "reconstruction/spectrum_error": MetricDescription(RECONSTRUCTION, "spectrum error", _SPECTRUM, "lower", 0.0),
    "reconstruction/coherence": MetricDescription(RECONSTRUCTION, "coherence", _COHERENCE, "higher", 1.0),
    "reconstruction/laplacian_gap": MetricDescription(RECONSTRUCTION, "Laplacian gap", _LAPLACIAN, "lower", 0.0),
    "reconstruction/kurtosis_gap": MetricDescription(RECONSTRUCTION, "kurtosis gap", _KURTOSIS, "lower", 0.0),
    "reconstruction/psnr": MetricDescription(RECONSTRUCTION, "PSNR, dB", _PSNR, "higher", math.inf, _TWO_DECIMALS),
    "reconstruction/ssim": MetricDescription(RECONSTRUCTION, "SSIM", _SSIM, "higher", 1.0),
    "reconstruction/ms_ssim": MetricDescription(RECONSTRUCTION, "MS-SSIM", _MS_SSIM, "higher", 1.0),
    "reconstruction/lpips_alex": _describe_lpips("AlexNet"),
    "reconstruction/lpips_vgg": _describe_lpips("VGG"),
    "reconstruction/lpips_squeeze": _describe_lpips("SqueezeNet"),
    "reconstruction/lpips_random": _describe_lpips("random", _UNTRAINED),
    **_describe_set_metrics("reconstruction", RECONSTRUCTION),
    "sample/spectrum_error": MetricDescription(SAMPLE, "spectrum error", _SPECTRUM, "lower"),
    "sample/laplacian_gap": MetricDescription(SAMPLE, "Laplacian gap", _LAPLACIAN, "lower"),
    "sample/kurtosis_gap": MetricDescription(SAMPLE, "kurtosis gap", _KURTOSIS, "lower"),
    **_describe_set_metrics("sample", SAMPLE),
    "elbo": MetricDescription(LIKELIHOOD, "ELBO, nats", _ELBO, "higher", None, "{:,.1f}".format),
    "bits_per_dim": MetricDescription(LIKELIHOOD, "bits/dim", _BITS, "lower"),
    "rate": MetricDescription(LIKELIHOOD, "rate, bits per image", _RATE, None, None, "{:,.1f}".format),
    "iwae": MetricDescription(LIKELIHOOD, "importance-weighted bound, nats", _IWAE, "higher", None, "{:,.1f}".format),
    "iwae_bits_per_dim": MetricDescription(LIKELIHOOD, "importance-weighted bits/dim", _BITS, "lower"),
    "calibration/ece": MetricDescription(LIKELIHOOD, "calibration error", _ECE, "lower", None, _FOUR_DECIMALS),
    "calibration/width": MetricDescription(LIKELIHOOD, "width of 90 % intervals", _WIDTH),
    "gap/mmd2": MetricDescription(CODES, "gap to the prior, MMD²", _GAP, "lower", write=_FOUR_DECIMALS),
    "gap/frechet": MetricDescription(CODES, "gap to the prior, Fréchet", _GAP, "lower"),
    "codebook/perplexity": MetricDescription(CODES, "codebook’s perplexity", _PERPLEXITY, None, None, "{:,.1f}".format),
    "codebook/usage": MetricDescription(CODES, "codebook’s usage", _USAGE),
    "discriminator/accuracy": MetricDescription("Discriminator", "accuracy", _CONFUSION),
    **_describe_planted_anomalies(),
    "completion/psnr": MetricDescription(COMPLETION, "PSNR in the hole, dB", _PSNR, "higher", None, _TWO_DECIMALS),
    "completion/laplacian_gap": MetricDescription(COMPLETION, "Laplacian gap in the hole", _HOLE_LAPLACIAN, "lower"),
    "completion/lpips_alex": MetricDescription(
        COMPLETION, "LPIPS (AlexNet) in the hole", _LPIPS, "lower", None, _FOUR_DECIMALS
    ),
    "completion/lpips_random": MetricDescription(
        COMPLETION, "LPIPS (random) in the hole", _UNTRAINED, "lower", None, _FOUR_DECIMALS
    ),
    **_describe_memorisation(),
    "augmentation/real": MetricDescription(AUGMENTATION, "real images", _ACCURACY, None, None, "{:.1%}".format),
    "augmentation/generated": MetricDescription(
        AUGMENTATION, "generated images", _ACCURACY, "higher", None, "{:.1%}".format
    ),
    "augmentation/both": MetricDescription(AUGMENTATION, "both", _ACCURACY, "higher", None, "{:.1%}".format),
    "seconds": MetricDescription(COST, "training time", _SECONDS, "lower", None, format_duration),
    "memory_bytes": MetricDescription(COST, "memory", _MEMORY, None, None, format_memory),
    "parameters": MetricDescription(COST, "parameters", _PARAMETERS, None, None, "{:,.0f}".format),
}
"""Metrics by key, in the order of tables."""


def describe_metric(key: str, density: str | None = None) -> MetricDescription:
    """Return the description of a metric; one that is not described has its key as label.

    Args:
        key: Key of the metric.
        density: Density that samples were drawn from, in words, which is then named with every metric of them; None:
            they were drawn from the prior.
    """
    if (base := strip_network(key)) not in METRIC_DESCRIPTIONS:
        return MetricDescription("Others", key + format_sample_source(key, density), "", None, None, "{:.4g}".format)
    network, metric = key[len(base) + 1 :], METRIC_DESCRIPTIONS[base]
    label, group = f"{metric.label} ({network})" if network else metric.label, metric.group
    if group == SAMPLE:
        return replace(metric, label=label, group=group + format_sample_source(key, density))
    return replace(metric, label=label + format_sample_source(key, density))


def format_sample_source(key: str, density: str | None) -> str:
    """Return the density in brackets if the metric or the images of a key depend on it, else an empty text."""
    return f" ({density})" if density and key.startswith(SAMPLE_PREFIXES) else ""


def sort_metrics(keys: set[str]) -> list[str]:
    """Return the keys of metrics in the order of tables."""
    order = {key: position for position, key in enumerate(METRIC_DESCRIPTIONS)}
    return sorted(keys, key=lambda key: (order.get(strip_network(key), len(order)), key))


def strip_network(key: str) -> str:
    """Return the key of a metric without the name of the network that follows it."""
    if key in METRIC_DESCRIPTIONS:
        return key
    base = key.partition("_")[0]
    metric = METRIC_DESCRIPTIONS.get(base)
    return base if metric is not None and (metric.is_set_metric or metric.group == MEMORISATION) else key
