"""The cost that an ablation says beforehand."""

from pathlib import Path

from vaegan.config.load_ablation import load_ablation
from vaegan.workflows.ablation_plan import Plan, PlannedRun, estimate_seconds, format_flops, plan_ablation
from vaegan.workflows.training_flops import FlopCounter


def load_tiny(**settings: object):
    base = {"recipe": "digits/vae", "set": {"model": {"network": "mlp", "width": 8}, "train": {"batch_size": 8}}}
    changes = {"half": {"train": {"batch_size": 4}}, "wide": {"model": {"width": 64}}, "rate": {"model": {"beta": 2}}}
    tree = {"title": "T", "base": base, "changes": changes, "metric": "reconstruction/psnr", "screen": {"steps": 5}}
    return load_ablation({**tree, "confirm": {"steps": 10}, "features": "digits", **settings})


def test_operations_that_cannot_be_counted_are_not_known() -> None:
    assert "operations cannot be counted here: no kernel" in Plan({}, "no kernel").list_sentences()[0]


def test_before_the_screening_as_many_changes_are_counted_as_can_pass(tmp_path: Path) -> None:
    plan = plan_ablation(load_tiny(), tmp_path, FlopCounter())
    header, rows = plan.build_table()
    assert [row[:4] for row in rows] == [
        ["classifier of the features", "1", "0", "25,600"], ["screening", "5", "0", "200"],
        ["confirmation, if all pass", "15", "0", "1,200"], ["all", "21", "0", "27,000"],
    ]  # fmt: skip
    assert len(header) == 5 and all(row[4].endswith(" GFLOP") for row in rows)
    assert plan.list_lines()[1].startswith("screening: 5 runs, 0 of them finished; 200 images seen; 0.")
    assert plan.list_lines()[4:] == ["how long they take is known once a run is finished here"]
    one = plan_ablation(load_tiny(keep=1), tmp_path, FlopCounter())
    assert list(one.phases)[-1] == "confirmation, if 1 of 3 pass"
    assert [run.name for run in one.runs[-9:]] == ["base", "wide", "sum"] * 3, "the one with the most operations"


def test_time_is_that_of_the_same_variant_or_else_of_as_many_operations() -> None:
    short, long = (PlannedRun(Path(name), name, 10, 80, flops) for name, flops in (("short", 100), ("long", 400)))
    longer = long._replace(folder=Path("seed"), steps=30, flops=1200)
    assert estimate_seconds(longer, {}) is None
    assert estimate_seconds(longer, {short: 2.0}) == 24.0
    assert estimate_seconds(longer, {short: 2.0, long: 5.0}) == 15.0
    assert estimate_seconds(longer, {short._replace(flops=None): 2.0}) is None


def test_operations_as_text() -> None:
    assert [format_flops([count]) for count in (10**7, 2 * 10**9, 3 * 10**12, 4 * 10**18)] == [
        "0.01 GFLOP", "2.00 GFLOP", "3.00 TFLOP", "4,000.00 PFLOP",
    ]  # fmt: skip
    assert (format_flops([10**9, None]), format_flops([])) == ("not known", "0.00 GFLOP")
