"""Completions, in this process as a shell asks for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from vaegan.cli.main import cli
from vaegan.config import list_recipes, load_config, load_study
from vaegan.config.load_ablation import load_ablation
from vaegan.config.load_study_files import load_classifier_config
from vaegan.pretrained import WEIGHT_FILES


def complete(line: str) -> list[str]:
    """Return the completions of a line's last word, those of paths as ``<dir>`` or ``<file>``."""
    *words, incomplete = line.split(" ")
    items = ShellComplete(cli, {}, "vaegan", "_VAEGAN_COMPLETE").get_completions(words, incomplete)
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in items]


def test_each_command_completes_the_recipes_that_it_takes() -> None:
    path, *runs = complete("train ")
    assert path == "<file>" and "digits/vaegan3" in runs
    other, *studies = complete("compare ")
    _, *ablations = complete("ablate ")
    assert other == "<file>" and sorted([*runs, *studies, *ablations]) == sorted(list_recipes())
    for name in ablations:
        assert load_ablation(name).base["model"]
    for name in studies:
        assert load_study(name).configs
    for name in complete("train-features ")[1:]:
        assert load_classifier_config(name)[0] == name
    assert complete("train digits/vaeg") == ["<file>", "digits/vaegan2", "digits/vaegan3"]


@pytest.mark.parametrize("name", ["digits/vaegan3", "shapes/vqvae", "digits/features"])
def test_a_completed_setting_is_that_of_the_config(name: str) -> None:
    config = load_config(name)
    keys = complete(f"train {name} ")
    assert len(keys) > 40 and {"train.steps=", "model.family=", "seed="} <= set(keys)
    given = 0
    for key in keys:
        completed = complete(f"train {name} {key}")
        values = [word for word in completed if word != key]
        if values:
            given += 1
            assert completed[0] == key and load_config(name, values[:1]) == config, values
    assert given == len(keys)


def test_a_choice_is_completed_by_its_words() -> None:
    losses = [f"model.adversarial.loss={loss}" for loss in ("cross_entropy", "hinge", "relativistic")]
    assert complete("train digits/vaegan3 model.adversarial.lo") == ["model.adversarial.loss=", *losses]
    assert complete("train digits/vaegan3 model.adversarial.loss=h") == losses[1:2]
    assert complete("train digits/vae seed=1 train.nan=") == ["train.nan=", "train.nan=stop", "train.nan=skip"]
    assert complete("train digits/vae data.horizontal_flip=t") == ["data.horizontal_flip=true"]
    assert complete("compare quickstart seeds") == ["seeds=", "seeds=[0]"]
    assert complete("ablate ablations/digits screen.st") == ["screen.steps=", "screen.steps=300"]
    assert "train.batch_size=" in complete("ablate ablations/digits train.") and "train.steps=" not in complete(
        "ablate ablations/digits train."
    )
    assert "train.steps=" in complete("compare quickstart ") and "seed=" not in complete("compare quickstart ")


def test_a_setting_that_bash_has_split_at_its_equals_sign() -> None:
    assert complete("train digits/vaegan3 model.adversarial.loss =") == ["cross_entropy", "hinge", "relativistic"]
    assert complete("train digits/vaegan3 model.adversarial.loss = h") == ["hinge"]
    assert complete("train digits/vae train.steps = 5 train.nan") == complete("train digits/vae train.nan")


def test_nothing_is_completed_of_what_does_not_exist() -> None:
    for line in ("train nowhere train.st", "train digits/vae train.frob", "train digits/vae train.frob = 1"):
        assert complete(line) == []


def test_values_of_options_and_folders() -> None:
    assert complete("evaluate ") == complete("sample runs/") == ["<dir>"]
    assert complete("train digits/vae --output ") == complete("compare quickstart --output=r") == ["<dir>"]
    assert complete("sample run -o ") == complete("reconstruct run ") == complete("interpolate run a ") == ["<file>"]
    assert complete("evaluate run --split t") == ["train", "test"]
    assert complete("sample run --density g") == complete("evaluate run --density=g") == ["gaussian", "gmm"]
    assert complete("evaluate run --features ") == ["<dir>", "inception"]
    assert complete("weights ") == list(WEIGHT_FILES) and complete("weights alex vg") == ["vgg"]
    assert complete("evaluate run --metrics psnr,lp") == ["psnr,lpips", "psnr,lpips_vgg", "psnr,lpips_squeeze"]


def test_the_shell_is_answered_without_torch(tmp_path: Path) -> None:
    program = """
import json, sys
from vaegan.cli.main import cli
from click.shell_completion import ShellComplete
for words, start in json.loads(sys.argv[1]):
    assert ShellComplete(cli, {}, "vaegan", "_VAEGAN_COMPLETE").get_completions(words, start)
print(*(name for name in ("torch", "numpy", "rich", "wandb", "accelerate") if name in sys.modules))
"""
    questions = [
        ([], ""), (["train"], ""), (["train"], "--"), (["train", "digits/vaegan3"], "model.adversarial.loss="),
        (["train-features"], ""), (["compare", "quickstart"], "tr"), (["evaluate", "run", "--metrics"], ""),
        (["sample"], ""),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(questions)], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
