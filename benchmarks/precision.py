"""Train every variant of a study in float32 and in bfloat16, and compare the quality that is reached.

    python benchmarks/precision.py digits-families "seeds=[0,1,2]" --output runs/precision

Both trainings of a variant have the same seed, images and initial weights, and every metric is computed in float32.
Printed are, for each metric, the mean over the seeds of float32, its standard deviation over them, and the mean
difference of bfloat16 with its 95 % interval (paired by seed, Student's t). The study can be stopped and goes on when
the command is given again. Recorded results: benchmarks/README.md.
"""

import argparse
from copy import deepcopy
from pathlib import Path

from scipy import stats

import vaegan
from vaegan.config.load_study_files import load_study

METRICS = (
    "reconstruction/psnr", "reconstruction/ssim", "reconstruction/laplacian_gap", "reconstruction/fd_", "sample/fd_",
    "sample/laplacian_gap", "bits_per_dim",
)  # fmt: skip
"""Beginnings of the metrics' names."""
SUFFIX = "-bf16"
"""Ends the name of a variant's twin that is trained in bfloat16."""


def main() -> None:
    """Run the study and print a row for each variant and metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_intermixed_args()
    study = load_study(arguments.study, arguments.overrides).study
    settings = study.model_dump(mode="json")
    names = list(study.variants)
    for name in names:
        twin = deepcopy(settings["variants"][name])
        for variant, precision in ((settings["variants"][name], "fp32"), (twin, "bf16")):
            variant["set"].setdefault("train", {})["precision"] = precision
        settings["variants"][name + SUFFIX] = twin
    comparison = vaegan.compare(settings, output=arguments.output, progress=False)
    if comparison is None:
        return
    table = comparison.to_dataframe()
    print("| variant | metric | fp32 | deviation over seeds | bf16 - fp32 | 95 % interval |\n|" + " --- |" * 6)
    for name in names:
        for metric in (column for column in table.columns if column.startswith(METRICS)):
            values, others = table.loc[name][metric], table.loc[name + SUFFIX][metric]
            if values.isna().any():
                continue
            difference = others - values
            reach = stats.t.ppf(0.975, len(values) - 1) * difference.std() / len(values) ** 0.5
            mean = difference.mean()
            row = f"{values.mean():.4g} | {values.std():.2g} | {mean:+.2g} | {mean - reach:+.2g} to {mean + reach:+.2g}"
            print(f"| {name} | {metric} | {row} |", flush=True)


if __name__ == "__main__":
    main()
