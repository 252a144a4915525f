"""The config of a classifier: what is refused, and how that of a set is found."""

import pytest

from vaegan.config import load_config
from vaegan.config.load_study_files import load_classifier_config
from vaegan.errors import UserError

from .test_load import CLASSIFIER, RUN, refusal


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.classes=1", "model.classes: got 1; allowed: integer >= 2, <= 65,536"),
        ("model.classes=null", "model.classes: got null; allowed: integer"),
        ("model.latent_size=4", "model.latent_size: unknown key of family classifier (given 4)"),
        ("model.network=mlp", 'model.network: unknown key of family classifier (given "mlp")'),
        ("model.widht=8", "did you mean model.width?; allowed: family, width, depth, classes"),
        ("model={family: classifier}", None),
    ],
)
def test_a_mistake_about_a_classifier(override, expected, write):
    name = write(CLASSIFIER)
    assert expected in refusal(name, override) if expected else load_config(name, [override]).model.classes == 10


def test_the_config_of_a_sets_classifier(write):
    for name in ("digits", "digits/features"):
        assert load_classifier_config(name, ["train.steps=9"]) == (
            "digits",
            load_config("digits/features", ["train.steps=9"]),
        )
    assert load_classifier_config(write(CLASSIFIER)) == ("given.yaml", load_config("given.yaml"))
    write(CLASSIFIER, "digits")
    assert load_classifier_config("digits")[1] == load_config("given.yaml"), "a path is first of all a path"
    write(RUN)
    for name in ("given.yaml", "digits/vae", "quickstart", "nope", "", "\0", "a\nb"):
        with pytest.raises(UserError) as caught:
            load_classifier_config(name)
        assert "\n" not in str(caught.value)
