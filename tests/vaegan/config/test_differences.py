"""The settings in which two configs differ."""

from vaegan.config import load_config
from vaegan.config.differences import describe_differences, get_training_settings

from .configs import RUN, VAEGAN


def test_differences_name_the_settings_that_training_depends_on(write):
    before = get_training_settings(load_config(write(RUN)))
    changed = ["model.beta=2", "train.clip_norm=1", "evaluate.metrics=[psnr]", "track.name=x", "data.workers=1"]
    now = get_training_settings(load_config("given.yaml", changed))
    assert describe_differences(before, before) == ""
    assert describe_differences(before, now) == "model.beta: 1.0 -> 2.0; train.clip_norm: null -> 1.0"
    other = get_training_settings(load_config(write(VAEGAN, "other.yaml")))
    assert 'model.family: "vae" -> "vaegan"; model.discriminator.network: absent -> "conv"' in describe_differences(
        before, other
    )
    assert describe_differences(before, other).endswith("more")
