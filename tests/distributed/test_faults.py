"""What happens to one process of a company ends all of them soon, with a line that says why and no lost work."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from vaegan.config import dump_config
from vaegan.storage.runs import Run

from ..forked.client import Command, Ended, Forked
from ..tiny import EVERYTHING, assert_same_history, farthest, flat, last, tiny

SOON = 60.0
"""Seconds within which nobody waits any more for who has gone."""
LOST = "vaegan: another process of this launch has ended; {}\n"
RESUME = "go on with --resume"
WORDS = (
    *EVERYTHING, "model.discriminator.spectral_norm=true", "train.dtype=float64", "train.steps=12", "train.log_every=5",
    "train.checkpoint_every=3", "train.evaluate_every=4", "evaluate.metrics=[psnr]", "evaluate.batch_size=16",
)  # fmt: skip
FROM_FILES = (
    "data.source=folder", "data.channels=3", "data.cache=none", "data.validation=0", "data.test=0",
    "train.steps=30", "train.checkpoint_every=null", "train.evaluate_every=null",
)  # fmt: skip
TRAIN = Command(["train", "tiny.yaml", "--resume"], processes=2)
COMPARE = Command(["compare", "study.yaml"], processes=2)
MOMENTS = {"reading": 0, "1": 0, "7": 6, "evaluation": 4, "step_00000006": 4}
"""When a process is killed, and the step of the checkpoint that is then the newest."""
WRITING = "step_00000006"
"""The only one of these moments that the first process is alone in."""
KILLED = [(moment, rank) for moment in MOMENTS for rank in (0, 1) if rank == 0 or moment != WRITING]
COMPANIES = ((2, 1), (1, 2), (2, 2))
"""How many processes are killed all at once, and how many go on."""


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """All commands, done."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "tiny.yaml").write_text(dump_config(tiny("vaegan3", *WORDS)))
    (folder / "files.yaml").write_text(dump_config(tiny("vaegan3", f"data.root={folder}/images", *FROM_FILES)))
    (folder / "study.yaml").write_text(yaml.safe_dump({"title": "One", "variants": {"one": {"recipe": "judged.yaml"}}}))
    (folder / "judged.yaml").write_text(dump_config(tiny("vae", "evaluate.metrics=[psnr]", "evaluate.batch_size=16")))
    alone = replace(TRAIN, processes=1)
    jobs = {"alone": [alone]}
    for moment, rank in KILLED:
        killed = replace(TRAIN, how=f"SIGKILL@{moment}", disturbed=rank)
        jobs[f"{moment}-{rank}"] = [killed, replace(alone, how="moment 0")]
    for before, after in COMPANIES:
        companies = replace(TRAIN, how="SIGKILL@7", processes=before), replace(TRAIN, processes=after)
        jobs[f"{before}-{after}"] = list(companies)
    jobs["waited for"] = [replace(TRAIN, how="SIGTERM@7;sleep@finish")]
    for rank in (0, 1):
        jobs[f"compare-{rank}"] = [replace(COMPARE, how="SIGKILL@evaluation", disturbed=rank), COMPARE]
    with Forked(folder) as forked:
        forked.do(jobs)
        yield forked


def check_loss(company: list[Ended], rank: int, mend: str, noted: str = "") -> None:
    """Of two processes, of which the first has noted this, one was killed, and the other has said so soon."""
    killed, other = company[rank], company[1 - rank]
    before, speaks = (noted, "[rank 1] ") if rank == 0 else ("", noted)
    assert (killed.code, killed.out, killed.err) == (-9, "", before)
    assert (other.code, other.out, other.err) == (1, "", speaks + LOST.format(mend))
    assert abs(other.seconds - killed.seconds) < SOON


def check_end(forked: Forked, name: str) -> None:
    """A run has ended as the one that nothing happened to."""
    one, two = Run(forked.folder / "alone"), Run(forked.folder / name)
    difference, where = farthest(flat(last(one.path)), flat(last(two.path)))
    assert difference < 1e-8, where
    assert_same_history(one, two)


@pytest.mark.parametrize(("moment", "rank"), KILLED)
def test_a_killed_process_ends_the_other_and_costs_nothing(forked: Forked, moment: str, rank: int) -> None:
    name = f"{moment}-{rank}"
    company, (resumed,) = forked.companies(name)
    check_loss(company, rank, "start again" if moment == "reading" else RESUME)
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.moments.count("before gradients") == 12 - MOMENTS[moment]
    check_end(forked, name)


@pytest.mark.parametrize(("before", "after"), COMPANIES)
def test_a_killed_company_goes_on_in_other_numbers_as_if_it_had_not_been(forked, before: int, after: int) -> None:
    killed, resumed = forked.companies(f"{before}-{after}")
    assert [each.code for each in killed] == [-9] * before
    assert [(each.code, each.err) for each in resumed] == [(0, "")] * after
    check_end(forked, f"{before}-{after}")


def test_who_closes_the_record_is_waited_for(forked: Forked) -> None:
    """A launcher would end it soon after the others."""
    ((first, other),) = forked.companies("waited for")
    stop = "vaegan: waited for: stopped at step 8; go on with --resume\n"
    assert (first.code, first.err, other.code, other.err) == (130, stop, 130, "")
    assert first.seconds - other.seconds < 1


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_killed_while_a_study_is_judged_ends_the_other(forked: Forked, rank: int) -> None:
    company, again = forked.companies(f"compare-{rank}")
    check_loss(company, rank, "start again", "one/seed_0: training\n")
    assert [each.code for each in again] == [0, 0], again
    assert "finished already" in again[0].err and (forked.folder / f"compare-{rank}/report.html").is_file()


@pytest.mark.parametrize("spoiled", ["lose", "spoil"])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_one_process_cannot_read_any_more_stops_both(forked, spoiled: str, workers: int) -> None:
    name = f"{spoiled}-{workers}"
    file = forked.folder / "images/03.png"
    file.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    for number in range(16):
        picture = Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        picture.save(file.with_name(f"{number:02}.png"))
    train = Command(["train", "files.yaml", f"data.workers={workers}", "--resume"], processes=2)
    forked.do({name: [replace(train, how=f"{spoiled} {file}@3", disturbed=1)]})
    ((first, other),) = forked.companies(name)
    step = last(forked.folder / name).step
    assert 3 <= step < 30 and (first.code, first.out, other.code, other.out, other.err) == (1, "", 1, "", "")
    assert first.err.startswith(f"vaegan: {file}: ") and len(first.err.splitlines()) == 1
    assert first.err.endswith(f"mend or restore this image, then resume (the checkpoint of step {step} is kept)\n")

    picture.save(file)
    forked.do({name: [train]})
    assert [each.code for each in forked.companies(name)[0]] == [0, 0] and last(forked.folder / name).step == 30
