"""What the processes of one training have in common: weights, decisions, stops, and the messages that they exchange."""

import json
from pathlib import Path
from typing import Any

import prdc
import pytest

from vaegan.config import dump_config
from vaegan.evaluate.metrics.kid import compute_mmd2
from vaegan.randomness import draw_normal
from vaegan.storage.run_folder import Run

from ..tiny import (
    ADVERSARIES,
    CROSSED_FAMILIES,
    LOOP_OPTIONS,
    OWN_OPTIONS,
    assert_same_history,
    find_largest_difference,
    flatten,
    get_first_loss_name,
    get_network_names,
    load_newest,
    tiny,
)
from ..vaegan.data.image_sets import write_image_tree
from .pool import Pool


def write_config(folder: Path, name: str, *words: str) -> dict[str, Any]:
    """Write the config of a training to a file, and return the arguments of `worker.run_training`."""
    file = folder / f"{name}.yaml"
    file.write_text(dump_config(tiny(name, *LOOP_OPTIONS, *words)))
    return {"config": str(file), "folder": str(folder / f"run-{name}")}


@pytest.mark.parametrize("name", CROSSED_FAMILIES)
@pytest.mark.parametrize("slow", [None, 0, 2])
def test_all_ranks_hold_the_same_bits_after_every_step(name: str, slow: int | None, pool: Pool, tmp_path: Path) -> None:
    spectral = ("model.discriminator.spectral_norm=true",) if name in ADVERSARIES else ()
    arguments = write_config(tmp_path, name, *spectral, "train.steps=6", "train.micro_batch_size=1")
    ranks = pool.run(4, "train", **arguments, slow=slow)
    fingerprints = [rank["fingerprints"] for rank in ranks]
    assert len(fingerprints[0]) == len(set(fingerprints[0])) == 6
    assert fingerprints == [fingerprints[0]] * 4


@pytest.mark.parametrize("name", CROSSED_FAMILIES)
@pytest.mark.parametrize("division", [(), ("train.micro_batch_size=2",), ("train.micro_batch_size=1",)])
def test_each_gradient_is_reduced_once_a_step_with_the_last_micro_batch(name, division, pool, tmp_path) -> None:
    arguments = write_config(tmp_path, name, "train.steps=5", "train.batch_size=8", "train.log_every=100", *division)
    micro_batches = {(): 1, ("train.micro_batch_size=2",): 2, ("train.micro_batch_size=1",): 4}[division]
    for parameters, events in pool.run(2, "traffic", **arguments):
        assert list(parameters) == get_network_names(name)
        for step in range(5):
            messages = [(message, size) for at, message, size in events if at == step and message != "all_reduce"]
            assert messages[:micro_batches] == [("forward", 0)] * micro_batches
            buckets = messages[micro_batches:]
            assert "forward" not in dict(buckets)
            for network, size in parameters.items():
                assert sum(bucket_size for bucket, bucket_size in buckets if bucket == network) == size


def test_own_modules_hold_the_same_bits_on_all_ranks_and_are_resumed_by_another_number_of_them(pool, tmp_path) -> None:
    words = (*OWN_OPTIONS, "train.dtype=float64", "train.steps=6", "train.micro_batch_size=2")
    whole = write_config(tmp_path, "vaegan3", *words)
    ranks = pool.run(4, "train", **whole, own=[0] * 4)
    fingerprints = [rank["fingerprints"] for rank in ranks]
    assert len(set(fingerprints[0])) == 6 and fingerprints == [fingerprints[0]] * 4
    stopped = {**whole, "folder": str(tmp_path / "stopped")}
    assert "stopped at step 3" in pool.run(1, "train", **stopped, stop=3, own=[0])[0]["end"]
    assert [rank["end"] for rank in pool.run(2, "train", **stopped, resume=True, own=[0] * 2)] == ["finished"] * 2
    states = [flatten(load_newest(Path(arguments["folder"]))) for arguments in (whole, stopped)]
    difference, where = find_largest_difference(*states)
    assert difference < 1e-8, where


def test_own_modules_that_differ_between_the_processes_are_refused_by_all(pool: Pool, tmp_path: Path) -> None:
    arguments = write_config(tmp_path, "vaegan3", *OWN_OPTIONS)
    ranks = pool.run(2, "train", **arguments, own=[0, 1])
    problem = "networks: the processes were given other initial weights; call torch.manual_seed before they are made"
    assert [rank["end"] for rank in ranks] == [problem] * 2
    assert not Path(arguments["folder"]).exists()


@pytest.mark.parametrize("name", CROSSED_FAMILIES)
def test_a_resume_may_change_the_number_of_processes(name: str, pool: Pool, tmp_path: Path) -> None:
    words = ("train.dtype=float64", "train.steps=9", "train.log_every=4", "train.learning_rate=0.01")
    whole = write_config(tmp_path, name, *words)
    pool.run(1, "train", **whole)
    expected = flatten(load_newest(Path(whole["folder"])))
    for before, after in ((1, 2), (2, 1), (4, 2), (2, 4)):
        stopped = {**whole, "folder": str(tmp_path / f"{before}-{after}")}
        ends = [rank["end"] for rank in pool.run(before, "train", **stopped, stop=3)]
        assert ends == [f"{stopped['folder']}: stopped at step 3; go on with --resume"] * before
        resumed = pool.run(after, "train", **stopped, resume=True)
        assert [rank["end"] for rank in resumed] == ["finished"] * after
        difference, where = find_largest_difference(expected, flatten(load_newest(Path(stopped["folder"]))))
        assert difference < 1e-8, (before, after, where)
        assert_same_history(Run(Path(whole["folder"])), Run(Path(stopped["folder"])))


@pytest.mark.parametrize("name", CROSSED_FAMILIES)
def test_a_nan_on_one_rank_stops_all_of_them_together(name: str, pool: Pool, tmp_path: Path) -> None:
    arguments = write_config(tmp_path, name, "train.steps=8")
    ranks = pool.run(4, "train", **arguments, poison={"rank": 2, "from": 4, "to": 5})
    assert {rank["end"] for rank in ranks} == {
        f"step 5: {get_first_loss_name(name)} not finite; the checkpoint of step 4 is kept; begin another run with a"
        " smaller train.learning_rate or a train.clip_norm, or go on with --resume train.nan=skip"
    }
    assert load_newest(Path(arguments["folder"])).step == 4


@pytest.mark.parametrize("name", CROSSED_FAMILIES)
def test_a_nan_on_one_rank_is_skipped_by_all_of_them(name: str, pool: Pool, tmp_path: Path) -> None:
    arguments = write_config(tmp_path, name, "train.steps=9", "train.nan=skip")
    ranks = pool.run(4, "train", **arguments, poison={"rank": 2, "from": 3, "to": 6})
    assert {rank["end"] for rank in ranks} == {"finished"}
    first, *others = [rank["fingerprints"] for rank in ranks]
    assert others == [first] * 3
    assert first[2:6] == [first[2]] * 4 and len(set(first)) == 6  # a skipped update changes nothing
    notes = [f"step {step}: {get_first_loss_name(name)} not finite; this update is skipped" for step in (4, 5, 6)]
    assert [rank["notes"] for rank in ranks] == [notes, [], [], []]
    state = load_newest(Path(arguments["folder"])).state
    assert (state["updates"], state["skipped"]) == (6, 0)
    lines = [json.loads(line) for line in Run(Path(arguments["folder"])).history_file.read_text().splitlines()]
    assert [line["step"] for line in lines if "skipped" in line] == [4, 5, 6]
    assert all(value is not None for line in lines for value in line.values())


def test_a_few_skipped_updates_in_a_row_stop_the_training(pool: Pool, tmp_path: Path) -> None:
    arguments = write_config(tmp_path, "vaegan3", "train.steps=20", "train.nan=skip")
    ranks = pool.run(2, "train", **arguments, poison={"rank": 1, "from": 3, "to": 20})
    (end,) = {rank["end"] for rank in ranks}
    assert end.startswith(
        "step 8: loss/reconstruction not finite in the 5th step in a row; the checkpoint of step 7 is kept"
    )
    again = pool.run(1, "train", **arguments, resume=True, poison={"rank": 0, "from": 3, "to": 20})
    assert again[0]["end"] == end
    resumed = pool.run(2, "train", **arguments, resume=True)
    assert {rank["end"] for rank in resumed} == {"finished"}
    assert load_newest(Path(arguments["folder"])).state["updates"] == 16


def test_a_classifier_is_evaluated_alike_by_any_number_of_processes(pool: Pool, tmp_path: Path) -> None:
    arguments = write_config(tmp_path, "classifier", "train.steps=30", "train.dtype=float64", "evaluate.batch_size=50")
    pool.run(1, "train", **arguments)
    folder = arguments["folder"]
    (alone,) = pool.run(1, "evaluate", folder=folder)
    assert alone["metrics"].keys() >= {"test/accuracy", "train/cross_entropy"}
    for world in (2, 4):
        first, *others = pool.run(world, "evaluate", folder=folder)
        assert all(other == first for other in others), "each process has the same bits"
        assert first["protocol"] == alone["protocol"]
        assert first["metrics"] == pytest.approx(alone["metrics"], rel=1e-12)
        assert first["scores"] == alone["scores"]


def test_one_process_of_a_machine_verifies_the_images_for_all_on_it(pool: Pool, tmp_path: Path) -> None:
    root, caches = write_image_tree(tmp_path / "A", 20), [str(tmp_path / name) for name in ("one", "two", "two")]
    assert pool.run(3, "open", root=str(root), caches=caches) == [[20, None], [20, None], [0, None]]
    torn = root / "cat" / "00.png"
    torn.write_bytes(torn.read_bytes()[:99])
    first, *others = pool.run(3, "open", root=str(root), caches=caches)
    assert [first[0], *(other[0] for other in others)] == [1, 1, 0]
    assert all(other[1] == first[1] for other in others)
    assert first[1].startswith(f"data.strict: 1 of the files cannot be used as images: {torn}")


def test_one_process_of_a_machine_decodes_the_images_that_all_hold_in_memory(pool: Pool, tmp_path: Path) -> None:
    """The others map its memory, which has no name that could stay behind; all have the bits of a single process."""
    root = write_image_tree(tmp_path / "A", 20)
    (root / "cat" / "bad.png").write_bytes(b"?")
    (alone,) = pool.run(1, "share", root=str(root))
    assert alone["decoded"] == 21 and not alone["maps"]
    for machines, decoded in (([0, 0, 0], [21, 0, 0]), ([0, 1, 1], [21, 21, 0]), ([0, 1, 0], [21, 21, 0])):
        ranks = pool.run(3, "share", root=str(root), machines=machines)
        assert [rank["decoded"] for rank in ranks] == decoded
        assert [rank["maps"] for rank in ranks] == [machines.count(machine) > 1 for machine in machines]
        assert all(rank["images"] == alone["images"] for rank in ranks)
    cut_off = pool.run(2, "share", root=str(root), machines=[0, 0], hidden=True)
    assert [rank["decoded"] for rank in cut_off] == [21, 21] and cut_off[1]["images"] == alone["images"]
    (root / "dog" / "bad.png").write_bytes(b"?")
    ends = [rank["images"] for rank in pool.run(3, "share", root=str(root), machines=[0, 1, 1], strict=True)]
    assert ends[0].startswith("data.strict: 2 of the files cannot be used as images: ") and ends == [ends[0]] * 3


def test_random_crops_of_shared_images_are_those_of_a_single_process(pool: Pool, tmp_path: Path) -> None:
    root = write_image_tree(tmp_path / "A", 20)
    (alone,) = pool.run(1, "share", root=str(root), crop="random")
    ranks = pool.run(2, "share", root=str(root), machines=[0, 0], crop="random")
    assert [rank["images"] for rank in ranks] == [alone["images"]] * 2


def test_sets_of_features_are_compared_in_parts_to_the_same_bits(pool: Pool) -> None:
    """By 1, 2 and 4 processes, none of which holds them all; and to the values of the definitions."""
    results = [pool.run(world, "features") for world in (1, 2, 4)]
    assert all(values == results[0][0] for ranks in results for values in ranks)
    real, other = (0.9 * draw_normal((count, 12), 0, name) for count, name in ((300, "real"), (260, "other")))
    whole, *rest = results[0][0]
    assert whole == pytest.approx(compute_mmd2(real, other).item(), rel=1e-12)
    theirs = [prdc.compute_prdc(real.numpy(), other.numpy(), nearest_k=k) for k in (3, 5)]
    expected = [theirs[0]["precision"], theirs[0]["recall"], theirs[1]["density"], theirs[1]["coverage"]]
    assert rest[10:] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("timeout", "beat", "work"), [(60, 0.2, 1.5), pytest.param(6, 1, 12, marks=pytest.mark.long)])
def test_the_main_process_is_waited_for_longer_than_a_collective_call_may_take(timeout, beat, work, pool: Pool) -> None:
    main, *others = pool.run(3, "long", timeout=timeout, beat=beat, work=work)
    assert main[:2] == [[0, None], "it failed"] and all(other[:2] == [None, "it failed"] for other in others)
    assert work / beat / 2 < main[2] - 1 <= work / beat + 2 and all(other[2] == main[2] for other in others)
