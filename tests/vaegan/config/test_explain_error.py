"""An error in a setting is explained in one line: key, value, what is allowed."""

import pytest

from vaegan.config import load_config

from .configs import FAMILIES, RUN, get_refusal


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.step=3", "train.step: unknown key (given 3); did you mean train.steps?; allowed: steps, batch_size,"),
        ("trian.steps=3", 'trian: unknown key (given {"steps": 3}); did you mean train?; allowed: seed, model, data,'),
        ("steps=3", "steps: unknown key (given 3); did you mean train.steps?"),
        ("train.wandb=offline", 'train.wandb: unknown key (given "offline"); did you mean track.wandb?'),
        ("model.classes=two", "model.classes: unknown key of family vae"),
        ("model.discriminator.classes=two", "model.discriminator: unknown key of family vae"),
        ("model={family: vae, likelihood: bernoulli, learned_scale: true}", "model.learned_scale: bernoulli has"),
        ("model.family=vee", f'model.family: got "vee"; did you mean vae?; allowed: {FAMILIES}'),
        ("model.family=[1]", f"model.family: got [1]; allowed: {FAMILIES}"),
        ("model=null", f"model: got null; allowed: mapping with `family: {FAMILIES}`"),
        ("model={}", None),
        ("data=3", "data: got 3; allowed: mapping of source, root,"),
        ("data.image_size=12", "data.image_size: got 12; allowed: integer >= 8, <= 1,024, multiple of 8"),
        ("data.source=digit", 'data.source: got "digit"; did you mean digits?; allowed: digits | photos |'),
        ("data.channels='3'", 'data.channels: got "3"; did you mean 3?; allowed: 1 | 2 | 3 | 4'),
        ("data.channels=true", "data.channels: got true; allowed: 1 | 2 | 3 | 4"),
        ("data.channels=1.0", "data.channels: got 1.0; allowed: 1 | 2 | 3 | 4"),
        ("data.version=true", "data.version: got true; allowed: 1 | 2"),
        ("data.source=folder", "data.root: missing"),
        ("data.count=10", "data.count: only photos and shapes"),
        ("data.validation=0.9", "data.validation: with data.test it leaves no image"),
        ("data.strict=1", "data.strict: got 1; allowed: true | false"),
        ('data={root: "a\\0b"}', "data.root: a path cannot hold a null character"),
        ("evaluate.metrics=[psn]", 'evaluate.metrics.0: got "psn"; did you mean psnr?; allowed: psnr | ssim |'),
        ("evaluate.metrics=[]", "evaluate.metrics: got []"),
        ("evaluate.density=gmn", 'evaluate.density: got "gmn"; allowed: gaussian | gmm | gmm:K, of K components'),
        ("evaluate.density=gmm:0", 'evaluate.density: got "gmm:0"; allowed: gaussian | gmm | gmm:K, of K components'),
        ("evaluate.density=3", 'evaluate.density: got "3"; allowed: gaussian'),
        ("evaluate.density=gmm:20", None),
        ("seed=-1", "seed: got -1; allowed: integer >= 0"),
        ("seed=true", "seed: got true; allowed: integer"),
        ("seed=" + "9" * 30, "seed: got " + "9" * 30),
        ("seed=" + "9" * 5000, "Exceeds the limit"),
        ("train.steps='5'", 'train.steps: got "5"; allowed: integer'),
        ("train.steps=2.0", "train.steps: got 2.0; allowed: integer"),
        ("train.steps=100000000", "train.steps: got 100000000; allowed: integer >= 0, < 100,000,000"),
        ("train.steps.x=3", 'train.steps: got {"x": 3}; allowed: integer'),
        ("train.learning_rate=.inf", "train.learning_rate: got Infinity; allowed: number > 0 | schedule {start, end}"),
        ("train.learning_rate=.nan", "train.learning_rate: got NaN; allowed: number > 0 | schedule {start, end}"),
        ("train.betas=[0.9]", "train.betas.1: missing; allowed: number >= 0, < 1"),
        ("train.micro_batch_size=3", "train.micro_batch_size: 3 does not divide train.batch_size=8"),
        ("train={steps: 1, evaluate_every: 1}", None),
        ("track={name: true}", "track.name: got true; allowed: text | null"),
        ("track={name: a, name: b}", "name: given twice"),
        ("track.tags=!!python/name:os.system", "only plain values are read"),
        ("track.tags=!!binary aGk=", "only plain values are read"),
        ("track.tags=!!set {a}", "only plain values are read"),
        ("seed=!!bool x", "not YAML"),
        ("seed=!!int ''", "not YAML"),
        ("track.tags=[", "not YAML"),
        ("track.tags=\0", "not YAML"),
        ("seed=" + "[" * 5000, "not YAML"),
        ("seed=" + "[" * 300 + "]" * 300, "not plain settings"),
        ("data.root=", "data.root=: empty; write a value, or null to leave it out"),
        ("track.project=", "track.project=: empty; write a value"),
        ("data={root: ''}", "data.root: empty; name a folder or a file"),
        ("train", "train: not a setting; write key.sub=value"),
        ("train..steps=3", "not a setting"),
        ("=3", "not a setting"),
        ("a\nb=3", "not a setting"),
        ("x\udcff=3", "not a setting"),
        (".".join("abcdefghijkl") + "=3", "not a setting"),
        ("y" * 3000 + "=3", "unknown key"),
        ("data.source=" + "y" * 3000, "allowed: digits"),
    ],
)  # fmt: skip
def test_an_error_names_key_value_and_what_is_allowed(override, expected, write):
    name = write(RUN)
    if expected is None:
        assert load_config(name, [override])
    else:
        assert expected in get_refusal(name, override)
