"""The page that holds a model: in a real Chromium it computes what the model computes, and asks for nothing."""

import base64
import json
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vaegan.data import Images, open_data, read_image
from vaegan.errors import UserError
from vaegan.explorer import exported_page
from vaegan.explorer.explored_run import ExploredRun, explore_run
from vaegan.explorer.exported_page import build_exported_page, choose_weight_type, round_weights
from vaegan.images import to_float, to_uint8
from vaegan.models import build_model
from vaegan.models.continuous import ContinuousAutoencoder

from ...browser import CHROMIUM, Page, new_page
from ...tiny import tiny

HOSTILE = "</script><b>'\"&{{x}}${y}"
COLOURS = ("data.source=shapes", "data.image_size=16", "data.channels=3", "data.count=60")
MODELS = (
    ("vae", ("model.network=mlp", "model.depth=2")),
    ("vae", ("model.network=conv", "model.depth=2", *COLOURS)),
    ("vae", ("model.network=resnet", *COLOURS)),
    ("vae", ("model.network=antialiased", *COLOURS)),
    ("vae", ("model.labels=10",)),
    ("ae", ()),
    ("vae-grid", ("model.network=resnet",)),
    ("vaegan3-grid", ("model.labels=10",)),
)


def make_run(name: str, overrides: tuple[str, ...]) -> tuple[ExploredRun, Images]:
    """Explore a model whose weights are random, also those that start as zeros or ones."""
    config = tiny(name, *overrides)
    model = build_model(config.model, config.data.image_shape, 0).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight += 0.1 * torch.randn(weight.shape, generator=generator)
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm | torch.nn.LayerNorm):
            module.eps = 0.1
    images = open_data(config.data).train
    return explore_run(HOSTILE, model, (2, config.data.fit), images, 4), images


def get_model(run: ExploredRun) -> ContinuousAutoencoder:
    assert isinstance(run.model, ContinuousAutoencoder)
    return run.model


def export(run: ExploredRun, images: Images, file: Path) -> Path:
    labels = images.get_labels(torch.arange(8), run.model.classes)
    file.write_text(build_exported_page(run, images[torch.arange(8)], labels), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with new_page(tmp_path_factory.mktemp("profile")) as page:
        yield page


def compute(page: Page, function: str, values: Tensor, label: int) -> Tensor:
    numbers = json.dumps(values.flatten().tolist())
    return torch.tensor(page.evaluate(f"[...explorer.{function}({numbers}, {label})]"), dtype=torch.float32)


@pytest.mark.parametrize(("name", "overrides"), MODELS, ids=str)
def test_the_page_computes_what_the_model_computes(
    name: str, overrides: tuple[str, ...], browser: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, images = make_run(name, overrides)
    model, label = get_model(run), 3 if run.model.classes else 0
    given, rounded = label if run.model.classes else None, round_weights(model)
    default = exported_page.MAX_ROUNDING_ERROR
    # In single precision, in 16 bits, and in that which is chosen.
    for largest, expected, accuracy in ((0.0, model, 1e-4), (9.0, rounded, 1e-4), (default, model, 1e-3)):
        monkeypatch.setattr(exported_page, "MAX_ROUNDING_ERROR", largest)
        browser.open(export(run, images, tmp_path / "page.html"))
        pixels = to_float(images[torch.tensor([5])])
        code = expected.encode(pixels, given).mean[0]
        close = {"atol": accuracy, "rtol": accuracy}
        torch.testing.assert_close(compute(browser, "encode", pixels, label), code, **close)
        for each in (code, torch.randn(code.shape, generator=torch.Generator().manual_seed(2))):
            decoded = expected.decode(each[None], given)[0].flatten()
            torch.testing.assert_close(compute(browser, "decode", each, label), decoded, atol=accuracy, rtol=0)
    assert browser.evaluate("document.title") == HOSTILE == browser.evaluate("document.querySelector('h1').textContent")
    assert browser.list_problems() == []


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExploredRun, Path]:
    """A conditional run, and a folder with its page, two images and a text."""
    folder = tmp_path_factory.mktemp("page")
    run, images = make_run("vae", ("model.labels=10",))
    export(run, images, folder / "page.html")
    for number, name in ((0, "image.png"), (7, "other.png")):
        Image.fromarray(images[torch.tensor([number])][0, 0].numpy()).save(folder / name)
    (folder / "words.png").write_text("no image")
    return run, folder


@pytest.fixture
def page(browser: Page, world: tuple[ExploredRun, Path]) -> Iterator[Page]:
    """The page on a desk; it reports no problem, and asks for nothing but itself."""
    browser.show(1200, "light")
    browser.events.clear()
    browser.open(world[1] / "page.html")
    yield browser
    assert browser.list_problems() == []
    assert {url for url in browser.list_requests() if not url.startswith("data:")} == {
        (world[1] / "page.html").as_uri()
    }


def wait_for_image(page: Page, image: Tensor) -> None:
    """Wait until the page shows an image in [-1, 1], shape (1, 8, 8), but for the rounding of pixels."""
    deadline, expected = time.monotonic() + 20, to_uint8(image)[0].int().numpy()
    while time.monotonic() < deadline:
        uri = page.evaluate("document.querySelector('#picture').toDataURL()")
        with Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
            if np.abs(np.asarray(picture.convert("L"), dtype=int) - expected).max() <= 1:
                return
    raise AssertionError("the page shows another image")


def read_axis(page: Page, axis: int) -> float:
    return float(page.evaluate(f"document.querySelector('#axis-{axis}').value"))


def test_a_slider_is_dragged_and_moved_by_keys(page: Page, world: tuple[ExploredRun, Path]) -> None:
    run, code = world[0], world[0].start
    assert run.axes is not None
    assert page.evaluate("document.querySelector('#kind').textContent") == f"Sliders: {run.axes.kind}."
    wait_for_image(page, run.model.decode(code[None], 0)[0])
    left, top, right, bottom = page.find("#axis-0")
    page.drag(((left + right) / 2, (top + bottom) / 2), (right - 12, (top + bottom) / 2))
    assert read_axis(page, 0) > 2
    code = run.axes.move(code, 0, read_axis(page, 0))
    wait_for_image(page, run.model.decode(code[None], 0)[0])
    page.press("ArrowLeft", 37)
    assert 0 < code[run.axes.dimensions][0] - read_axis(page, 0) < 0.1 if run.axes.dimensions is not None else False
    code = run.axes.move(code, 0, read_axis(page, 0))
    wait_for_image(page, run.model.decode(code[None], 0)[0])
    page.click("#reset")
    wait_for_image(page, run.model.decode(run.start[None], 0)[0])


def test_an_image_is_dropped_and_walked_from(page: Page, world: tuple[ExploredRun, Path]) -> None:
    run, folder = world
    ends = [
        run.model.encode(to_float(torch.tensor(read_image(folder / name, 8, 1)))[None], 0).mean[0]
        for name in ("image.png", "other.png")
    ]
    page.drop("#drop", folder / "words.png")
    assert page.wait_for("document.querySelector('#line').textContent") == (
        "words.png: no image that this browser can read"
    )
    page.drop("#drop", folder / "image.png")
    wait_for_image(page, run.model.decode(ends[0][None], 0)[0])
    page.drop("#goal", folder / "other.png")
    page.wait_for("!document.querySelector('#walk').disabled")
    _, top, right, bottom = page.find("#walk")
    page.drag((right - 2, (top + bottom) / 2))
    assert page.evaluate("document.querySelector('#walk').value") == "1"
    wait_for_image(page, run.model.decode(ends[1][None], 0)[0])


def test_samples_follow_their_seed_and_a_class_is_chosen(page: Page, world: tuple[ExploredRun, Path]) -> None:
    run = world[0]
    page.click("#sample")
    page.wait_for("document.querySelector('#seed').value == 1")
    code = torch.tensor(page.evaluate("[...drawNormal(0, 4)]"))
    wait_for_image(page, run.model.decode(code[None], 0)[0])
    page.evaluate("document.querySelector('#class').focus()")
    page.press("ArrowDown", 40)
    page.wait_for("document.querySelector('#class').value == 1")
    wait_for_image(page, run.model.decode(code[None], 1)[0])
    many = torch.tensor(page.evaluate("[...drawNormal(7, 20000)]"))
    assert abs(many.mean()) < 0.03 and abs(many.std() - 1) < 0.02
    assert abs((many[1:] * many[:-1]).mean()) < 0.03


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(page: Page, scheme: str) -> None:
    page.show(360, scheme)
    assert page.wait_for("innerWidth == 360 && document.documentElement.scrollWidth") <= 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 22, 26)")
    page.find("#axis-3")
    assert page.evaluate("document.querySelector('#picture').getBoundingClientRect().bottom") > 0, "it stays in view"


def test_weights_are_kept_in_16_bits_where_pixels_hardly_change(monkeypatch: pytest.MonkeyPatch) -> None:
    run, images = make_run("vae", ())
    model, tried = get_model(run), images[torch.arange(8)]
    before, rounded = model.reconstruct(tried), round_weights(model)
    for weight, other in zip(model.parameters(), rounded.parameters(), strict=True):
        torch.testing.assert_close(other, weight, atol=weight.abs().max().item() / 65_000, rtol=0)
        assert not torch.equal(other, weight) or weight.numel() == 1
    codes = model.encode(tried).mean
    changes = (rounded.reconstruct(tried) - before, rounded.decode(codes) - model.decode(codes))
    change = max(each.abs().max().item() for each in changes)
    assert 0 < change < 5e-4
    for largest, dtype in ((0.99 * change, "float32"), (1.01 * change, "int16")):
        monkeypatch.setattr(exported_page, "MAX_ROUNDING_ERROR", largest)
        assert choose_weight_type(model, tried, None) == dtype
    assert torch.equal(model.reconstruct(tried), before), "the model stays as it is"


def test_what_no_page_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *overrides: str) -> str:
        run, images = make_run(name, overrides)
        with pytest.raises(UserError) as error:
            build_exported_page(run, images[torch.arange(8)], images.get_labels(torch.arange(8), run.model.classes))
        return str(error.value)

    assert "codebook" in refuse("vqvae")
    assert "a flow, which a page does not integrate; export the run of its autoencoder" in refuse("flow")
    assert "layers of the kind Attention" in refuse("vae-grid", "model.attention=true")
    monkeypatch.setattr(exported_page, "MAX_PAGE_BYTES", 20_000)
    assert "MB, more than 0 MB; train one of a smaller model.width" in refuse("vae")
