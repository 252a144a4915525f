"""Sliders of the page."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio as gr


def make_slider(low: float, high: float, value: float, **settings: Any) -> "gr.Slider":
    """Make a slider whose number can be typed: one outside its ends is cut to them, an empty one is the first value.

    gradio's own slider refuses both. The browser cuts a number when its field is left, but gradio drops that event
    while the answer to the refused one is under way.

    Args:
        low: One end.
        high: The other end.
        value: Its number at first.
        settings: Further arguments of `gradio.Slider`.
    """
    import gradio as gr

    def cut(number: float | None) -> float:
        return value if number is None else min(max(number, low), high)

    slider = gr.Slider(low, high, value=value, buttons=[], **settings)
    # Of a subclass, gradio would write a file of types into this folder.
    slider.preprocess = cut  # type: ignore[assignment, method-assign]
    return slider
