"""The page of the explorer, made with gradio: what is shown where, and which function each control calls."""

import math
import time
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .answers import answer_in_lines, parse_mask, read_seed
from .axes import CodeAxes
from .pictures import show_grids, show_images, show_line, to_data_uri
from .sliders import make_slider
from .template_files import read_template
from .view import SAMPLES, View, stop_after

if TYPE_CHECKING:
    import gradio as gr

Values: TypeAlias = tuple[Any, ...]
"""Values of the outputs of a control."""

MAX_COMPLETION_SECONDS = 120.0
"""Longest time of a completion."""
MAX_ANSWERS = 8
"""Most answers of a completion."""
DEFAULT_SEARCH_STEPS, MAX_SEARCH_STEPS = 100, 400
"""Steps of the search of a completion, by default and at most."""
MAX_STRENGTH = 3.0
"""Ends of a direction's slider; 1 leads from class to class."""
SAMPLE_COLUMNS = 4
"""Images of each row of the samples."""
SLIDER_STEPS = 160
"""Steps from one end of a slider to the other, each a press of an arrow key."""
UPLOAD_HEIGHT = 150
"""Pixels of a field to drop an image on."""
SAME_CODE, OWN_CODE = "the same code", "the same image or seed"
"""What two runs have in common."""
NO_AXES = "codes are entries of a codebook, which have no order: they are drawn and reconstructed, not moved"
HANDS = "Drop or choose an image: it is encoded. Sliders take the arrow keys."


def build_page(view: View) -> "gr.Blocks":
    """Build the page of a view; nothing is served yet.

    Raises:
        ModuleNotFoundError: gradio is not installed.
    """
    import gradio as gr

    title = "vaegan explore: " + ", ".join(run.name for run in view.runs)
    page: gr.Blocks = gr.Blocks(analytics_enabled=False, title=title)
    with page:
        _Page(view).build()
    return page


def count_digits(axes: CodeAxes) -> list[int]:
    """Return the decimals of the slider of each axis, by which its step is known to two digits."""
    steps = ((axes.high - axes.low) / SLIDER_STEPS).tolist()
    return [max(0, 1 - math.floor(math.log10(step))) for step in steps]


class _Page:
    """The components of a page; `build` makes them and says what each control does."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.names = [run.name for run in view.runs]
        self.first = view.runs[0]
        self.arrivals: list[tuple[Any, Callable[..., Values], list[Any]]] = []  # until all outputs are built

    def build(self) -> None:
        import gradio as gr

        view = self.view
        gr.HTML(f"<h2>vaegan explore</h2>{self._describe()}")
        start = view.go_to_start(view.can_share)
        self.place = gr.State(start)
        with gr.Row():
            with gr.Column(min_width=260, elem_id="here"):
                images = view.decode(start, [0.0] * len(view.directions), 0)
                self.picture = gr.HTML(show_images(images, self.names), elem_id="picture")
                self.line = gr.HTML(show_line(HANDS), elem_id="line")
                classes = [(name, number) for number, name in enumerate(view.class_names)]
                self.label = gr.Dropdown(
                    classes,
                    value=0 if classes else None,
                    label="Class",
                    visible=bool(classes),
                    elem_id="class",
                    info="An image is encoded under it, so choose it first.",
                )
                self.drop = gr.File(label="Image to encode", type="filepath", elem_id="drop", height=UPLOAD_HEIGHT)
                self.mode = gr.Radio(
                    [SAME_CODE, OWN_CODE] if view.can_share else [OWN_CODE],
                    value=SAME_CODE if view.can_share else OWN_CODE, label="Both runs decode",
                    visible=len(view.runs) > 1, elem_id="mode",
                )  # fmt: skip
            with gr.Column(min_width=260), gr.Tabs():
                self.sliders, self.strengths = self._build_axes(start), list[Any]()
                if view.directions:
                    self.strengths = self._build_directions()
                if all(run.can_draw for run in view.runs):
                    self._build_samples()
                if all(run.axes is not None for run in view.runs):
                    self._build_walk()
                self.painting = self._build_completion() if view.list_completing() else None
        self._connect()

    def _describe(self) -> str:
        """Return the HTML of what the axes of each run are, and of what two runs have in common."""
        lines = [f"{run.name}: {run.axes.kind if run.axes else NO_AXES}" for run in self.view.runs]
        if len(self.view.runs) > 1 and not self.view.can_share:
            lines.append("codes of other shapes: both show the same image or seed, and the sliders move the first run")
        return "".join(f"<p>{escape(line)}</p>" for line in lines)

    def _build_axes(self, start: Any) -> list[Any]:
        import gradio as gr

        axes = self.first.axes
        if axes is None:
            return []
        ends = zip(axes.names, axes.low.tolist(), axes.high.tolist(), strict=True)
        sliders = []
        with gr.Tab("Code", elem_id="tab-code"):
            rows = zip(ends, self._measure(start), count_digits(axes), strict=True)
            for number, ((name, low, high), value, digits) in enumerate(rows):
                step = round((high - low) / SLIDER_STEPS, digits)
                low, high = round(low, digits), round(high, digits)
                sliders.append(make_slider(low, high, value, step=step, label=name, elem_id=f"axis-{number}"))
            restart = gr.Button("Back to the start", elem_id="restart")

        def go_back(mode: str, label: int | None, *strengths: float) -> Values:
            return self._show(self.view.go_to_start(mode == SAME_CODE), strengths, label)

        self.arrivals.append((restart.click, go_back, [self.mode, self.label]))
        return sliders

    def _build_directions(self) -> list[Any]:
        import gradio as gr

        with gr.Tab("Directions", elem_id="tab-directions"):
            return [
                make_slider(
                    -MAX_STRENGTH, MAX_STRENGTH, 0.0, step=0.05, elem_id=f"direction-{number}",
                    label=direction.name + (f" ({self.names[direction.run]})" if len(self.names) > 1 else ""),
                )
                for number, direction in enumerate(self.view.directions)
            ]  # fmt: skip

    def _build_samples(self) -> None:
        import gradio as gr

        with gr.Tab("Samples", elem_id="tab-samples"):
            seed = gr.Number(0, label="Seed", elem_id="seed")
            draw = gr.Button("Draw", variant="primary", elem_id="draw")
            samples = gr.HTML(elem_id="samples")
            index = make_slider(1, SAMPLES, 1, step=1, label="Sample to go on from", elem_id="sample")
            take = gr.Button("Go there", elem_id="take")

        def draw_samples(
            seed: float | None, mode: str, label: int | None, progress: Any = gr.Progress(),  # noqa: B008
        ) -> Values:  # fmt: skip
            drawn = self.view.draw_samples(
                read_seed(seed), mode == SAME_CODE, label, lambda done, total: progress((done, total), desc="Drawing")
            )
            return (show_grids(drawn, self.names, SAMPLE_COLUMNS),)

        def take_sample(seed: float | None, index: float, mode: str, label: int | None, *strengths: float) -> Values:
            return self._show(
                self.view.go_to_sample(read_seed(seed), int(index) - 1, mode == SAME_CODE, label), strengths, label
            )

        self._call(draw.click, draw_samples, [seed, self.mode, self.label], [samples])
        self.arrivals.append((take.click, take_sample, [seed, index, self.mode, self.label]))

    def _build_walk(self) -> None:
        import gradio as gr

        with gr.Tab("Walk", elem_id="tab-walk"):
            goal = gr.File(
                label="Image to walk to, from where you are", type="filepath", elem_id="goal", height=UPLOAD_HEIGHT
            )
            strip = gr.HTML(elem_id="walk")

        def walk(file: str, place: Any, label: int | None, *strengths: float) -> Values:
            images = self.view.walk(place, Path(file), strengths, label)
            return (show_grids(images, self.names, len(images[0])),)

        inputs = [goal, self.place, self.label, *self.strengths]
        _empty_after(self._call(goal.upload, walk, inputs, [strip]), goal)

    def _build_completion(self) -> Any:
        import gradio as gr

        with gr.Tab("Complete", elem_id="tab-complete"):
            painting = gr.HTML(
                {"image": "", "side": 0, "mask": ""}, html_template=read_template("painting.html"),
                js_on_load=read_template("painting.js"), elem_id="painting", apply_default_css=False,
            )  # fmt: skip
            answers = make_slider(1, MAX_ANSWERS, 1, step=1, label="Answers", elem_id="answers")
            steps = make_slider(10, MAX_SEARCH_STEPS, DEFAULT_SEARCH_STEPS, step=10, label="Steps of the search")
            seed = gr.Number(0, label="Seed")
            button = gr.Button("Fill what is painted", variant="primary", elem_id="complete")
            completed = gr.HTML(elem_id="completed")

        def complete(
            place: Any, painted: Any, answers: float, steps: float, seed: float | None, label: int | None,
            progress: Any = gr.Progress(),  # noqa: B008
        ) -> Values:  # fmt: skip
            found = self.view.complete(
                place, parse_mask(painted), label, answers=int(answers), seed=read_seed(seed), steps=int(steps),
                progress=stop_after(
                    MAX_COMPLETION_SECONDS, time.monotonic,
                    lambda done, total: progress((done, total), desc="Searching codes"),
                ),
            )  # fmt: skip
            names = [self.names[number] for number in self.view.list_completing()]
            return (show_grids(found, names, int(answers)),)

        self._call(button.click, complete, [self.place, painting, answers, steps, seed, self.label], [completed])
        return painting

    def _connect(self) -> None:
        """Let the controls of the code change the place."""
        import gradio as gr

        def drop(file: str, mode: str, label: int | None, *strengths: float) -> Values:
            return self._show(self.view.go_to_image(Path(file), mode == SAME_CODE, label), strengths, label)

        def share(place: Any, mode: str, label: int | None, *strengths: float) -> Values:
            return self._show(self.view.share(place, mode == SAME_CODE, label), strengths, label)

        _empty_after(self._arrive(self.drop.upload, drop, [self.drop, self.mode, self.label]), self.drop)
        self._arrive(self.mode.input, share, [self.place, self.mode, self.label])
        for arrival in self.arrivals:
            self._arrive(*arrival)

        def move(axis: int, coordinate: float, place: Any, label: int | None, *strengths: float) -> Values:
            if coordinate != self._measure(place)[axis]:  # a slider that is touched where it stands moves nothing
                place = self.view.move(place, axis, coordinate)
            return place, self._draw(place, strengths, label)

        def redraw(place: Any, label: int | None, *strengths: float) -> Values:
            return (self._draw(place, strengths, label),)

        for axis, slider in enumerate(self.sliders):
            inputs = [slider, self.place, self.label, *self.strengths]
            # A number is cut to the slider's ends at its release.
            moved = partial(gr.on, [slider.input, slider.release])
            self._call(moved, partial(move, axis), inputs, [self.place, self.picture], is_fast=True)
        events: list[Any] = [partial(gr.on, [each.input, each.release]) for each in self.strengths]
        for event in (*events, self.label.input):
            inputs = [self.place, self.label, *self.strengths]
            self._call(event, redraw, inputs, [self.picture], is_fast=True)

    def _draw(self, place: Any, strengths: tuple[float, ...], label: int | None) -> str:
        return show_images(self.view.decode(place, strengths, label), self.names)

    def _measure(self, place: Any) -> list[float]:
        """Return the values of the sliders at a place; they are read, and the code is not made of them."""
        digits = [] if self.first.axes is None else count_digits(self.first.axes)
        return [round(*each) for each in zip(self.view.measure(place), digits, strict=True)]

    def _show(self, place: Any, strengths: tuple[float, ...], label: int | None) -> Values:
        """Return the values of all that shows a place: itself, its picture, the sliders and the painting."""
        values: list[Any] = [place, self._draw(place, strengths, label), *self._measure(place)]
        if self.painting is not None:
            pixels = None if place.pixels is None else place.pixels[0]
            image, side = ("", 0) if pixels is None else (to_data_uri(pixels), pixels.shape[-1])
            values.append({"image": image, "side": side, "mask": ""})
        return tuple(values)

    def _arrive(self, event: Any, function: Callable[..., Values], inputs: list[Any]) -> Any:
        """Let an event lead to another place, by a function that takes the strengths last, and return the listener."""
        outputs = [self.place, self.picture, *self.sliders, *([] if self.painting is None else [self.painting])]
        return self._call(event, function, [*inputs, *self.strengths], outputs)

    def _call(
        self, event: Any, function: Callable[..., Values], inputs: list[Any], outputs: list[Any],
        is_fast: bool = False,
    ) -> Any:  # fmt: skip
        """Let an event call a function, and return the listener; one that is fast leaves out what is overtaken."""
        return event(
            answer_in_lines(function, len(outputs)), inputs, [*outputs, self.line], api_visibility="private",
            show_progress="hidden" if is_fast else "full", trigger_mode="always_last" if is_fast else "once",
        )  # fmt: skip


def _empty_after(listener: Any, file: "gr.File") -> None:
    """Let a field for files take another one after a listener has read the first; one that is full takes none."""
    listener.then(None, None, [file], js="() => null", api_visibility="private", show_progress="hidden")
