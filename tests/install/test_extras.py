"""vaegan with the packages of single extras and no others: what each is for works, and what is missing is named."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

TRAINED = (
    "digits/vae", "train.steps=4", "model.width=8", "train.evaluate_every=4", "evaluate.metrics=[sharpness,elbo,gap]",
    "evaluate.samples=20", "--output", "run",
)  # fmt: skip
WORK = """
import sys
import vaegan
assert "torch" not in sys.modules
images = vaegan.load("run").sample(5)
assert images.shape == (5, 1, 8, 8) and "torch._dynamo" not in sys.modules, "torch's compiler takes a second to load"

from vaegan.errors import UserError
for function, words in ((vaegan.train, "digits/vae"), (vaegan.evaluate_run, "run"), (vaegan.compare, "digits-variants"),
                        (vaegan.ablate, "ablations/digits"),
                        (vaegan.plot_history, "run")):
    try:
        function(words)
    except UserError as error:
        print("vaegan." + function.__name__ + ":", error, file=sys.stderr)

from vaegan.cli.main import main
from vaegan.images import to_pil, to_uint8
to_pil(to_uint8(images[0])).save("image.png")
for command in sys.stdin:
    sys.argv = ["vaegan", *command.split()]
    try:
        main()
    except SystemExit as end:
        print("exit code", end.code, file=sys.stderr)
"""
"""Use of the run by Python, then by each command of standard input."""
USES = (
    "sample run -o samples.png", "reconstruct run image.png", "interpolate run image.png image.png",
    "configs --schema",
)  # fmt: skip
TO_TRAIN = "accelerate, psutil, scikit-learn are not installed; pip install 'vaegan[train]'"
TO_EVALUATE = "scikit-learn is not installed; pip install 'vaegan[eval]'"
TO_COMPARE = (
    "accelerate, psutil, scikit-learn, torchmetrics, lpips, matplotlib, scipy, torchvision are not installed;"
    " pip install 'vaegan[eval,train]'"
)
"""The line of each use; torch itself brings jinja2."""
FUNCTIONS = {
    "train": TO_TRAIN, "evaluate_run": TO_EVALUATE, "compare": TO_COMPARE, "ablate": TO_COMPARE,
    "plot_history": "matplotlib is not installed; pip install 'vaegan[eval]'",
}  # fmt: skip
COMMANDS = {
    "train digits/vae": TO_TRAIN,
    "train shapes/vae --processes 2": "accelerate, psutil are not installed; pip install 'vaegan[train]'",
    "evaluate run": TO_EVALUATE,
    "evaluate run --metrics psnr,lpips":
        "scikit-learn, torchmetrics, lpips are not installed; pip install 'vaegan[eval]'",
    "sample run --density gmm": "scikit-learn is not installed; pip install 'vaegan[train]'",
    "compare digits-variants": TO_COMPARE,
    "ablate ablations/digits": TO_COMPARE,
    "compress run image.png -o a.vg": "constriction is not installed; pip install 'vaegan[compression]'",
    "export run --format onnx -o onnx": "onnx, onnxscript, onnxruntime are not installed; pip install 'vaegan[onnx]'",
    "sample hf://owner/name": "huggingface-hub is not installed; pip install 'vaegan[hub]'",
}  # fmt: skip
METRICS = "psnr,ssim,ms_ssim,lpips,sharpness,elbo,iwae,gap"


def list_requirements(name: str, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """List the packages that a package needs directly, each with the extras that it is needed with."""
    for line in distribution(name).requires or ():
        needed = Requirement(line)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield needed.name, frozenset(needed.extras)


def link_packages(folder: Path, extras: frozenset[str]) -> None:
    """Link all that `pip install vaegan[EXTRAS]` would install, vaegan excepted, into a folder."""
    found, rest = set(), [("vaegan", extras)]
    while rest:
        found.add(package := rest.pop())
        rest += {*list_requirements(*package)} - found
    for name in {name for name, _ in found} - {"vaegan"}:
        for entry in {file.parts[0] for file in distribution(name).files or ()} - {"..", "__pycache__"}:
            if not (folder / entry).is_symlink():
                (folder / entry).symlink_to(distribution(name).locate_file(entry))


def run_python(folder: Path, extras: str, *words: str, text: str = "") -> str:
    """Run Python with vaegan and the packages of extras alone, and return what it wrote on standard error."""
    packages = folder / f"packages-{extras}"
    packages.mkdir()
    link_packages(packages, frozenset(extras.split()))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WANDB_"))}
    done = subprocess.run(
        [sys.executable, "-S", *words],  # without the packages of the tests
        cwd=folder, env={**kept, "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}"}, input=text, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, trained with the packages of the extra `train` alone."""
    folder = tmp_path_factory.mktemp("extras")
    shown = run_python(folder, "train", "-m", "vaegan", "train", *TRAINED)
    advice = "pip install 'vaegan[wandb]', or set track.wandb=disabled"
    assert shown == f"W&B: tracking is off, wandb is not installed; {advice}\n"
    return folder


def test_a_model_is_used_without_extras_and_what_is_missing_is_named(folder: Path) -> None:
    shown = run_python(folder, "", "-c", WORK, text="\n".join((*USES, *COMMANDS)))
    lines = [f"vaegan.{name}: {problem}" for name, problem in FUNCTIONS.items()]
    lines += [line for problem in COMMANDS.values() for line in (f"vaegan: {problem}", "exit code 2")]
    assert shown.splitlines() == lines
    for name in ("samples", "reconstructions", "interpolation"):
        assert (folder / f"{name}.png").is_file()


@pytest.mark.long
def test_a_run_is_evaluated_with_the_extra_for_it_alone(folder: Path) -> None:
    run_python(folder, "eval", "-m", "vaegan", "evaluate", "run", "--metrics", METRICS, "--density", "gmm:2")
    measured = json.loads((folder / "run" / "metrics.json").read_text())["metrics"]
    assert {"reconstruction/psnr", "reconstruction/ms_ssim", "iwae", "gap/mmd2"} <= measured.keys()
