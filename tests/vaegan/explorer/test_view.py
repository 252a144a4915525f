"""What the controls compute is what the model computes, to the bit, for one run and for two."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.applications.attributes import Attribute, AttributeHeader, edit_images
from vaegan.applications.completion import complete_images
from vaegan.data import open_data, read_image
from vaegan.errors import UserError
from vaegan.explorer.answers import answer_in_lines, parse_mask, read_seed
from vaegan.explorer.explored_run import ExploredRun, count_codes, explore_run
from vaegan.explorer.view import SAMPLES, WALK_STEPS, Direction, View, stop_after
from vaegan.images import to_uint8
from vaegan.models import build_model

from ...tiny import tiny
from ..data.raw_files import make_png

STRENGTH = 1.5


def make_run(name: str, seed: int = 0, *overrides: str) -> ExploredRun:
    """Explore a model that has not been trained, with the images that it would be trained on."""
    config = tiny(name, "model.width=8", *overrides)
    model = build_model(config.model, config.data.image_shape, seed).eval().requires_grad_(False)
    return explore_run(name, model, (2, "crop"), open_data(config.data).train, 12)


@pytest.fixture(scope="module")
def run() -> ExploredRun:
    return make_run("vae")


@pytest.fixture(scope="module")
def pair(run: ExploredRun) -> View:
    return View((run, make_run("vae", 1)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Image.effect_noise((21, 16), 90).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def make_direction(run: int) -> Direction:
    direction = torch.linspace(-1, 1, 4, dtype=torch.float64)
    header = AttributeHeader(
        positive="b", negative="a", weights="", images=2, held_out=2, majority=0.5, accuracies={}
    )  # fmt: skip
    return Direction(Attribute(header, {"mean": direction, "logistic": -direction}), run)


def test_a_dropped_image_is_reconstructed_and_edited_as_the_commands_do(run: ExploredRun, file: Path) -> None:
    view = View((run,), (make_direction(0),))
    place = view.go_to_image(file, False)
    pixels = torch.tensor(read_image(file, 8, 1))[None]
    assert torch.equal(view.decode(place, [0.0])[0], to_uint8(run.model.reconstruct(pixels))[0])
    direction = view.directions[0].attribute.directions["mean"]
    edited = edit_images(run.model, pixels, [(direction, STRENGTH)])
    assert torch.equal(view.decode(place, [STRENGTH])[0], to_uint8(edited)[0])
    assert not torch.equal(view.decode(place, [STRENGTH])[0], view.decode(place, [0.0])[0])


def test_samples_are_those_of_the_model(run: ExploredRun) -> None:
    view = View((run,))
    expected = to_uint8(run.model.sample(SAMPLES, 3))
    assert torch.equal(view.draw_samples(3, False)[0], expected)
    assert torch.equal(view.decode(view.go_to_sample(3, 5, False))[0], expected[5])


def test_a_walk_leads_from_the_place_to_the_image(run: ExploredRun, file: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8), 200).save(tmp_path / "other.png")
    view = View((run,))
    place = view.go_to_image(file, False)
    images = view.walk(place, tmp_path / "other.png")[0]
    ends = [view.decode(place)[0], view.decode(view.go_to_image(tmp_path / "other.png", False))[0]]
    assert len(images) == WALK_STEPS and torch.equal(images[[0, -1]], torch.stack(ends))
    middle = (place.codes[0] + view.go_to_image(tmp_path / "other.png", False).codes[0]) / 2
    torch.testing.assert_close(images[WALK_STEPS // 2], run.decode(middle[None])[0], atol=1, rtol=0)


def test_a_completion_is_that_of_the_application(run: ExploredRun, file: Path) -> None:
    view = View((run,))
    place = view.go_to_image(file, False)
    holes = torch.zeros(8, 8, dtype=torch.bool)
    holes[2:5, 3:6] = True
    found = view.complete(place, holes, answers=2, seed=4, steps=6)
    assert place.pixels is not None
    expected, _ = complete_images(run.model, place.pixels[0][None], holes, answers=2, seed=4, steps=6, restarts=2)
    assert torch.equal(found[0], expected[:, 0])
    for wrong, message in ((torch.zeros_like(holes), "nothing is painted"), (torch.ones_like(holes), "leave some")):
        with pytest.raises(UserError, match=message):
            view.complete(place, wrong, answers=1, seed=0, steps=2)
    with pytest.raises(UserError, match="drop one first"):
        view.complete(view.go_to_start(False), holes, answers=1, seed=0, steps=2)


def test_two_runs_decode_the_code_of_the_first_or_each_its_own(pair: View, file: Path) -> None:
    assert pair.can_share
    first, second = pair.runs
    shared = pair.go_to_image(file, True)
    assert torch.equal(shared.codes[0], shared.codes[1])
    own = pair.share(shared, False)
    pixels = own.pixels
    assert pixels is not None and torch.equal(own.codes[1], second.encode(pixels[1]))
    moved = pair.move(shared, 0, 1.25)
    assert torch.equal(moved.codes[1], moved.codes[0]) and not torch.equal(moved.codes[0], shared.codes[0])
    alone = pair.move(own, 0, 1.25)
    assert torch.equal(alone.codes[0], moved.codes[0]) and torch.equal(alone.codes[1], own.codes[1])
    assert torch.equal(pair.decode(moved)[1], second.decode(moved.codes[0][None])[0])
    assert torch.equal(pair.share(alone, True).codes[1], alone.codes[0])
    sample = pair.go_to_sample(1, 2, True)
    assert torch.equal(pair.share(sample, False).codes[1], second.draw_codes(2, 3, 1)[0])
    assert first.axes is not None and pair.measure(moved)[0] == 1.25


def test_a_direction_moves_the_run_that_it_was_learned_from(pair: View) -> None:
    view = View(pair.runs, (make_direction(1),))
    own, shared = view.go_to_start(False), view.go_to_start(True)
    still, moved = view.decode(own, [0.0]), view.decode(own, [STRENGTH])
    assert torch.equal(still[0], moved[0]) and not torch.equal(still[1], moved[1])
    assert not torch.equal(view.decode(shared, [0.0])[0], view.decode(shared, [STRENGTH])[0])


def test_runs_of_other_shapes_share_the_image_alone(run: ExploredRun) -> None:
    assert not View((run, make_run("vae", 0, "model.latent_size=6"))).can_share
    assert not View((run,)).can_share
    conditional = make_run("vae", 0, "model.labels=10")
    View((run, conditional)).check()
    with pytest.raises(UserError, match="other classes"):
        View((conditional, replace(conditional, class_names=("a", "b")))).check()


@pytest.mark.parametrize(
    ("name", "can_draw", "can_complete"),
    [("ae", False, False), ("vae-grid", True, True), ("vqvae", False, False), ("flow", True, False)],
)
def test_every_kind_of_code_can_be_explored(name: str, can_draw: bool, can_complete: bool, file: Path) -> None:
    run = make_run(name)
    view = View((run,))
    assert (run.can_draw, run.can_complete, run.axes is None) == (can_draw, can_complete, name == "vqvae")
    place = view.go_to_image(file, False)
    assert place.pixels is not None
    assert torch.equal(view.decode(place)[0], to_uint8(run.model.reconstruct(place.pixels[0][None]))[0])
    if run.axes is None:
        with pytest.raises(UserError, match="codebook"):
            view.walk(place, file)
    else:
        moved = view.move(place, 0, run.axes.high[0].item())
        assert not torch.equal(view.decode(moved)[0], view.decode(place)[0])
    if not can_draw:
        with pytest.raises(UserError, match="no prior"):
            view.draw_samples(0, False)
    assert count_codes(run.model) == 2000


def test_a_class_is_that_of_the_model(file: Path) -> None:
    run = make_run("vae", 0, "model.labels=10")
    view = View((run,))
    assert view.classes == 10 and view.class_names == tuple(map(str, range(10)))
    place = view.go_to_image(file, False, 3)
    assert place.pixels is not None
    pixels = place.pixels[0][None]
    assert torch.equal(view.decode(place, [], 3)[0], to_uint8(run.model.reconstruct(pixels, 3))[0])
    assert torch.equal(view.draw_samples(0, False, 4)[0], to_uint8(run.model.sample(SAMPLES, 0, labels=4)))


def test_what_is_no_image_is_named_by_its_file_alone(run: ExploredRun, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("words")
    (tmp_path / "short.png").write_bytes(make_png(np.zeros((16, 16), np.uint8), 8, 0, missing=1))
    for name in ("words.png", "short.png"):
        with pytest.raises(UserError, match=rf"^{name}: "):
            run.read(tmp_path / name)


def test_errors_become_lines_and_no_more() -> None:
    gradio = pytest.importorskip("gradio")

    def fail(error: Exception) -> tuple[int]:
        raise error

    answer = answer_in_lines(fail, 1)
    assert answer(UserError("a <b> & c"))[1] == '<p role="status" class="problem">a &lt;b&gt; &amp; c</p>'
    assert answer(KeyError("/secret/path"))[1].count("KeyError") == 1
    assert "secret" not in answer(KeyError("/secret/path"))[1] and answer(KeyError())[0] == gradio.skip()
    assert answer_in_lines(lambda value: (value,), 1)(3) == (3, '<p role="status"></p>')


def test_masks_are_read_row_by_row() -> None:
    expected = torch.tensor([[False, True], [False, False]])
    assert torch.equal(parse_mask({"side": 2, "mask": "0100", "image": ""}), expected)
    for wrong in (None, {}, {"side": 2, "mask": ""}, {"side": 0, "mask": ""}, {"side": 2, "mask": [1]}):
        with pytest.raises(UserError, match=r"nothing is painted|drop one first"):
            parse_mask(wrong)


def test_seeds_are_whole_numbers() -> None:
    assert [read_seed(value) for value in (0, 7.0, 2**53 - 1)] == [0, 7, 2**53 - 1]
    for wrong in (None, -1, 0.5, 2**53, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"^seed: give a whole number"):
            read_seed(wrong)


def test_work_ends_after_its_time() -> None:
    times = iter([0.0, 1.0, 3.0])
    seen: list[int] = []
    update = stop_after(2.0, lambda: next(times), lambda done, total: seen.append(done))
    update(1, 9)
    with pytest.raises(UserError, match=r"^not done in 2 seconds"):
        update(2, 9)
    assert seen == [1, 2]


@pytest.mark.parametrize(("name", "tabs"), [("ae", 2), ("vae-grid", 4), ("vqvae", 0), ("vae", 5)])
def test_a_page_has_the_tabs_that_its_runs_can_fill(name: str, tabs: int, run: ExploredRun) -> None:
    gradio = pytest.importorskip("gradio")
    from vaegan.explorer.page import build_page

    view = View((run, make_run("vae", 1)), (make_direction(0),)) if name == "vae" else View((make_run(name),))
    blocks = build_page(view).blocks.values()
    labels = [block.label for block in blocks if isinstance(block, gradio.Tab)]
    assert labels == [each for each in ("Code", "Directions", "Samples", "Walk", "Complete") if each in labels]
    assert len(labels) == tabs and ("Complete" in labels) == view.runs[0].can_complete
    assert not any(block.analytics_enabled for block in blocks if isinstance(block, gradio.Blocks))
