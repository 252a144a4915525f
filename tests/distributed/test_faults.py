"""A fault of one process ends all processes soon, with one line that says why and no lost work."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from vaegan.config import dump_config
from vaegan.storage.run_folder import Run

from ..forked.client import Command, ForkServer, ProcessResult
from ..tiny import LOOP_OPTIONS, assert_same_history, find_largest_difference, flatten, load_newest, tiny

END_SECONDS = 60.0
"""Longest time that a process waits for one that has ended."""
LOST = "vaegan: another process of this launch has ended; {}\n"
RESUME = "go on with --resume"
OVERRIDES = (
    *LOOP_OPTIONS, "model.discriminator.spectral_norm=true", "train.dtype=float64", "train.steps=12",
    "train.log_every=5", "train.checkpoint_every=3", "train.evaluate_every=4", "evaluate.metrics=[psnr]",
    "evaluate.batch_size=16",
)  # fmt: skip
FROM_FILES = (
    "data.source=folder", "data.channels=3", "data.cache=none", "data.validation=0", "data.test=0",
    "train.steps=30", "train.checkpoint_every=null", "train.evaluate_every=null",
)  # fmt: skip
TRAIN = Command(["train", "tiny.yaml", "--resume"], processes=2)
COMPARE = Command(["compare", "study.yaml"], processes=2)
MOMENTS = {"reading": 0, "1": 0, "7": 6, "evaluation": 4, "step_00000006": 4}
"""Moments at which a process is killed, and the step of the newest checkpoint at each."""
WRITING = "step_00000006"
"""The only one of these moments that the main process is alone in."""
KILLED = [(moment, rank) for moment in MOMENTS for rank in (0, 1) if rank == 0 or moment != WRITING]
WORLD_SIZES = ((2, 1), (1, 2), (2, 2))
"""Number of processes that are killed all at once, and of those that resume."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """The results of all commands."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "tiny.yaml").write_text(dump_config(tiny("vaegan3", *OVERRIDES)))
    (folder / "files.yaml").write_text(dump_config(tiny("vaegan3", f"data.root={folder}/images", *FROM_FILES)))
    (folder / "study.yaml").write_text(yaml.safe_dump({"title": "One", "variants": {"one": {"recipe": "run.yaml"}}}))
    (folder / "run.yaml").write_text(dump_config(tiny("vae", "evaluate.metrics=[psnr]", "evaluate.batch_size=16")))
    alone = replace(TRAIN, processes=1)
    jobs = {"alone": [alone]}
    for moment, rank in KILLED:
        killed = replace(TRAIN, how=f"SIGKILL@{moment}", disturbed=rank)
        jobs[f"{moment}-{rank}"] = [killed, replace(alone, how="moment 0")]
    for before, after in WORLD_SIZES:
        groups = replace(TRAIN, how="SIGKILL@7", processes=before), replace(TRAIN, processes=after)
        jobs[f"{before}-{after}"] = list(groups)
    jobs["waited for"] = [replace(TRAIN, how="SIGTERM@7;sleep@finish")]
    for rank in (0, 1):
        jobs[f"compare-{rank}"] = [replace(COMPARE, how="SIGKILL@evaluation", disturbed=rank), COMPARE]
    with ForkServer(folder) as server:
        server.run(jobs)
        yield server


def check_loss(group: list[ProcessResult], rank: int, mend: str, noted: str = "") -> None:
    """Check that of two processes, the first of which has noted this, one was killed and the other said so soon."""
    killed, other = group[rank], group[1 - rank]
    before, speaks = (noted, "[rank 1] ") if rank == 0 else ("", noted)
    assert (killed.code, killed.out, killed.err) == (-9, "", before)
    assert (other.code, other.out, other.err) == (1, "", speaks + LOST.format(mend))
    assert abs(other.seconds - killed.seconds) < END_SECONDS


def check_end(server: ForkServer, name: str) -> None:
    """Check that a run has ended like the one without a fault."""
    one, two = Run(server.folder / "alone"), Run(server.folder / name)
    difference, where = find_largest_difference(flatten(load_newest(one.path)), flatten(load_newest(two.path)))
    assert difference < 1e-8, where
    assert_same_history(one, two)


@pytest.mark.parametrize(("moment", "rank"), KILLED)
def test_a_killed_process_ends_the_other_and_costs_nothing(server: ForkServer, moment: str, rank: int) -> None:
    name = f"{moment}-{rank}"
    group, (resumed,) = server.get_group_results(name)
    check_loss(group, rank, "start again" if moment == "reading" else RESUME)
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.moments.count("before compute_gradients") == 12 - MOMENTS[moment]
    check_end(server, name)


@pytest.mark.parametrize(("before", "after"), WORLD_SIZES)
def test_a_killed_run_resumes_on_any_number_of_processes_as_if_unharmed(server, before: int, after: int) -> None:
    killed, resumed = server.get_group_results(f"{before}-{after}")
    assert [process.code for process in killed] == [-9] * before
    assert [(process.code, process.err) for process in resumed] == [(0, "")] * after
    check_end(server, f"{before}-{after}")


def test_the_process_that_closes_the_record_is_waited_for(server: ForkServer) -> None:
    """A launcher would end it soon after the first process that ends."""
    ((first, other),) = server.get_group_results("waited for")
    stop = "vaegan: waited for: stopped at step 8; go on with --resume\n"
    assert (first.code, first.err, other.code, other.err) == (130, stop, 130, "")
    assert first.seconds - other.seconds < 1


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_killed_while_a_study_is_evaluated_ends_the_other(server: ForkServer, rank: int) -> None:
    group, again = server.get_group_results(f"compare-{rank}")
    check_loss(group, rank, "start again", "one/seed_0: training\n")
    assert [process.code for process in again] == [0, 0], again
    assert "finished already" in again[0].err and (server.folder / f"compare-{rank}/report.html").is_file()


@pytest.mark.parametrize("disturbance", ["lose", "spoil"])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_one_process_cannot_read_any_more_stops_both(server, disturbance: str, workers: int) -> None:
    name = f"{disturbance}-{workers}"
    file = server.folder / "images/03.png"
    file.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    for number in range(16):
        picture = Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        picture.save(file.with_name(f"{number:02}.png"))
    train = Command(["train", "files.yaml", f"data.workers={workers}", "--resume"], processes=2)
    server.run({name: [replace(train, how=f"{disturbance} {file}@3", disturbed=1)]})
    ((first, other),) = server.get_group_results(name)
    step = load_newest(server.folder / name).step
    assert 3 <= step < 30 and (first.code, first.out, other.code, other.out, other.err) == (1, "", 1, "", "")
    assert first.err.startswith(f"vaegan: {file}: ") and len(first.err.splitlines()) == 1
    assert first.err.endswith(f"mend or restore this image, then resume (the checkpoint of step {step} is kept)\n")

    picture.save(file)
    server.run({name: [train]})
    assert [process.code for process in server.get_group_results(name)[0]] == [0, 0]
    assert load_newest(server.folder / name).step == 30
