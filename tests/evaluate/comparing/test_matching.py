"""The quantities that the variants of a study have in common, and the message where they differ."""

import json
import shutil
import statistics
from pathlib import Path

import pytest

from vaegan.cli.console import Console
from vaegan.config import StudyConfig
from vaegan.config.schema import Config
from vaegan.config.study_schema import MatchedQuantity
from vaegan.data import Data
from vaegan.errors import UserError
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.comparing.matching import check_matched, describe_unmatched, match_steps
from vaegan.evaluate.study import TIMED_STEPS, compare
from vaegan.evaluate.training_cost import measure_step_seconds
from vaegan.storage.run_folder import Run

from ..studies import make_configs, make_study, run_study, train_one


def train_never(config: Config, folder: Path, data: Data, resume: bool) -> Run:
    raise AssertionError(f"{folder} is trained")


def run_matched_study(
    output: Path, variants: dict[str, Config], *matched: MatchedQuantity, train_run=train_one
) -> Comparison:
    study = make_study(variants, seeds=(5,)).model_copy(update={"matched": matched})
    comparison = compare(study, variants, output, train_run, Console())
    assert comparison is not None
    return comparison


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=16", "model.width: 8 -> 16"),
        ("model.depth=2", "model.depth: 1 -> 2"),
        ("model.network=mlp", 'model.network: "conv" -> "mlp"'),
        ("model.latent_size=5", "model.latent_size: 4 -> 5"),
        ("train.steps=6", "train.steps * train.batch_size: 40 -> 48"),
        ("data.image_size=16", "data.image_size: 8 -> 16"),
        ("evaluate.split=validation", 'evaluate.split: "test" -> "validation"'),
    ],
)
def test_variants_that_are_not_matched_are_refused(override: str, message: str, tmp_path: Path) -> None:
    variants = make_configs() | {"vaegan3": make_configs(override)["vaegan3"]}
    with pytest.raises(UserError, match=r"vae and vaegan3 are not (matched|evaluated alike)") as caught:
        run_study(tmp_path, variants, train_run=train_never)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_as_many_images_in_other_batches_are_matched() -> None:
    variants = make_configs() | {"vaegan3": make_configs("train.steps=10", "train.batch_size=4")["vaegan3"]}
    check_matched(variants, make_study(variants).matched)
    assert describe_unmatched(variants) == {}


def test_a_grid_of_codes_is_matched_in_what_it_has_and_said_to_have_another_decoder(tmp_path: Path) -> None:
    variants = make_configs("train.steps=2", "train.checkpoint_every=2", names=("vqvae", "vae", "ae", "pixelcnn"))
    message = "its code is one vector, with a decoder of its own"
    assert describe_unmatched(variants) == {"vae": message, "ae": message}
    other = make_configs("train.steps=2", "model.latent_size=5", names=("ae",))["ae"]
    with pytest.raises(UserError, match=r"^vae and ae are not matched: model\.latent_size: 4 -> 5"):
        check_matched(variants | {"ae": other}, ("decoder", "latent_size"))
    with pytest.raises(UserError, match=r"^vqvae and ae are not matched: train\.steps \* train\.batch_size: 16 -> 8"):
        check_matched(variants | {"ae": make_configs("train.steps=1", names=("ae",))["ae"]}, ("images_seen",))

    comparison = run_matched_study(tmp_path, variants, "decoder", "latent_size", "images_seen")
    assert f"vae is not matched with vqvae: {message}." in comparison.list_sentences()
    page = (tmp_path / "report.html").read_text()
    assert "<b>4</b> latent dimensions, one decoder" in page
    assert "number of images seen, the same images in the same order, apart from what the verdict calls not" in page
    samples = {name for name in comparison.names if "sample/spectrum_error" in comparison.get_spreads(name)}
    assert samples == {"vae", "pixelcnn"}


def test_a_study_of_grids_alone_has_no_vectors_to_match(tmp_path: Path) -> None:
    variants = make_configs("train.steps=1", "train.checkpoint_every=1", names=("vqvae", "pixelcnn"))
    assert describe_unmatched(variants) == {} and run_matched_study(tmp_path, variants, "decoder", "latent_size").names
    assert "latent dimensions" not in (tmp_path / "report.html").read_text()


def test_what_is_not_to_be_matched_is_said(tmp_path: Path) -> None:
    variants = make_configs("train.steps=2", names=("vae", "ae"))
    variants["ae"] = make_configs("train.steps=4", "model.width=16", names=("ae",))["ae"]
    with pytest.raises(UserError, match="leave images_seen out of `matched:`"):
        run_matched_study(tmp_path, variants, "latent_size", "images_seen", train_run=train_never)
    comparison = run_matched_study(tmp_path, variants, "latent_size")
    message = "ae is not matched with vae: model.width: 8 -> 16; train.steps * train.batch_size: 16 -> 32"
    assert comparison.unmatched == [message] and f"{message}." in comparison.list_sentences()
    page = (tmp_path / "report.html").read_text()
    assert f"{message.replace('>', '&gt;')}." in page and "one decoder" not in page
    assert "<b>16</b> to <b>32</b> images seen" in page and "Every variant has the same latent size, the same" in page


def test_a_variant_of_half_the_speed_has_half_the_steps(tmp_path: Path) -> None:
    variants = make_configs("train.steps=8", "train.sample_every=2", names=("vae", "vaegan3"))
    run_matched_study(tmp_path / "measured", variants, "decoder", "latent_size", "wall_clock")
    shutil.copytree(tmp_path / "measured" / "wall_clock", tmp_path / "known" / "wall_clock")
    for name, seconds in (("vae", 1.0), ("vaegan3", 2.0)):
        timing = Run(tmp_path / "known" / "wall_clock" / name).timing_file
        lines = [json.loads(line) for line in timing.read_text().splitlines()]
        known = [{**line, "seconds": seconds * (9 if line["step"] == 10 else 10)} for line in lines]
        timing.write_text("".join(f"{json.dumps(line)}\n" for line in known))
    comparison = run_matched_study(tmp_path / "known", variants, "decoder", "latent_size", "wall_clock")
    assert {name: config.train.steps for name, config in comparison.configs.items()} == {"vae": 8, "vaegan3": 4}


def test_equal_time_gives_each_variant_the_steps_that_its_speed_allows(tmp_path: Path) -> None:
    averages = "train.second_ema_half_life=9", "train.ema_metric=sample/spectrum_error", "train.evaluate_every=1"
    variants = make_configs("train.steps=8", "train.sample_every=2", *averages, names=("vae", "vaegan3"))
    comparison = run_matched_study(tmp_path, variants, "decoder", "latent_size", "wall_clock")
    probes = {name: Run(tmp_path / "wall_clock" / name) for name in variants}
    seconds = {name: measure_step_seconds(probe.timing_file) for name, probe in probes.items()}
    steps = {"vae": 8, "vaegan3": max(1, round(8 * seconds["vae"] / seconds["vaegan3"]))}
    for name, probe in probes.items():
        lines = [json.loads(line) for line in probe.timing_file.read_text().splitlines()]
        assert [line["step"] for line in lines] == [1, 10, 20, 30, 40, TIMED_STEPS]
        step_seconds = [line["seconds"] / (9 if line["step"] == 10 else 10) for line in lines[1:]]
        assert seconds[name] == statistics.median(step_seconds)
        assert comparison.configs[name].train.steps == steps[name] == Run(tmp_path / name / "seed_5").exported_step
    assert comparison.images_seen == {name: 8 * count for name, count in steps.items()}
    assert len(comparison.unmatched) == 1 and "time to train in" in (tmp_path / "report.html").read_text()

    again = run_matched_study(tmp_path, variants, "decoder", "latent_size", "wall_clock", train_run=train_never)
    assert again.configs == comparison.configs


def test_matched_steps_leave_an_evaluation_that_chooses_between_averages() -> None:
    averages = "train.second_ema_half_life=9", "train.ema_metric=sample/spectrum_error", "train.evaluate_every=4"
    variants = make_configs("train.steps=8", *averages, names=("vae", "vaegan3"))
    assert match_steps(variants, {"vae": 1.0, "vaegan3": 2.0})["vaegan3"].train.steps == 4
    message = r"^variants\.vaegan3, with matched steps: train\.evaluate_every: 4 is more than train\.steps=3; give less"
    with pytest.raises(UserError, match=message):
        match_steps(variants, {"vae": 1.0, "vaegan3": 3.0})


def test_a_budget_is_one_thing_and_a_studys_own_folders_are_no_variants() -> None:
    tree = {"title": "T", "variants": {"vae": {"recipe": "digits/vae"}}}
    for budgets in (("images_seen", "wall_clock"), ("flops", "wall_clock")):
        with pytest.raises(ValueError, match=f"matched: {' and '.join(budgets)}: leave out all but one of them"):
            StudyConfig.model_validate(tree | {"matched": budgets})
    with pytest.raises(ValueError, match=r"variants\.controls: the study keeps something else"):
        StudyConfig.model_validate(tree | {"variants": {"controls": {"recipe": "digits/vae"}}})
