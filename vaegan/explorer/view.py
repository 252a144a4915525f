"""What a person looks at: a code of each run, where it came from, and what each control of the page makes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from vaegan.applications.attributes import Attribute, Method
from vaegan.errors import UserError
from vaegan.progress import ProgressCallback, ignore_progress

from .explored_run import ExploredRun, shift_along

T = TypeVar("T")

SAMPLES = 16
"""Samples that are drawn at a time."""
WALK_STEPS = 9
"""Images of a walk, both ends among them."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a person is in the space of codes."""

    codes: tuple[Tensor, ...]
    """Code of each run, shape (d,)."""
    shared: bool
    """Whether all runs decode the code of the first."""
    pixels: tuple[Tensor, ...] | None = None
    """The image that the codes came from, as each run takes it, uint8, shape (C, S, S); None: from no image."""
    sample: tuple[int, int] | None = None
    """Seed and index of the sample that they came from; None: from no sample."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A learned direction in the codes of one run."""

    attribute: Attribute
    """The direction and its classes."""
    run: int
    """Number of the run that it was learned from."""

    @property
    def name(self) -> str:
        """The classes that it leads from and to."""
        return f"{self.attribute.header.negative} → {self.attribute.header.positive}"


@dataclass(frozen=True, eq=False)
class View:
    """One run, or two side by side, and the directions along which their codes are moved."""

    runs: tuple[ExploredRun, ...]
    """The runs."""
    directions: tuple[Direction, ...] = ()
    """The directions."""
    method: Method = "mean"
    """The direction of each attribute that is taken."""

    @property
    def can_share(self) -> bool:
        """Whether there are several runs, and their codes are of one shape."""
        return len(self.runs) > 1 and len({run.model.code_shape for run in self.runs}) == 1

    @property
    def classes(self) -> int | None:
        """Number of classes of the conditional runs; None: no run is conditional."""
        return next((run.model.classes for run in self.runs if run.model.classes is not None), None)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, or else its number."""
        names = next((run.class_names for run in self.runs if run.model.classes is not None), ())
        return tuple(names) or tuple(map(str, range(self.classes or 0)))

    def check(self) -> None:
        """Check that the runs can be looked at side by side.

        Raises:
            UserError: Two conditional runs have other classes, or there is a direction for another model.
        """
        conditional = [run for run in self.runs if run.model.classes is not None]
        if len({(run.model.classes, run.class_names) for run in conditional}) > 1:
            names = " and ".join(run.name for run in conditional)
            raise UserError(f"{names}: conditional runs of other classes; explore each by itself")
        for direction in self.directions:
            if self.runs[direction.run].axes is None:
                raise UserError(
                    f"--direction: {self.runs[direction.run].name} has codes of a VQ-VAE, without directions"
                )

    def go_to_start(self, shared: bool) -> Place:
        """Return the place at the typical code of each run."""
        return self._share([run.start for run in self.runs], Place((), shared))

    def go_to_image(self, file: Path, shared: bool, label: int | None = None) -> Place:
        """Return the place at the codes of an image file.

        Raises:
            UserError: It is no image.
        """
        pixels = tuple(run.read(file) for run in self.runs)
        return self._share(self._encode(pixels, label), Place((), shared, pixels))

    def go_to_sample(self, seed: int, index: int, shared: bool, label: int | None = None) -> Place:
        """Return the place at the codes of the sample of an index, which depends on the seed alone.

        Raises:
            UserError: A run has no prior.
        """
        codes = [run.draw_codes(index, index + 1, seed, label)[0] for run in self._get_sources(shared)]
        return self._share(codes, Place((), shared, sample=(seed, index)))

    def share(self, place: Place, shared: bool, label: int | None = None) -> Place:
        """Return a place at which all runs decode the first one's code, or each its own, of the same image or sample.

        The code of the first run stays as it is.
        """
        if place.pixels is not None:
            own = self._encode(place.pixels, label)
        elif place.sample is not None:
            seed, index = place.sample
            own = [run.draw_codes(index, index + 1, seed, label)[0] for run in self.runs]
        else:
            own = [run.start for run in self.runs]
        return self._share([place.codes[0], *own[1:]], replace(place, shared=shared))

    def move(self, place: Place, axis: int, coordinate: float) -> Place:
        """Return the place after a move along an axis of the first run; others move with it if they share its code."""
        axes = self.runs[0].axes
        assert axes is not None
        return self._share([axes.move(place.codes[0], axis, coordinate), *place.codes[1:]], place)

    def measure(self, place: Place) -> list[float]:
        """Return the coordinates of the first run's code along its axes, within the ends that are offered."""
        axes = self.runs[0].axes
        if axes is None:
            return []
        code = axes.measure(place.codes[0]).double().cpu()
        bounded: list[float] = code.clamp(axes.low.double(), axes.high.double()).tolist()
        return bounded

    def decode(self, place: Place, strengths: Sequence[float] = (), label: int | None = None) -> list[Tensor]:
        """Return the image of each run at a place, moved along the directions, uint8, shape (C, S, S)."""
        codes = self._shift(place, strengths)
        return [run.decode(code[None], label)[0] for run, code in zip(self.runs, codes, strict=True)]

    def draw_samples(
        self, seed: int, shared: bool, label: int | None = None, progress: ProgressCallback = ignore_progress
    ) -> list[Tensor]:
        """Draw `SAMPLES` images of each run, uint8, shape (N, C, S, S): those of `vaegan sample`, or of shared codes.

        Raises:
            UserError: A run has no prior.
        """
        codes = [run.draw_codes(0, SAMPLES, seed, label, progress) for run in self._get_sources(shared)]
        return [run.decode(each, label) for run, each in zip(self.runs, self._repeat(codes, shared), strict=True)]

    def walk(self, place: Place, file: Path, strengths: Sequence[float] = (), label: int | None = None) -> list[Tensor]:
        """Draw the walk from what is shown to an image file, of each run, uint8, shape (`WALK_STEPS`, C, S, S).

        Raises:
            UserError: It is no image, or codes are entries of a codebook.
        """
        goal = self.go_to_image(file, place.shared, label)
        ends = zip(self.runs, self._shift(place, strengths), goal.codes, strict=True)
        return [run.decode(run.walk(first, second, WALK_STEPS), label) for run, first, second in ends]

    def complete(
        self, place: Place, holes: Tensor, label: int | None = None, *, answers: int, seed: int, steps: int,
        progress: ProgressCallback = ignore_progress,
    ) -> list[Tensor]:  # fmt: skip
        """Fill the holes of the image of a place, by each run that can, uint8, shape (answers, C, S, S).

        Args:
            place: A place at an image.
            holes: Whether a pixel of the first run's image is missing, bool, shape (S, S).
            label: Class of the image.
            answers: The most probable answer, and draws.
            seed: Root of the noise.
            steps: Steps of the search.
            progress: Called with (steps done, steps in all), of each run in turn.

        Raises:
            UserError: There is no image, or nothing or everything is missing.
        """
        if place.pixels is None:
            raise UserError("no image to complete; drop one first")
        runs = [number for number in self.list_completing() if place.pixels[number].shape[1:] == holes.shape]
        return [
            self.runs[number].complete(
                place.pixels[number], holes, label, answers=answers, seed=seed, steps=steps, progress=progress
            )
            for number in runs
        ]

    def list_completing(self) -> list[int]:
        """Return the numbers of the runs that can complete images of the first one's size."""
        side = self.runs[0].model.image_shape[-1]
        return [n for n, run in enumerate(self.runs) if run.can_complete and run.model.image_shape[-1] == side]

    def _shift(self, place: Place, strengths: Sequence[float]) -> list[Tensor]:
        """Return the code of each run at a place, moved along the directions by their strengths."""
        codes = list(place.codes)
        for number, code in enumerate(codes):
            chosen = [index for index, each in enumerate(self.directions) if place.shared or each.run == number]
            attributes = [self.directions[index].attribute for index in chosen]
            codes[number] = shift_along(code, attributes, [strengths[index] for index in chosen], self.method)
        return codes

    def _encode(self, pixels: Sequence[Tensor], label: int | None) -> list[Tensor]:
        return [run.encode(each, label) for run, each in zip(self.runs, pixels, strict=True)]

    def _get_sources(self, shared: bool) -> tuple[ExploredRun, ...]:
        return self.runs[:1] if shared else self.runs

    def _repeat(self, values: Sequence[T], shared: bool) -> list[T]:
        return [values[0]] * len(self.runs) if shared else list(values)

    def _share(self, codes: Sequence[Tensor], place: Place) -> Place:
        return replace(place, codes=tuple(self._repeat(codes, place.shared)))


def stop_after(seconds: float, get_time: Callable[[], float], progress: ProgressCallback) -> ProgressCallback:
    """Return a callback that calls ``progress``, and ends the work once ``seconds`` are over.

    Args:
        seconds: Longest time of the work.
        get_time: Returns the time in seconds.
        progress: The callback.

    Raises:
        UserError: The callback does, when the time is over.
    """
    start = get_time()

    def update(done: int, total: int) -> None:
        progress(done, total)
        if get_time() - start > seconds:
            raise UserError(f"not done in {seconds:g} seconds; take fewer steps or answers")

    return update
