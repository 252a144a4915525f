"""The results of the command `anomaly`: a table, a CSV file and a contact sheet."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaegan.errors import Failure, UserError
from vaegan.paths import check_file_is_writable
from vaegan.text import get_reason, make_encodable

from .console import Console

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from vaegan.applications.anomaly_scores import Judges
    from vaegan.data import Images
    from vaegan.models import Autoencoder

CALIBRATION_IMAGES = 2000
"""Most held-out images that scores are calibrated on, evenly chosen from their split."""


@dataclass(frozen=True, eq=False)
class AnomalyResults:
    """The scores of images and their p-values, by the names of the scores."""

    names: Mapping[str, str]
    """Name of each score in tables, by its name as an option; the first one sorts and flags."""
    model: "Autoencoder"
    judges: "Judges"
    pixels: "Tensor"
    """The images, uint8, shape (N, C, S, S)."""
    classes: "Tensor | None"
    """Their classes, int64, shape (N,); None: the model's networks take none."""
    scores: "Mapping[str, Tensor]"
    p_values: "Mapping[str, Tensor]"
    thresholds: Mapping[str, float]
    """Score above which an image is flagged."""
    false_alarms: float

    @staticmethod
    def check_rate(false_alarms: float, count: int) -> None:
        """Check that a split has enough images for a rate of false alarms, before anything is computed.

        Raises:
            UserError: It has too few.
        """
        import torch

        from vaegan.applications.anomaly_calibration import fit_conformal_detector

        try:
            fit_conformal_detector(torch.zeros(min(count, CALIBRATION_IMAGES))).compute_threshold(false_alarms)
        except UserError as error:
            raise UserError(f"--false-alarms: {error}; give a larger rate, or name a larger --split") from None

    @classmethod
    def measure(
        cls, names: Mapping[str, str], model: "Autoencoder", judges: "Judges", normal: "Images", pixels: "Tensor",
        classes: "Tensor | None", false_alarms: float, console: Console,
    ) -> "AnomalyResults":  # fmt: skip
        """Score images, calibrated on normal ones.

        Args:
            names: Name of each score in tables, by its name as an option; the first one sorts and flags.
            model: The model.
            judges: What the scores need beside it.
            normal: The split of normal images.
            pixels: The images, uint8, shape (N, C, S, S).
            classes: Their classes, int64, shape (N,); None: the model's networks take none.
            false_alarms: Rate of normal images that may be flagged.
            console: Shows the progress.
        """
        from vaegan.applications.anomaly_calibration import fit_conformal_detector

        held_out = normal.select_evenly(CALIBRATION_IMAGES)
        labels = model.classes if model.networks_take_labels else None

        def read_normal(start: int, stop: int) -> "tuple[Tensor, Tensor | None]":
            return normal[held_out[start:stop]], normal.get_labels(held_out[start:stop], labels)

        def read_images(start: int, stop: int) -> "tuple[Tensor, Tensor | None]":
            return pixels[start:stop], None if classes is None else classes[start:stop]

        normal_scores = _score("Calibrating", names, model, judges, len(held_out), read_normal, console)
        scores = _score("Scoring", names, model, judges, len(pixels), read_images, console)
        calibrations = {name: fit_conformal_detector(normal_scores[name]) for name in names}
        p_values = {name: each.compute_p_values(scores[name]) for name, each in calibrations.items()}
        thresholds = {name: each.compute_threshold(false_alarms) for name, each in calibrations.items()}
        return cls(names, model, judges, pixels, classes, scores, p_values, thresholds, false_alarms)

    @property
    def order(self) -> list[int]:
        """Images by falling score, the first of the scores."""
        first = next(iter(self.scores.values()))
        return first.argsort(descending=True, stable=True).tolist()

    def is_flagged(self, name: str) -> "Tensor":
        """Return which images have a p-value of at most the rate of false alarms, bool, shape (N,)."""
        return self.p_values[name] <= self.false_alarms

    def show(self, anomalous: "Tensor | None", console: Console) -> None:
        """Print a row for each score: its threshold, what it flags, and, where it is known, how well it detects.

        Args:
            anomalous: True for anomalous images, bool, shape (N,); None: it is not known.
            console: Prints them.

        Raises:
            UserError: It is known, and all images are of one kind.
        """
        from vaegan.applications.anomaly_scores import UNITS
        from vaegan.applications.detection import measure_detection

        known = ["found", "false alarms", "ROC-AUC (95 %)", "PR-AUC (95 %)"] if anomalous is not None else ["flagged"]
        rows = []
        for name, scores in self.scores.items():
            flagged = self.is_flagged(name)
            row = [f"{self.names[name]}, {UNITS[name]}" if name in UNITS else self.names[name]]
            row.append(f"{self.thresholds[name]:.5g}")
            if anomalous is None:
                row.append(f"{int(flagged.sum()):,} of {len(flagged):,}")
            else:
                detection = measure_detection(scores, anomalous)
                row += [f"{flagged[kind].double().mean():.1%}" for kind in (anomalous, ~anomalous)]
                row += [str(detection.roc), str(detection.pr)]
            rows.append(row)
        console.table(["score", f"threshold at {self.false_alarms:g}", *known], rows)

    def write_table(self, file: Path, paths: Sequence[Path], anomalous: "Tensor | None", console: Console) -> None:
        """Write a CSV file with a line for each image, the most anomalous first, and print its name.

        Args:
            file: The file.
            paths: File of each image.
            anomalous: True for anomalous images, bool, shape (N,); None: it is not known.
            console: Prints the name.

        Raises:
            Failure: The file cannot be written.
        """
        columns: dict[str, list[Any]] = {"file": [make_encodable(str(path)) for path in paths]}
        for name, shown in self.names.items():
            columns |= {shown: self.scores[name].tolist(), f"{shown}_p": self.p_values[name].tolist()}
        columns["flagged"] = self.is_flagged(next(iter(self.scores))).int().tolist()
        if anomalous is not None:
            columns["anomalous"] = anomalous.int().tolist()
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([values[index] for values in columns.values()] for index in self.order)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            raise Failure(f"{file}: {get_reason(error)}") from None
        console.say(f"{file}: {len(paths):,} image{'s' * (len(paths) != 1)}")

    def draw(self, paths: Sequence[Path], number: int, console: Console) -> "Image":
        """Draw the most anomalous images with their heat maps, by the first score.

        Args:
            paths: File of each image.
            number: Images to draw at most.
            console: Shows the progress.
        """
        import torch

        from vaegan.applications.anomaly_scores import compute_anomaly_maps
        from vaegan.applications.anomaly_sheet import Caption, draw_anomaly_sheet
        from vaegan.workflows.image_files import BATCH_IMAGES

        name, drawn, maps = next(iter(self.scores)), torch.tensor(self.order[:number]), []
        with console.progress("Drawing", "images") as progress:
            for batch in drawn.split(BATCH_IMAGES):
                labels = None if self.classes is None else self.classes[batch]
                maps.append(compute_anomaly_maps(name, self.model, self.pixels[batch], self.judges, labels))
                progress(sum(map(len, maps)), len(drawn))
        captions = [
            Caption(
                paths[index].name, f"{self.scores[name][index]:.4g}, p = {self.p_values[name][index]:.2g}",
                bool(self.is_flagged(name)[index]),
            )
            for index in drawn.tolist()
        ]  # fmt: skip
        return draw_anomaly_sheet(self.pixels[drawn], torch.cat(maps), captions)


def check_table_file(file: Path, inputs: Sequence[Path]) -> None:
    """Check that the CSV file beside a picture can be written, and is none of the files that are read.

    Raises:
        UserError: It is a folder, a pipe or a device, or one of ``inputs``.
        FileFailure: It cannot be written.
    """
    if file.exists() and not file.is_file():
        kind = "a folder" if file.is_dir() else "a pipe or a device"
        raise UserError(f"--output: {file}, the table beside the picture, is {kind}; name another picture")
    for each in inputs:
        if each.exists() and file.exists() and file.samefile(each):
            problem = f"{file}, the table beside the picture, is the file {each} itself, which it would replace"
            raise UserError(f"--output: {problem}; name another picture")
    check_file_is_writable(file)


def _score(
    title: str, names: "Mapping[str, str]", model: "Autoencoder", judges: "Judges", count: int,
    read: "Callable[[int, int], tuple[Tensor, Tensor | None]]", console: Console,
) -> "dict[str, Tensor]":  # fmt: skip
    """Return scores of images, float64, shape (N,), batch by batch."""
    import torch

    from vaegan.applications.anomaly_scores import compute_anomaly_scores
    from vaegan.workflows.image_files import BATCH_IMAGES

    parts: list[dict[str, Tensor]] = []
    with console.progress(title, "images") as progress:
        for start in range(0, count, BATCH_IMAGES):
            stop = min(start + BATCH_IMAGES, count)
            pixels, labels = read(start, stop)
            parts.append(compute_anomaly_scores(list(names), model, pixels, judges, labels))
            progress(stop, count)
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in names}
