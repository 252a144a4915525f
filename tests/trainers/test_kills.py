"""A run that is killed at any moment, and resumed, ends as if nothing had happened: the same files, byte for byte."""

from collections.abc import Iterator

import pytest

from vaegan.config import dump_config
from vaegan.config.schema import Config

from ..forked.client import Command, Forked
from ..tiny import ADVERSARIES, CONDITIONS, EVERYTHING, FAMILIES, left_behind, tiny

STEPS = 8
WORDS = (
    *EVERYTHING, "data.source=shapes", "data.count=40", "data.validation=0.4", f"train.steps={STEPS}",
    "train.checkpoint_every=3", "train.evaluate_every=4", "train.sample_every=3", "evaluate.metrics=[psnr,sharpness]",
    "evaluate.batch_size=8",
)  # fmt: skip
"""Steps 3, 4, 6 and 8 end with a checkpoint, 4 and 8 with an evaluation; 3 is deleted with 6; an epoch is 2.5 steps."""
FULL = "vaegan3"
"""The family that CI kills at more than the last moment of each kind."""


def config_of(family: str) -> Config:
    spectral = ("model.discriminator.spectral_norm=true",)
    own = {name: spectral for name in ADVERSARIES} | {"classifier": ("model.classes=6",)}
    conditional = (*CONDITIONS[family], "model.labels=6") if family in CONDITIONS else ()
    return tiny(family, *WORDS, *own.get(family, ()), *conditional)


class Killed:
    """Trainings of a family, named after the moments that kill them: "70-3" its 70th, and the 3rd of its resume.

    "0" is killed at none.
    """

    def __init__(self, forked: Forked, family: str) -> None:
        self.forked, self.family, self.done = forked, family, set[str]()
        self.folder = forked.folder / family
        self.folder.mkdir()
        (self.folder / "config.yaml").write_text(dump_config(config_of(family)))
        self.train("0")
        self.whole, again = self.moments("0")
        assert again == []
        self.files = left_behind(self.folder / "0")

    def train(self, *names: str) -> None:
        """Do these, if they are not done yet, and resume each to its end."""
        words = ["train", f"{self.family}/config.yaml", "--resume"]
        new = [name for name in names if name not in self.done]
        jobs = {
            f"{self.family}/{name}": [Command(words, f"moment {number}") for number in [*name.split("-"), 0]]
            for name in new
        }
        self.forked.do(jobs)
        self.done |= set(new)

    def moments(self, name: str) -> list[list[str]]:
        """Those of each of its processes, of which all but the last were killed."""
        ended = self.forked.ended(f"{self.family}/{name}")
        assert [each.code for each in ended] == [*(0 if number == "0" else -9 for number in name.split("-")), 0], ended
        assert {each.err for each in ended} == {""}, ended
        return [each.moments for each in ended]

    def check(self, *names: str) -> None:
        """These were killed where they should be, went on from their newest checkpoint, and ended as the whole run."""
        self.train(*names)
        for name in names:
            numbers = [int(number) for number in name.split("-")]
            killed, *between, resumed = self.moments(name)
            assert [len(moments) for moments in (killed, *between)] == numbers
            assert killed == self.whole[: numbers[0]]
            over = [moment for moments in (killed, *between) for moment in moments[:-1]]
            saved = [int(moment[-16:-8]) for moment in over if moment.startswith("before rename: checkpoints/")]
            assert resumed.count("before compute_gradients") == STEPS - max(saved, default=0)
            found = left_behind(self.folder / name)
            assert found.keys() == self.files.keys(), (name, killed[-1])
            assert [path for path in found if found[path] != self.files[path]] == [], (name, killed[-1])


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    with Forked(tmp_path_factory.mktemp("killed")) as forked:
        yield forked


@pytest.fixture(scope="module")
def killed(forked: Forked, request: pytest.FixtureRequest) -> Killed:
    return Killed(forked, request.param)


def of(*families: str) -> pytest.MarkDecorator:
    """A test is of the trainings of these families."""
    return pytest.mark.parametrize("killed", families, indirect=True)


def kind(moment: str) -> str:
    """What happens at a moment, wherever."""
    return moment.partition(":")[0]


def places(moments: list[str], some: str) -> list[int]:
    """Numbers of the moments of a kind, from 1."""
    return [number for number, moment in enumerate(moments, 1) if kind(moment) == some]


def last_of_each_kind(moments: list[str]) -> set[int]:
    """Their numbers, from 1."""
    numbers = {kind(moment): number for number, moment in enumerate(moments, 1)}
    assert len(numbers) == 13
    return set(numbers.values())


@of(*(family for family in FAMILIES if family != FULL))
def test_a_run_killed_at_a_moment_of_each_kind_ends_as_if_nothing_had_happened(killed: Killed) -> None:
    killed.check(*map(str, sorted(last_of_each_kind(killed.whole))))


@of(FULL)
def test_a_run_killed_at_some_moments_ends_as_if_nothing_had_happened(killed: Killed) -> None:
    """Every moment of the writing of one checkpoint and of one step, the last one of each kind, and two more."""
    whole = killed.whole
    saving = range(
        whole.index("before mkdir: checkpoints/step_00000006.partial") - 1,  # from the sync of the history
        whole.index("before rmdir: checkpoints/step_00000003") + 2,
    )
    step = range(places(whole, "before compute_gradients")[4], places(whole, "before update_ema")[4] + 1)
    early = whole.index("before rename: checkpoints/step_00000003.partial") + 1
    pruning = whole.index("before rmdir: checkpoints/step_00000004") + 1
    chosen = {*saving, *step, *last_of_each_kind(whole), early, pruning}
    assert len(step) == 8 and len(chosen) > 50

    kinds = [kind(whole[number - 1]) for number in saving]
    written, renamed = len(kinds) - kinds[::-1].index("half of writing"), kinds.index("before rename")
    assert kinds.count("before writing") == kinds.count("half of writing") == 7
    assert kinds[0] == "before fsync" and kinds[written:renamed].count("before fsync") == 8  # 7 files and the folder
    assert kinds[renamed + 1 :] == ["before fsync", *["before remove"] * 7, "before rmdir"]
    killed.check(*map(str, sorted(chosen)))


@of(FULL)
def test_a_run_may_be_killed_again_while_it_is_resumed(killed: Killed) -> None:
    """Where the log is cut back, and in the evaluation that the first kill cut off."""
    first = str(killed.whole.index("evaluation: 16/32") + 1)
    killed.train(first)
    _, resumed = killed.moments(first)
    evaluated = resumed.index("evaluation: 24/32")
    assert evaluated < resumed.index("before compute_gradients")
    again = [resumed.index(f"{when}: history.jsonl.partial") for when in ("half of writing", "before rename")]
    killed.check(*(f"{first}-{1 + number}" for number in (*again, evaluated)))


@pytest.mark.long
@of(*FAMILIES)
def test_a_run_killed_at_any_moment_ends_as_if_nothing_had_happened(killed: Killed) -> None:
    killed.check(*(str(number) for number, _ in enumerate(killed.whole, 1)))


@pytest.mark.long
@of(*FAMILIES)
def test_a_run_may_be_killed_again_at_any_moment(killed: Killed) -> None:
    first = str(killed.whole.index("before rmdir: checkpoints/step_00000003") + 1)
    killed.train(first)
    _, resumed = killed.moments(first)
    killed.check(*(f"{first}-{number}" for number, _ in enumerate(resumed, 1)))
