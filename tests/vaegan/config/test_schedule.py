"""Schedules over images: their values, and that the batch size changes none of them."""

import math

import pytest

from tests.tiny import tiny
from vaegan.config.schedule import Schedule, find_whole_schedules, get_scheduled_value
from vaegan.config.schema import TrainConfig, get_value_at_step
from vaegan.errors import UserError


@pytest.mark.parametrize(
    ("shape", "images", "expected"),
    [
        ("linear", 0, 2.0),
        ("linear", 250, 2.5),
        ("linear", 1000, 4.0),
        ("linear", 5000, 4.0),
        ("cosine", 0, 2.0),
        ("cosine", 250, 3 - math.sqrt(0.5)),
        ("cosine", 500, 3.0),
        ("cosine", 1000, 4.0),
    ],
)
def test_a_schedule_goes_from_start_to_end_and_stays(shape: str, images: int, expected: float) -> None:
    ends = {"start": 2.0, "end": 4.0, "shape": shape}
    schedule, whole = (Schedule[float].model_validate({**ends, "images": each}) for each in (1000, None))
    assert get_scheduled_value(schedule, images, 9000) == pytest.approx(expected)
    assert get_scheduled_value(whole, 9 * images, 9000) == pytest.approx(expected)
    assert get_scheduled_value(3.0, images, 9000) == 3.0


def test_the_batch_size_does_not_change_the_value_after_some_images() -> None:
    for images in (0, 64, 256, 640):
        values = {
            get_value_at_step(config, config.learning_rate, images // config.batch_size)
            for config in (
                TrainConfig.model_validate(
                    {"steps": 640 // size, "batch_size": size, "learning_rate": {"start": 1e-3, "end": 0}}
                )
                for size in (8, 16, 64)
            )
        }
        assert values == {1e-3 * 0.5 * (1 + math.cos(math.pi * images / 640))}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.learning_rate={start: 1, end: -1}"], r"train\.learning_rate\.end: got -1; allowed: number >= 0$"),
        (["train.betas=[0.5, {start: 0.9, end: 1}]"], r"train\.betas\.1\.end: got 1; allowed: number >= 0, < 1$"),
        (["model.adversarial.weight={start: 1}"], r"model\.adversarial\.weight\.end: missing; allowed: number >= 0$"),
        (["train.learning_rate={start: 1, end: 0}", "train.decay=constant"], r"train\.decay: the learning rate has a"),
        (["train.learning_rate=0"], r"train\.learning_rate: got 0; allowed: number > 0 \| schedule {start, end}$"),
        (
            ["train.learning_rate=fast"],
            r"train\.learning_rate: got \"fast\"; allowed: number > 0 \| schedule {start, end}$",
        ),
        (["train.learning_rate={start: 1, end: 0, shapes: linear}"], r"unknown key.*did you mean train.*shape"),
    ],
)
def test_a_wrong_schedule_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        tiny("vaegan3", *words)
    assert "\n" not in str(caught.value)


def test_schedules_to_the_end_of_the_training_are_found() -> None:
    rate, beta = "train.learning_rate={start: 1, end: 0}", "train.betas=[0.5, {start: 0.9, end: 0.99}]"
    config = tiny("vaegan3", rate, beta, "model.adversarial.r1={start: 1, end: 0}", "train.ema_half_life=9")
    assert [*find_whole_schedules(config)] == ["model.adversarial.r1", "train.learning_rate", "train.betas"]
    short = tiny("vaegan3", "train.learning_rate={start: 1, end: 0, images: 9}", "model.adversarial.weight=1")
    assert [*find_whole_schedules(short)] == []
    flow = tiny("flow")
    prior = flow.model_copy(update={"model": flow.model.model_copy(update={"autoencoder": config.model})})
    assert [*find_whole_schedules(prior)] == []


def test_a_config_from_before_says_decay() -> None:
    def load(**settings: object) -> TrainConfig:
        return TrainConfig.model_validate({"steps": 10, **settings})

    rates = {"learning_rate": 2e-3, "discriminator_learning_rate": 4e-3}
    falling = {key: {"start": rate, "end": 0} for key, rate in rates.items()}
    assert load(**rates, decay="cosine") == load(**falling)
    assert load(decay="cosine") == load(learning_rate={"start": 1e-3, "end": 0})
    assert load(**rates, decay="constant") == load(**rates)
