"""What each figure means, which way is better, and how it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]
ARROWS = {"higher": "↑", "lower": "↓", None: ""}


@dataclass(frozen=True)
class Figure:
    """How one figure is shown."""

    group: str
    """What is measured."""
    label: str
    """Its name."""
    meaning: str
    """One line for a reader who has not met it."""
    better: Better | None = None
    """Which way is better; None: neither."""
    ideal: float | None = None
    """What the real images score when they are compared with themselves; None: they have no score."""
    write: Callable[[float], str] = "{:.3f}".format
    """A value as text, with its unit where the label has none."""

    @property
    def name(self) -> str:
        """The label, and an arrow in the better direction."""
        return f"{self.label} {ARROWS[self.better]}".rstrip()


def duration(seconds: float) -> str:
    """Seconds in the largest units that leave two of them: `2 h 5 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def memory(size: float) -> str:
    """Bytes in MiB or GiB."""
    return f"{size / 2**20:,.0f} MiB" if size < 2**30 else f"{size / 2**30:.2f} GiB"


RECONSTRUCTION, SAMPLE, LIKELIHOOD, PRICE = "Reconstructions", "Samples", "Likelihood", "Price"

_SPECTRUM = "Distance of the power at each frequency from the real images’, in nats; blur and noise both raise it."
_LAPLACIAN = "Distance of the overall strength of edges from the real images’."
_KURTOSIS = "Distance from the real images’ share of clean edges; noise and blur both raise it."
_COHERENCE = "Share of the fine detail that is the right one at the right place; noise adds none."
_PSNR = "Closeness pixel by pixel; it favours blur over detail that is slightly out of place."
_LPIPS = "Distance in the features of a network trained on photographs."
_UNTRAINED = "Distance in the features of an untrained network, where the trained one’s weights are missing."
_ELBO = "Lower bound of the log-probability of an image."
_BITS = "Bits for each value of an image if the model were used to compress it."
_MEMORY = (
    "GPU: the most allocated on it. CPU: the resident memory of the process, which trained the variants in turn,"
    " when a line was logged."
)
_PARAMETERS = "Trained numbers, those of a discriminator included."

FIGURES: dict[str, Figure] = {
    "reconstruction/spectrum_error": Figure(RECONSTRUCTION, "spectrum error", _SPECTRUM, "lower", 0.0),
    "reconstruction/coherence": Figure(RECONSTRUCTION, "coherence", _COHERENCE, "higher", 1.0),
    "reconstruction/laplacian_gap": Figure(RECONSTRUCTION, "Laplacian gap", _LAPLACIAN, "lower", 0.0),
    "reconstruction/kurtosis_gap": Figure(RECONSTRUCTION, "kurtosis gap", _KURTOSIS, "lower", 0.0),
    "reconstruction/psnr": Figure(RECONSTRUCTION, "PSNR, dB", _PSNR, "higher", float("inf"), "{:.2f}".format),
    "reconstruction/ssim": Figure(RECONSTRUCTION, "SSIM", "Closeness of local structure, at most 1.", "higher", 1.0),
    "reconstruction/lpips_alex": Figure(RECONSTRUCTION, "LPIPS (AlexNet)", _LPIPS, "lower", 0.0, "{:.4f}".format),
    "reconstruction/lpips_random": Figure(RECONSTRUCTION, "LPIPS (random)", _UNTRAINED, "lower", 0.0, "{:.4f}".format),
    "sample/spectrum_error": Figure(SAMPLE, "spectrum error", _SPECTRUM, "lower"),
    "sample/laplacian_gap": Figure(SAMPLE, "Laplacian gap", _LAPLACIAN, "lower"),
    "sample/kurtosis_gap": Figure(SAMPLE, "kurtosis gap", _KURTOSIS, "lower"),
    "elbo": Figure(LIKELIHOOD, "ELBO, nats", _ELBO, "higher", None, "{:,.1f}".format),
    "bits_per_dim": Figure(LIKELIHOOD, "bits/dim", _BITS, "lower"),
    "seconds": Figure(PRICE, "training time", "By the clock, without the final evaluation.", "lower", None, duration),
    "memory_bytes": Figure(PRICE, "memory", _MEMORY, None, None, memory),
    "parameters": Figure(PRICE, "parameters", _PARAMETERS, None, None, "{:,.0f}".format),
}
"""Every figure, in the order in which tables show them."""


def figure(key: str) -> Figure:
    """The description of a figure; one that is not described is shown under its own name."""
    return FIGURES.get(key) or Figure("Others", key, "", None, None, "{:.4g}".format)


def in_order(keys: set[str]) -> list[str]:
    """Figures as tables show them."""
    return [key for key in FIGURES if key in keys] + sorted(keys - set(FIGURES))
