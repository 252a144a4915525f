"""An ablation from its plan to its page, as a user runs, interrupts and resumes it."""

import csv
import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from scipy import stats

import vaegan.trainers.step_cost  # which takes `compute_gradients` before a test replaces it  # noqa: F401
from vaegan.config import dump_config
from vaegan.config.differences import get_training_settings
from vaegan.storage.run_folder import Run
from vaegan.trainers import loop

from ..tiny import tiny
from .test_list_runs import read_weights

ABLATION = {
    "title": "Tiny <b>",
    "base": {
        "recipe": "base.yaml",
        "set": {"train": {"learning_rate": 1e-5}, "evaluate": {"metrics": ["psnr", "ssim", "kid"], "samples": 60}},
    },
    "changes": {
        "still": {"train": {"learning_rate": 1e-9}},
        "half": {"train": {"batch_size": 4}},
        "fast": {"train": {"learning_rate": 1e-2}},
    },
    "metric": "reconstruction/psnr",
    "screen": {"steps": 4},
    "confirm": {"steps": 6},
    "features": "features.yaml",
}
"""Of a base that hardly learns: one change that learns less, one that takes more steps, and one that learns much more;
their sum takes the first of the two learning rates."""
ROW = re.compile(r"^ *(\S.*?) {2,}([\d,]+) +([\d,]+) +([\d,]+) +([\d.,]+) GFLOP *$", re.MULTILINE)


@pytest.fixture
def ablation(work: Path) -> Path:
    (work / "base.yaml").write_text(dump_config(tiny("vae", "model.network=mlp", "data.validation=0.2")))
    (work / "features.yaml").write_text(dump_config(tiny("classifier")))
    (work / "a.yaml").write_text(yaml.safe_dump(ABLATION, sort_keys=False))
    return work


def read_plan(out: str) -> dict[str, tuple[int, int, int]]:
    """Return the runs, those that are finished, and the images of each phase."""
    return {row[0]: tuple(int(cell.replace(",", "")) for cell in row[1:4]) for row in ROW.findall(out)}


def list_runs(folder: Path) -> list[Run]:
    """Return the trained runs of an ablation."""
    return [Run(file.parent) for file in folder.rglob("config.yaml") if Run(file.parent).finished]


def test_an_ablation_is_planned_interrupted_resumed_and_reported(ablation: Path, vaegan, monkeypatch) -> None:
    code, out, err = vaegan("ablate", "a.yaml", "--output", "out", "--dry-run")
    assert code == 0 and not (ablation / "out").exists(), err
    plan = read_plan(out)
    assert plan == {
        "classifier of the features": (1, 0, 40), "screening": (5, 0, 160), "confirmation, if all pass": (15, 0, 720),
        "all": (21, 0, 920),
    }  # fmt: skip
    assert "how long they take is known once a run is finished here" in out

    compute, calls = loop.compute_gradients, []

    def stop_in_the_third_run(*arguments):
        calls.append(arguments)
        if len(calls) == 5 + 4 + 2:  # of the classifier and the base, and the first two of the next run
            os.kill(os.getpid(), signal.SIGTERM)
        return compute(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "compute_gradients", stop_in_the_third_run)
        code, _, err = vaegan("ablate", "a.yaml", "--output", "out")
    assert code == 130 and err.splitlines()[-1].endswith("stopped in out/screen/still/seed_0; the same command goes on")
    assert len(list_runs(ablation / "out")) == 2 and Run(ablation / "out/screen/still/seed_0").exists

    code, out, err = vaegan("ablate", "a.yaml", "--output", "out")
    assert code == 0, err
    assert read_plan(out)["all"] == (21, 2, 920) and "of training are left" in out
    assert "base/seed_0: finished already, kept" in err and "still/seed_0: going on with it" in err
    assert "screening: fast, half passed" in err
    sentences = out[out.index("Screening by") :].splitlines()
    assert sentences[0] == "Screening by Reconstructions: PSNR, dB ↑: fast, half passed."
    assert sentences[1].startswith("fast: better at 3 seeds: +") and sentences[3].startswith(
        "sum (fast + half): better"
    )
    assert sentences[4:6] == [
        "Screening: One seed: every verdict is conditional on seed 0, and another seed may change it.",
        "Confirmation: 3 seeds, which are few: every verdict is conditional on them.",
    ]
    assert sentences[6] == f"report: {ablation / 'out/report.html'}"

    config = ablation / "out/screen/still/seed_0/config.yaml"
    assert vaegan("train", config, "--output", "again")[0] == 0
    resumed, again = (read_weights(ablation / name) for name in ("out/screen/still/seed_0", "again"))
    assert again.items() <= resumed.items() and len(again) > 3, "an interrupt changes no bit"

    code, out, err = vaegan("ablate", "a.yaml", "--output", "out", "--dry-run")
    rows = read_plan(out)
    runs = list_runs(ablation / "out")
    assert rows["confirmation of fast, half, sum"] == (12, 12, 3 * (3 * 48 + 48)) and "every run is trained" in out
    assert rows["all"] == (len(runs), len(runs), sum(r.config.train.steps * r.config.train.batch_size for r in runs))
    code, out, err = vaegan("ablate", "a.yaml", "--output", "out", "--dry-run", "screen.steps=8")
    assert code == 0 and read_plan(out)["screening"] == (5, 0, 320) and "confirmation, if all pass" in read_plan(out), (
        err
    )
    check_phases(ablation / "out")
    check_effects(ablation / "out")
    check_page(ablation / "out")


def check_phases(folder: Path) -> None:
    """Check the variants, the images and the split of both phases."""
    for phase, names, seeds, images in (
        ("screen", ("base", "still", "half", "fast", "sum"), (0,), 32),
        ("confirm", ("base", "fast", "half", "sum"), (1, 2, 3), 48),
    ):  # fmt: skip
        for name in names:
            for seed in seeds:
                run = Run(folder / phase / name / f"seed_{seed}")
                train = run.config.train
                assert run.finished and train.steps * train.batch_size == images and run.config.seed == seed
                assert train.batch_size == (4 if name in ("half", "sum") else 8)
                protocol = json.loads(run.metrics_file.read_text())["protocol"]
                assert protocol["split"] == "validation", "the test images have no part in it"
        assert {path.name for path in (folder / phase).iterdir() if (path / f"seed_{seeds[0]}").is_dir()} == set(names)
    assert not (folder / "confirm/features").exists(), "the classifier is that of the screening"
    rates = {
        name: Run(folder / f"{phase}/sum/seed_{seed}").config.train.learning_rate
        for name, phase, seed in (("screened", "screen", 0), ("confirmed", "confirm", 1))
    }
    assert rates == {"screened": 1e-9, "confirmed": 1e-2}
    base, half = (get_training_settings(Run(folder / f"screen/{name}/seed_0").config) for name in ("base", "half"))
    changed = {key for key in base if base[key] != half[key]}
    assert changed == {"train.batch_size", "train.steps", "train.log_every", "train.ema_decay"}


def check_effects(folder: Path) -> None:
    """Check the table of effects against numbers that are computed from the runs' own files."""
    with (folder / "effects.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["phase"], row["change"], row["figure"]): row for row in csv.DictReader(file)}
    for words, phase, names, seeds in (
        ("screening", "screen", ("still", "half", "fast", "sum"), (0,)),
        ("confirmation", "confirm", ("fast", "half", "sum"), (1, 2, 3)),
    ):
        for name in names:
            for key in ("reconstruction/psnr", "reconstruction/ssim"):
                row, differences, values = rows[words, name, key], [], []
                for seed in seeds:
                    runs = [Run(folder / phase / each / f"seed_{seed}") for each in (name, "base")]
                    metrics = [json.loads(run.metrics_file.read_text())["metrics"][key] for run in runs]
                    values.append(metrics[0] - metrics[1])
                    scores = [load_file(run.scores_file)[key] for run in runs]
                    differences.append(scores[0] - scores[1])
                of_images = torch.stack(differences).mean(0)  # paired over images, the mean over the seeds
                margin = stats.t.ppf(0.975, len(of_images) - 1) * of_images.std().item() / len(of_images) ** 0.5
                assert len(of_images) == 60 and float(row["difference"]) == pytest.approx(sum(values) / len(values))
                assert float(row["difference"]) == pytest.approx(of_images.mean().item())
                half_width = (float(row["high"]) - float(row["low"])) / 2
                assert half_width == pytest.approx(margin, rel=0.1), "up to the noise of 1000 resamples"
            assert rows[words, name, "sample/kid_features"]["low"]
    record = json.loads((folder / "ablation.json").read_text())
    assert record["passed"] == ["fast", "half"] and record["split"] == "validation"
    assert record["summed"] == {"screening": ["still", "half"], "confirmation": ["fast", "half"]}
    assert len(record["effects"]) == len(rows)
    flops = record["training_flops"]["confirmation"]
    assert flops["half"] == pytest.approx(flops["base"], rel=0.1) and flops["fast"] == flops["base"]


def check_page(folder: Path) -> None:
    """Check what the page shows, and that it refers to nothing but the pages of the phases."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<b>Tiny" not in page and "Tiny &lt;b&gt;" in page and "vaegan ablate a.yaml" in page
    assert set(re.findall(r'href="([^#"][^"]*)"', page)) == {"data:,", "screen/report.html", "confirm/report.html"}
    assert all((folder / name).is_file() for name in ("screen/report.html", "confirm/report.html", "effects.png"))
    assert page.count("<svg") > 5 and "<script" not in page
    table = re.findall(r'<tr><th scope="row"><span class="name v\d+">(\w+)</span>.*?</tr>', page, re.DOTALL)
    assert table[:4] == ["fast", "half", "still", "sum"]
    for phase, names in (("screen", 5), ("confirm", 4)):
        study = yaml.safe_load((folder / f"{phase}.yaml").read_text())
        assert len(study["variants"]) == names and study["matched"] == ["images_seen"]


def test_no_change_passes(ablation: Path, vaegan) -> None:
    one = {**ABLATION, "changes": {"still": ABLATION["changes"]["still"]}, "features": None}
    (ablation / "a.yaml").write_text(yaml.safe_dump(one, sort_keys=False))
    words = ("ablate", "a.yaml", "evaluate.metrics=[psnr]", "screen.seeds=[0, 4]", "--output", "out")
    code, out, err = vaegan(*words)
    assert code == 0, err
    assert "Screening by Reconstructions: PSNR, dB ↑: no change passed." in out
    assert not (ablation / "out/confirm").exists() and (ablation / "out/report.html").is_file()
    code, out, _ = vaegan(*words, "--dry-run")
    assert read_plan(out)["confirmation: no change passed"] == (0, 0, 0)


def test_errors_of_the_command(ablation: Path, get_error) -> None:
    assert "metric: sample/kidd: no metric that can decide; did you mean sample/kid?" in get_error(
        "ablate", "a.yaml", "metric=sample/kidd"
    )
    assert "use `vaegan compare quickstart`" in get_error("ablate", "quickstart")
    assert "use `vaegan ablate a.yaml`" in get_error("compare", "a.yaml")
    assert "use `vaegan ablate a.yaml`" in get_error("train", "a.yaml")
    assert get_error("ablate", "a.yaml", "--dry-run", "--jobs", "2").startswith("--dry-run: trains nothing")
    assert "changes.half: train.batch_size=3 does not divide" in get_error(
        "ablate", "a.yaml", "changes.half.train.batch_size=3"
    )
    assert "a.yaml: base.set.data.validation: 0 holds out no image to choose on" in get_error(
        "ablate", "a.yaml", "data.validation=0", "--dry-run"
    )
    assert not (ablation / "runs").exists()
