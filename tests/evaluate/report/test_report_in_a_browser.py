"""The report as a real browser shows it."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from vaegan.evaluate.report.image_sheets import INTERPOLATION_STEPS
from vaegan.evaluate.report.plots import VARIANT_STYLES
from vaegan.evaluate.report.report import COLUMN_IMAGES, SAMPLE_IMAGES

from ...browser import CHROMIUM, Page, new_page
from .reports import HOSTILE, NAMES

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

PHONE, DESK = 360, 1280
KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowRight": (39, ""), " ": (32, " ")}
SHAPE = """JSON.stringify({
  title: document.title,
  scripts: document.scripts.length,
  images: [...document.images].filter(i => i.checkVisibility()).map(i => [i.naturalWidth, i.clientWidth, i.clientHeight]),
  complete: [...document.images].every(i => i.complete && i.naturalWidth),
  rendering: getComputedStyle(document.images[0]).imageRendering,
  wide: document.documentElement.scrollWidth,
  ground: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  scrolls: [...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth]),
  outside: [...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && !e.closest('.scroll, pre, svg')
    && !e.classList.contains('scroll') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 99)),
  smallest: Math.min(...[...document.querySelectorAll('main *')].filter(e => (e.clientHeight || e.tagName == 'text') && e.textContent.trim())
    .map(e => parseFloat(getComputedStyle(e).fontSize) * (e.closest('svg')?.getScreenCTM().a ?? 1))),
  soft: getComputedStyle(document.querySelector('.soft')).color,
})"""  # noqa: E501
PLOTS = """JSON.stringify([...document.querySelectorAll('svg[role=img]')].map(svg => {
  const box = element => (r => [r.left, r.top, r.right, r.bottom])(element.getBoundingClientRect());
  const drawn = title => title.parentNode.querySelector('use, path:not(defs *)');
  const variants = [...svg.querySelectorAll('title')].map(drawn);
  return {
    label: svg.getAttribute('aria-label'),
    box: box(svg),
    texts: [...svg.querySelectorAll('text')].map(text => [text.textContent, ...box(text)]),
    ink: [...new Set([...svg.querySelectorAll('text')].map(text => getComputedStyle(text).fill))],
    variants: variants.map(e => [getComputedStyle(e).stroke, getComputedStyle(e).fill, ...box(e)]),
    scale: svg.getScreenCTM().a,
  };
}))"""
VISIBLE = "[...document.querySelectorAll('#{} img')].filter(i => i.checkVisibility()).map(i => i.alt)"
OPEN = "[...document.querySelectorAll(':popover-open')].map(e => e.id)"


@pytest.fixture(scope="module")
def browser_page(page_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with new_page(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(page_path)
        yield browser


@pytest.fixture
def page(browser_page: Page, page_path: Path) -> Iterator[Page]:
    """Show the page on a desk; it reports no problem and asks for nothing."""
    show(browser_page, DESK, "light")
    browser_page.evaluate("[...document.querySelectorAll(':popover-open')].forEach(e => e.hidePopover())")
    browser_page.evaluate("document.getElementById('view-image').click(); document.activeElement.blur()")
    yield browser_page
    assert browser_page.list_problems() == []
    assert [url for url in browser_page.list_requests() if not url.startswith("data:")] == [page_path.as_uri()]


def show(page: Page, width: int, scheme: str) -> None:
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )  # fmt: skip


def click(page: Page, selector: str) -> None:
    """Click with a mouse in the middle of an element."""
    page.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
    place = f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({json.dumps(selector)})"
    click_at(page, *page.evaluate(place + ".getBoundingClientRect())"))


def click_at(page: Page, x: float, y: float) -> None:
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def press(page: Page, key: str) -> None:
    code, text = KEYS[key]
    given = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
    page.call("Input.dispatchKeyEvent", type="keyDown", **given, **({"text": text} if text else {}))
    page.call("Input.dispatchKeyEvent", type="keyUp", **given)


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def rgb(colour: str) -> str:
    """`#rrggbb` as a computed style writes it."""
    return "rgb({}, {}, {})".format(*bytes.fromhex(colour.strip().removeprefix("#")))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_shown(page: Page, scheme: str, width: int) -> None:
    show(page, width, scheme)
    shape = json.loads(page.evaluate(SHAPE))
    assert shape["title"] == f"{HOSTILE} · vaegan comparison"
    assert shape["scripts"] == 0
    assert shape["complete"]
    assert shape["rendering"] == "pixelated"
    assert len(shape["images"]) == COLUMN_IMAGES * 4 + SAMPLE_IMAGES * 2 + 3 * (2 + 3 * INTERPOLATION_STEPS)
    assert all(natural == 8 and 48 <= shown == high for natural, shown, high in shape["images"])
    assert shape["wide"] == width
    assert shape["outside"] == []
    assert shape["smallest"] >= 11.5
    assert any(inner > outer for inner, outer in shape["scrolls"][:3]) == (width == PHONE)
    assert contrast(shape["ground"], shape["ink"]) > 7
    assert contrast(shape["ground"], shape["soft"]) > 4.5
    assert (luminance(shape["ground"]) < 0.1) == (scheme == "dark")


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_take_the_schemes_colours_and_can_be_read(page: Page, scheme: str, width: int) -> None:
    show(page, width, scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    root = "getComputedStyle(document.documentElement).getPropertyValue"
    palette = [rgb(page.evaluate(f"{root}('--c{index}')")) for index in range(VARIANT_STYLES)]
    assert len(set(palette)) == VARIANT_STYLES
    assert all(contrast(colour, ground) > 3 for colour in palette)
    plots = json.loads(page.evaluate(PLOTS))
    assert len(plots) == 7
    for plot in plots:
        assert all(contrast(ink, ground) > 4.5 for ink in plot["ink"])
        for text, left, top, right, bottom in plot["texts"]:
            assert 0 <= left < right <= width, (plot["label"], text)
            assert plot["box"][1] - 1 <= top < bottom <= plot["box"][3] + 1, (plot["label"], text)
        for (one, *first), (other, *second) in combinations(plot["texts"], 2):
            apart = first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]
            assert apart, (plot["label"], one, other)
        assert plot["variants"]
        for stroke, fill, left, top, right, bottom in plot["variants"]:
            assert {stroke, fill} & set(palette[: len(NAMES)])
            assert plot["box"][0] <= left + 1 and right <= plot["box"][2] + 10 * plot["scale"]
            assert plot["box"][1] <= top + 1 and bottom <= plot["box"][3] + 1
        assert len(plot["texts"]) >= 6


def test_a_click_enlarges_a_column_and_another_closes_it(page: Page) -> None:
    before = page.evaluate("document.querySelector('#reconstruction-3 img').clientWidth")
    click(page, "[popovertarget=reconstruction-3]")
    assert page.evaluate(OPEN) == ["reconstruction-3"]
    assert len(page.evaluate(VISIBLE.format("reconstruction-3"))) == 4
    assert page.evaluate("document.querySelector('#reconstruction-3 img').clientWidth") > 3 * before
    shown = page.evaluate(
        "(r => [r.left, r.top, r.right, r.bottom])(document.querySelector(':popover-open').getBoundingClientRect())"
    )
    assert 0 <= shown[0] < shown[2] <= DESK and 0 <= shown[1] < shown[3] <= 800
    click_at(page, *[(a + b) / 2 for a, b in ((shown[0], shown[2]), (shown[1], shown[3]))])
    assert page.evaluate(OPEN) == []

    click(page, "[popovertarget=sample-2-1]")
    assert page.evaluate(OPEN) == ["sample-2-1"]
    click_at(page, 5, 5)
    assert page.evaluate(OPEN) == [], "a click beside it"


def test_it_is_enlarged_and_closed_by_keys(page: Page) -> None:
    focused = "document.activeElement.getAttribute('popovertarget')"
    page.evaluate("document.getElementById('view-detail').focus()")
    press(page, "Tab")
    press(page, "Tab")
    assert page.evaluate(focused) == "reconstruction-1", "the strip itself comes first, which keys scroll"
    for key in ("Enter", " "):
        press(page, key)
        assert page.evaluate(OPEN) == ["reconstruction-1"]
        press(page, "Escape")
        assert page.evaluate(OPEN) == []
        assert page.evaluate(focused) == "reconstruction-1", "focus goes back to where it was"
    press(page, "Enter")
    assert page.evaluate("document.activeElement.className") == "close"
    press(page, "Enter")
    assert page.evaluate(OPEN) == []


def test_views_are_switched_by_mouse_and_keys_and_stay_when_enlarged(page: Page) -> None:
    shown = VISIBLE.format("reconstruction-2")
    name = NAMES["vae"]
    assert page.evaluate(shown)[:2] == ["image 2, real", f"image 2, reconstructed by {name}"]
    click(page, "#view-difference")
    difference = ["image 2, real", f"difference from the real image: image 2, reconstructed by {name}"]
    assert page.evaluate(shown)[:2] == difference
    assert page.evaluate("document.querySelector('.about.in-difference').checkVisibility()")
    press(page, "ArrowRight")
    detail = ["fine detail: image 2, real", f"fine detail: image 2, reconstructed by {name}"]
    assert page.evaluate(shown)[:2] == detail
    assert not page.evaluate("document.querySelector('.about.in-difference').checkVisibility()")
    click(page, "[popovertarget=reconstruction-2]")
    assert page.evaluate(shown)[:2] == detail
    assert len(page.evaluate(VISIBLE.format("sample-1-1"))) == 2, "samples have one view"


def test_a_phone_shows_what_is_enlarged(page: Page) -> None:
    show(page, PHONE, "dark")
    click(page, "[popovertarget=reconstruction-1]")
    widths = page.evaluate("[...document.querySelectorAll(':popover-open img')].map(i => i.clientWidth).filter(w => w)")
    assert len(widths) == 4
    assert min(widths) >= 130
    assert page.evaluate("document.querySelector(':popover-open').scrollWidth") <= PHONE
    press(page, "Escape")


def test_it_can_be_printed(page: Page) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.call("Emulation.setEmulatedMedia", media="print", features=dark)
    colours = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert [luminance(colour) > 0.5 for colour in colours] == [True, False], "ink is dark on paper"
    assert page.evaluate("[...document.querySelectorAll('pre')].every(e => e.checkVisibility())"), "the configs as well"
    assert not page.evaluate("document.querySelector('.views').checkVisibility()")
    page.call("Emulation.setDeviceMetricsOverride", width=700, height=1000, deviceScaleFactor=1, mobile=False)
    assert page.evaluate("document.documentElement.scrollWidth") == 700, "all columns fit on paper"
    assert page.call("Page.printToPDF")["data"]
    page.call("Emulation.setEmulatedMedia", media="")
