"""Sliders of the page."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio as gr


def make_slider(low: float, high: float, value: float, **settings: Any) -> "gr.Slider":
    """Make a slider whose number can be typed: one outside its ends is cut to them, and an empty one counts as 0.

    The browser does the same, but only when the field is left; before, gradio's own slider refuses the number, and
    it drops the browser's event while the answer to the refused one is under way.

    Args:
        low: One end.
        high: The other end.
        value: Its number at first.
        settings: Further arguments of `gradio.Slider`.
    """
    import gradio as gr

    def cut(number: float | None) -> float:
        return min(max(number or 0, low), high)

    slider = gr.Slider(low, high, value=value, buttons=[], **settings)
    # Of a subclass, gradio would write a file of types into this folder.
    slider.preprocess = cut  # type: ignore[assignment, method-assign]
    return slider
