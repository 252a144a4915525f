"""`vaegan explore` as a user meets it: a page of two runs in a real Chromium."""

import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from vaegan import load
from vaegan.applications.attributes import load_attribute
from vaegan.data import open_data
from vaegan.explorer.explored_run import explore_run
from vaegan.explorer.pictures import show_grids, show_images
from vaegan.explorer.view import Direction, Place, View
from vaegan.storage.loading import load_class_names, load_decoding

from ..browser import CHROMIUM, LOOPBACK_ALONE, Page, new_page
from ..tiny import tiny
from .explored_runs import STEPS, serve_runs, write_runs

gradio = pytest.importorskip("gradio")

SIDE = 8
PICTURE = "document.querySelector('#{} img')?.src"
LINE = "document.querySelector('#line')?.textContent.trim()"
ARROW_RIGHT = ("ArrowRight", 39)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("explore"))


@pytest.fixture(scope="module")
def view(folder: Path) -> View:
    """What the page shows, computed in this process."""
    runs = []
    for name in ("one", "two"):
        path = folder / name
        images = open_data(tiny("vae", *STEPS).data).train
        runs.append(explore_run(name, load(path), load_decoding(path), images, 12, load_class_names(path)))
    return View(tuple(runs), (Direction(load_attribute(folder / "three.safetensors"), 0),))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[str, Any]]:
    """The address of the page, and the process that serves it."""
    with serve_runs(folder) as served:
        yield served


@pytest.fixture(scope="module")
def shown(server: tuple[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with new_page(tmp_path_factory.mktemp("profile"), LOOPBACK_ALONE) as page:
        page.open(server[0] + "/")
        yield page


@pytest.fixture
def page(shown: Page, server: tuple[str, Any]) -> Iterator[Page]:
    """The page as it is at first; it reports no problem, and every request goes to this machine."""
    shown.show(1200, "light")
    shown.reload()
    shown.wait_for("!!document.querySelector('#axis-0 input[type=range]') && !!document.querySelector('#picture img')")
    shown.wait_for(LINE)
    yield shown
    shown.wait_for_answers("/queue/")  # the next reload would break them off
    assert [event for event in shown.list_problems() if not is_harmless(event)] == []
    addresses = {url.partition(":")[0] if url.startswith(("data:", "blob:")) else url for url in shown.list_requests()}
    assert all(url in ("data", "blob") or url.startswith(server[0] + "/") for url in addresses), addresses


def is_harmless(event: dict[str, Any]) -> bool:
    """Return whether an event is that a reload ended the stream of answers, or a warning of gradio after an upload."""
    parameters = event["params"]
    warns = parameters.get("type") == "warning" and parameters["args"][0].get("value") == "Method not implemented."
    return bool(parameters.get("canceled")) or warns


def list_sources(html: str) -> list[str]:
    return re.findall(r'src="([^"]+)"', html)


def wait_for_picture(page: Page, images: list[torch.Tensor], selector: str = "picture") -> None:
    """Wait until the page shows images, to the bit."""
    expected = list_sources(show_images(images, ["one", "two"]))
    page.wait_for(f"JSON.stringify({list_shown(selector)}) === JSON.stringify({expected})")


def list_shown(selector: str) -> str:
    return f"[...document.querySelectorAll('#{selector} img')].map(image => image.src)"


def read_coordinate(page: Page, axis: int) -> float:
    return float(page.evaluate(f"document.querySelector('#axis-{axis} input[type=number]').value"))


def test_a_dragged_dimension_and_the_arrow_keys_move_both_runs(page: Page, view: View) -> None:
    start = view.go_to_start(shared=True)
    wait_for_picture(page, view.decode(start, [0.0], 0))
    assert read_coordinate(page, 0) == pytest.approx(view.measure(start)[0], abs=1e-3)
    left, top, right, bottom = page.find("#axis-0 input[type=range]")
    middle = (top + bottom) / 2
    page.drag(((left + right) / 2, middle), ((left + right) / 2 + 20, middle), (right - 20, middle))
    page.wait_for("document.querySelector('#axis-0 input[type=number]').value > 2")
    moved = view.move(start, 0, read_coordinate(page, 0))
    wait_for_picture(page, view.decode(moved, [0.0], 0))
    page.evaluate("document.querySelector('#axis-1 input[type=range]').focus()")
    before = read_coordinate(page, 1)
    page.press(*ARROW_RIGHT)
    assert read_coordinate(page, 1) != before
    moved = view.move(moved, 1, read_coordinate(page, 1))
    wait_for_picture(page, view.decode(moved, [0.0], 0))
    page.click("#restart")
    wait_for_picture(page, view.decode(start, [0.0], 0))
    assert read_coordinate(page, 0) == pytest.approx(view.measure(start)[0], abs=1e-3)
    assert page.evaluate("document.querySelectorAll('#axis-0 button, #direction-0 button').length") == 0


def drop_image(page: Page, view: View, folder: Path, shared: bool = True) -> Place:
    page.drop("#drop", folder / "image.png")
    place = view.go_to_image(folder / "image.png", shared, 0)
    wait_for_picture(page, view.decode(place, [0.0], 0))
    return place


def test_a_dropped_image_is_encoded_edited_and_walked_from(page: Page, view: View, folder: Path) -> None:
    place = drop_image(page, view, folder)
    page.click("#tab-directions-button")
    page.wait_for("!!document.querySelector('#direction-0 input[type=range]')")
    left, top, right, bottom = page.find("#direction-0 input[type=range]")
    page.drag(((left + right) / 2, (top + bottom) / 2), (right - 30, (top + bottom) / 2))
    page.wait_for("document.querySelector('#direction-0 input[type=number]').value > 1")
    strength = float(page.evaluate("document.querySelector('#direction-0 input[type=number]').value"))
    wait_for_picture(page, view.decode(place, [strength], 0))
    page.click("#tab-walk-button")
    page.drop("#goal", folder / "other.png")
    expected = list_sources(show_grids(view.walk(place, folder / "other.png", [strength], 0), ["one", "two"], 9))
    page.wait_for(f"JSON.stringify({list_shown('walk')}) === JSON.stringify({expected})")
    page.click("#mode label:nth-of-type(2)")
    wait_for_picture(page, view.decode(view.go_to_image(folder / "image.png", False, 0), [strength], 0))


def test_a_painted_hole_is_filled(page: Page, view: View, folder: Path) -> None:
    place = drop_image(page, view, folder)
    page.click("#tab-complete-button")
    page.wait_for("document.querySelector('#painting canvas').width == 8")
    left, top, right, _ = page.find("#painting canvas")
    unit = (right - left) / SIDE
    page.evaluate("document.querySelector('.brush').value = 0")
    page.drag((left + 2.5 * unit, top + 3.5 * unit), (left + 5.5 * unit, top + 3.5 * unit))
    page.evaluate("document.querySelector('#painting canvas').focus()")
    page.press(*ARROW_RIGHT)
    page.press(" ", 32, " ")
    holes = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    holes[3, 2:6] = holes[0, 1] = True
    page.click("#complete")
    completed = view.complete(place, holes, 0, answers=1, seed=0, steps=100)
    expected = list_sources(show_grids(completed, ["one", "two"], 1))
    page.wait_for(f"JSON.stringify({list_shown('completed')}) === JSON.stringify({expected})")


def test_fingers_move_a_slider_and_paint_on_a_phone(page: Page, view: View, folder: Path) -> None:
    page.show(360, "dark")
    page.reload()
    page.wait_for("innerWidth == 360 && !!document.querySelector('#axis-0 input[type=range]')")
    page.wait_for(LINE)
    place = drop_image(page, view, folder)
    left, top, right, bottom = page.find("#axis-0 input[type=range]")
    middle = (top + bottom) / 2
    page.touch(((left + right) / 2, middle), ((left + right) / 2 + 20, middle), (right - 20, middle))
    page.wait_for("document.querySelector('#axis-0 input[type=number]').value > 2")
    wait_for_picture(page, view.decode(view.move(place, 0, read_coordinate(page, 0)), [0.0], 0))
    page.click("#tab-complete-button")
    left, top, right, _ = page.find("#painting canvas")
    unit = (right - left) / SIDE
    page.evaluate("document.querySelector('.brush').value = 0")
    page.touch((left + 1.5 * unit, top + 2.5 * unit), (left + 5.5 * unit, top + 2.5 * unit))
    painted = page.evaluate("""(pixels => Array.from({length: 64}, (_, index) =>
      pixels.slice(4 * index, 4 * index + 3).join() == "225,40,160"
    ))(document.querySelector('#painting canvas').getContext("2d").getImageData(0, 0, 8, 8).data)""")
    assert [index for index, is_painted in enumerate(painted) if is_painted] == [2 * SIDE + x for x in range(1, 6)]


def test_samples_are_those_of_their_seed_and_class(page: Page, view: View) -> None:
    page.click("#tab-samples-button")
    page.wait_for("!!document.querySelector('#seed input')")
    page.click("#seed input")
    page.call("Input.insertText", text="1")
    page.click("#draw")
    seed = int(page.evaluate("document.querySelector('#seed input').value"))
    assert seed > 0
    expected = list_sources(show_grids(view.draw_samples(seed, True, 0), ["one", "two"], 4))
    page.wait_for(f"JSON.stringify({list_shown('samples')}) === JSON.stringify({expected})")
    page.click("#take")
    place = view.go_to_sample(seed, 0, True, 0)
    wait_for_picture(page, view.decode(place, [0.0], 0))
    page.click("#class input")
    page.wait_for("document.querySelectorAll('[role=option]').length == 10")
    while not page.evaluate(
        "[...document.querySelectorAll('[role=option].active')].some(e => !/0/.test(e.textContent))"
    ):
        page.press("ArrowDown", 40)
    page.press("Enter", 13, "\r")
    label = int(page.wait_for("(value => value != '0' && value)(document.querySelector('#class input').value)"))
    wait_for_picture(page, view.decode(place, [0.0], label))


def type_number(page: Page, selector: str, number: str) -> None:
    """Type a number, without leaving its field."""
    page.click(selector)
    page.evaluate("document.activeElement.select()")
    page.call("Input.insertText", text=number) if number else page.press("Backspace", 8)


@pytest.mark.parametrize(("typed", "coordinate"), [("99", 4.0), ("", 0.0)])
def test_a_typed_number_is_cut_to_the_ends(page: Page, view: View, typed: str, coordinate: float) -> None:
    field, start = "#axis-0 input[type=number]", view.go_to_start(shared=True)
    type_number(page, field, typed)
    wait_for_picture(page, view.decode(view.move(start, 0, coordinate), [0.0], 0))
    page.press("Tab", 9)
    page.wait_for(f"document.querySelector('{field}').value == '{coordinate:g}'")
    type_number(page, field, "-1")
    wait_for_picture(page, view.decode(view.move(start, 0, -1.0), [0.0], 0))


def test_a_negative_seed_is_refused(page: Page, view: View, folder: Path) -> None:
    page.click("#tab-samples-button")
    type_number(page, "#seed input", "-1")
    page.press("Tab", 9)
    page.click("#draw")
    page.wait_for(f"{LINE} == 'seed: give a whole number from 0 to 9,007,199,254,740,991'")
    drop_image(page, view, folder)


def test_one_image_is_dropped_after_another(page: Page, view: View, folder: Path) -> None:
    drop_image(page, view, folder)
    page.drop("#drop", folder / "other.png")
    place = view.go_to_image(folder / "other.png", True, 0)
    wait_for_picture(page, view.decode(place, [0.0], 0))
    page.click("#tab-walk-button")
    for name in ("image.png", "other.png"):
        page.drop("#goal", folder / name)
        expected = list_sources(show_grids(view.walk(place, folder / name, [0.0], 0), ["one", "two"], 9))
        page.wait_for(f"JSON.stringify({list_shown('walk')}) === JSON.stringify({expected})")


def test_a_file_that_is_no_image_gets_a_line(page: Page, view: View, folder: Path) -> None:
    page.drop("#drop", folder / "words.png")
    line = page.wait_for(f"{LINE}.startsWith('words.png: ') && {LINE}")
    assert "\n" not in line and "Error" not in line and "/" not in line
    wait_for_picture(page, view.decode(view.go_to_start(shared=True), [0.0], 0))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(page: Page, scheme: str) -> None:
    page.show(360, scheme)
    page.reload()
    page.wait_for("innerWidth == 360 && !!document.querySelector('#axis-0 input[type=range]')")
    page.wait_for(LINE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelectorAll('[role=tab]').length") == 5, "none is behind a menu"
    page.find("#axis-3")
    assert page.evaluate("document.querySelector('#picture').getBoundingClientRect().top") >= 0, "it stays in view"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.findall(r"\d+", ground)[0])
    assert red < 60 if scheme == "dark" else red > 230


def test_it_answers_to_no_other_name(server: tuple[str, Any]) -> None:
    request = urllib.request.Request(server[0] + "/", headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)
    with urllib.request.urlopen(server[0] + "/") as answer:
        page = answer.read().decode()
    assert "fonts.googleapis" not in page and '"analytics_enabled":true' not in page


def test_an_interrupt_ends_it_in_one_line(server: tuple[str, Any], folder: Path, page: Page) -> None:
    page.call("Page.navigate", url="about:blank")
    assert not (folder / "outside").exists()
    process = server[1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert (process.returncode, out, err) == (130, "", "vaegan: interrupted\n")
