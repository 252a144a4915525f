"""A run that is killed at any moment, and resumed, ends as if nothing had happened: the same files, byte for byte."""

from collections.abc import Iterator
from typing import Any

import pytest

from vaegan.config import dump_config
from vaegan.config.schema import Config

from ..forked.client import OWN_TRAINING, Command, ForkServer
from ..tiny import (
    ADVERSARIES,
    CONDITIONAL_OPTIONS,
    FAMILIES,
    FAMILY_OPTIONS,
    LOOP_OPTIONS,
    OWN_OPTIONS,
    divide_cases,
    read_run_files,
    tiny,
)

STEPS = 8
WORDS = (
    *LOOP_OPTIONS, "data.source=shapes", "data.count=40", "data.validation=0.4", f"train.steps={STEPS}",
    "train.checkpoint_every=3", "train.evaluate_every=4", "train.sample_every=3", "evaluate.metrics=[psnr,sharpness]",
    "evaluate.batch_size=8",
)  # fmt: skip
"""Steps 3, 4, 6 and 8 end with a checkpoint, 4 and 8 with an evaluation; 3 is deleted with 6; an epoch is 2.5 steps."""
FULLY_TESTED = "vaegan3"
"""The family that is killed at more than the last moment of each kind."""
OWN = "own modules"
"""Trainings of `vaegan3` with the networks of `own_networks.py`."""
DECODER = "decoder alone"
"""Trainings of `vaegan1-grid` whose encoder is frozen."""
FROZEN = "train.freeze: the encoder is frozen with random weights; train.init gives it trained ones\n"
"""Note of these."""
OTHERS = [*(name for name in FAMILIES if name != FULLY_TESTED), "vaegan1-diffusers", OWN, DECODER]
"""The other trainings."""
SHORT_ROWS = {"vae", "vaegan3-grid", "vqvae", "pixelcnn", "flow", "classifier", OWN}
"""Those of them that are killed in `make test`; the others are tried by `make test-long`."""


def build_config(family: str) -> Config:
    if family == DECODER:
        return tiny("vaegan1-grid", *WORDS, "train.freeze=[encoder]")
    if family == OWN:
        return tiny("vaegan3", *WORDS, *OWN_OPTIONS, "model.labels=6")
    classes = ("model.classes=6",) if family == "classifier" else ()
    labels = ("model.labels=6",) if family in CONDITIONAL_OPTIONS else ()
    own = ("model.adversarial.instance_queue=5", "train.evaluate_every=4") if family == FULLY_TESTED else ()
    spectral = ("model.discriminator.spectral_norm=true",) if family in ADVERSARIES else ()
    return tiny(family, *WORDS, *FAMILY_OPTIONS.get(family, ()), *own, *spectral, *classes, *labels)


class KilledTrainings:
    """Trainings of a family, each named after the numbers of the moments that kill it and its resumes.

    "70-3" is killed at its 70th moment, and its resume at the 3rd; "0" is not killed.
    """

    def __init__(self, server: ForkServer, family: str) -> None:
        self.server, self.family, self.done = server, family, set[str]()
        self.folder = server.folder / family
        self.folder.mkdir()
        (self.folder / "config.yaml").write_text(dump_config(build_config(family)))
        self.train("0")
        self.whole, resumed = self.get_moments("0")
        assert resumed == []
        self.files = read_run_files(self.folder / "0")

    def train(self, *names: str) -> None:
        """Run the trainings of these names that have not run yet, and resume each to its end."""
        file = f"{self.family}/config.yaml"
        words = [OWN_TRAINING, file] if self.family == OWN else ["train", file, "--resume"]
        new = [name for name in names if name not in self.done]
        jobs = {
            f"{self.family}/{name}": [Command(words, f"moment {number}") for number in [*name.split("-"), 0]]
            for name in new
        }
        self.server.run(jobs)
        self.done |= set(new)

    def get_moments(self, name: str) -> list[list[str]]:
        """Return the moments of each process of a training, of which all but the last were killed."""
        processes = self.server.get_results(f"{self.family}/{name}")
        assert [process.code for process in processes] == [
            *(0 if number == "0" else -9 for number in name.split("-")),
            0,
        ], processes
        assert {process.err for process in processes} <= {"", FROZEN if self.family == DECODER else ""}, processes
        return [process.moments for process in processes]

    def check(self, *names: str) -> None:
        """Check that these were killed at their moments, resumed, and left the same files as the whole run."""
        self.train(*names)
        for name in names:
            numbers = [int(number) for number in name.split("-")]
            killed, *between, resumed = self.get_moments(name)
            assert [len(moments) for moments in (killed, *between)] == numbers
            assert killed == self.whole[: numbers[0]]
            passed = [moment for moments in (killed, *between) for moment in moments[:-1]]
            saved = [int(moment[-16:-8]) for moment in passed if moment.startswith("before rename: checkpoints/")]
            assert resumed.count("before compute_gradients") == STEPS - max(saved, default=0)
            files = read_run_files(self.folder / name)
            assert files.keys() == self.files.keys(), (name, killed[-1])
            assert [path for path in files if files[path] != self.files[path]] == [], (name, killed[-1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with ForkServer(tmp_path_factory.mktemp("killed")) as server:
        yield server


@pytest.fixture(scope="module")
def trainings(server: ForkServer, request: pytest.FixtureRequest) -> KilledTrainings:
    return KilledTrainings(server, request.param)


def train_family(*families: Any) -> pytest.MarkDecorator:
    """Parametrize a test by the trainings of these families."""
    return pytest.mark.parametrize("trainings", families, indirect=True)


def get_kind(moment: str) -> str:
    """Return what happens at a moment, without the file that it happens to."""
    return moment.partition(":")[0]


def find_moments(moments: list[str], kind: str) -> list[int]:
    """Return the numbers of the moments of a kind, from 1."""
    return [number for number, moment in enumerate(moments, 1) if get_kind(moment) == kind]


def find_last_of_each_kind(moments: list[str]) -> set[int]:
    """Return the numbers of the last moment of each kind, from 1."""
    numbers = {get_kind(moment): number for number, moment in enumerate(moments, 1)}
    assert len(numbers) == 13
    return set(numbers.values())


@train_family(*divide_cases(OTHERS, SHORT_ROWS))
def test_a_run_killed_at_a_moment_of_each_kind_ends_as_if_nothing_had_happened(trainings: KilledTrainings) -> None:
    trainings.check(*map(str, sorted(find_last_of_each_kind(trainings.whole))))


@train_family(FULLY_TESTED)
def test_a_run_killed_at_some_moments_ends_as_if_nothing_had_happened(trainings: KilledTrainings) -> None:
    """Every moment of the writing of one checkpoint and of one step, the last one of each kind, and two more."""
    whole = trainings.whole
    saving = range(
        whole.index("before mkdir: checkpoints/step_00000006.partial") - 1,  # from the sync of the history
        whole.index("before rmdir: checkpoints/step_00000003") + 2,
    )
    begins, averages = (find_moments(whole, f"before {call}") for call in ("compute_gradients", "update_ema"))
    step = range(begins[4], averages[2 * 4 + 1] + 1)  # there are two averages
    early = whole.index("before rename: checkpoints/step_00000003.partial") + 1
    pruning = whole.index("before rmdir: checkpoints/step_00000004") + 1
    chosen = {*saving, *step, *find_last_of_each_kind(whole), early, pruning}
    assert len(step) == 9 and len(chosen) > 50

    kinds = [get_kind(whole[number - 1]) for number in saving]
    written, renamed = len(kinds) - kinds[::-1].index("half of writing"), kinds.index("before rename")
    files = {whole[number - 1] for number, kind in zip(saving, kinds, strict=True) if kind == "before writing"}
    assert len(files) == 9 and kinds.count("before writing") == kinds.count("half of writing")
    assert kinds[0] == "before fsync" and kinds[written:renamed].count("before fsync") == 10  # 9 files and the folder
    assert kinds[renamed + 1 :] == ["before fsync", *["before remove"] * 9, "before rmdir"]
    trainings.check(*map(str, sorted(chosen)))


@train_family(FULLY_TESTED)
def test_a_run_may_be_killed_again_while_it_is_resumed(trainings: KilledTrainings) -> None:
    """Where the log is cut back, and in the evaluation that the first kill cut off."""
    first = str(trainings.whole.index("evaluation: 16/32") + 1)
    trainings.train(first)
    _, resumed = trainings.get_moments(first)
    evaluated = resumed.index("evaluation: 24/32")
    assert evaluated < resumed.index("before compute_gradients")
    again = [resumed.index(f"{when}: history.jsonl.partial") for when in ("half of writing", "before rename")]
    trainings.check(*(f"{first}-{1 + number}" for number in (*again, evaluated)))


@pytest.mark.long
@train_family(*FAMILIES)
def test_a_run_killed_at_any_moment_ends_as_if_nothing_had_happened(trainings: KilledTrainings) -> None:
    trainings.check(*(str(number) for number, _ in enumerate(trainings.whole, 1)))


@pytest.mark.long
@train_family(*FAMILIES)
def test_a_run_may_be_killed_again_at_any_moment(trainings: KilledTrainings) -> None:
    first = str(trainings.whole.index("before rmdir: checkpoints/step_00000003") + 1)
    trainings.train(first)
    _, resumed = trainings.get_moments(first)
    trainings.check(*(f"{first}-{number}" for number, _ in enumerate(resumed, 1)))
