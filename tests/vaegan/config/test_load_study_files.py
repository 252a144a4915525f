"""Studies and classifiers: what is read from several files, and what is refused."""

from pathlib import Path

import pytest

from vaegan.config import load_config, load_study
from vaegan.config.load_study_files import load_classifier_config
from vaegan.errors import UserError

from .configs import CLASSIFIER, RUN, get_refusal


def test_a_study_finds_its_recipes_beside_itself_too(write):
    Path("studies").mkdir()
    write(RUN, "studies/own.yaml")
    study = {
        "title": "T",
        "variants": {"own": {"recipe": "own.yaml"}, "shipped": {"recipe": "digits/vae"}},
        "seeds": [3, 4],
    }
    loaded_study, configs, _ = load_study(write(study, "studies/study.yaml"), ["train.steps=9", "title=New"])
    assert loaded_study.title == "New" and loaded_study.shared == {"train": {"steps": 9}}
    assert {name: (config.seed, config.train.steps) for name, config in configs.items()} == {
        "own": (3, 9),
        "shipped": (3, 9),
    }
    write({**RUN, "train": {"steps": 1, "batch_size": 5}}, "own.yaml")
    assert load_study("studies/study.yaml")[1]["own"].train.batch_size == 5, "a path is first of all a path"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=3", "seed: unknown key (given 3); did you mean seeds?"),
        ("seeds=[]", "seeds: got []"),
        ("shared=3", "shared: got 3; allowed: mapping"),
        ("variants=null", "variants: got null"),
        ("variants.own=null", "variants.own: got null; allowed: mapping of recipe, model, set"),
        ("variants.own.recip=x", "did you mean variants.own.recipe?"),
        ("variants.own.recipe=digits/vea", "did you mean digits/vae?"),
        ("variants.own.set.train.step=1", "given.yaml: variants.own (own.yaml): train.step: unknown key"),
        ("variants.own.recipe=digits/features", "variants.own (digits/features): model.family=classifier: a study"),
        ("variants.own.recipe=nope", "given.yaml: variants.own.recipe: nope: neither a file"),
        (
            "references=[own]",
            "references: got own; allowed, since a variant must come after it: none, since there is one",
        ),
        ("references=[own,own]", "references: own given twice"),
        ("variants={'a/b': {recipe: own.yaml}}", None),
        ("variants={..: {recipe: own.yaml}}", "its name becomes a folder"),
    ],
)
def test_errors_in_a_study(override, expected, write):
    write(RUN, "own.yaml")
    name = write({"title": "T", "variants": {"own": {"recipe": "own.yaml"}}})
    with pytest.raises(UserError) as caught:
        load_study(name, [override])
    assert (expected or "variants.a/b: its name becomes a folder") in str(caught.value)
    assert "\n" not in str(caught.value)


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
def test_an_error_about_a_classifier(override, expected, write):
    name = write(CLASSIFIER)
    assert expected in get_refusal(name, override) if expected else load_config(name, [override]).model.classes == 10


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
    for name in ("given.yaml", "digits/vae", "digits-families", "nope", "", "\0", "a\nb"):
        with pytest.raises(UserError) as caught:
            load_classifier_config(name)
        assert "\n" not in str(caught.value)
