"""The settings of an ablation, typed and documented where they are defined."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from vaegan.text import shorten

from .differences import flatten
from .section import FROM_PYTHON, Count, Section, Text
from .study_schema import check_folder_names

BASE, SUM = "base", "sum"
"""Names of the variants that an ablation adds to its changes: without a change, and with several of them."""
CHANGED_SECTIONS = ("model", "train")
"""Sections of a config that a change may set; the others hold for all variants alike."""
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1), FROM_PYTHON]


class BaseRun(Section):
    """The run that every change is made to."""

    recipe: Text
    """Recipe or config file."""
    set: dict[str, object] = Field({})
    """Settings that differ from the recipe, nested as in a config; `key.sub=value` on the command line is added to
    them. They hold for every variant that does not change them."""


class Screening(Section):
    """The first phase: every change at a small budget."""

    steps: Count
    """Optimizer steps of the base. A variant with another batch size sees as many images."""
    seeds: Seeds = (0,)
    """Seeds; each variant is trained once with each of them."""


class Confirmation(Section):
    """The second phase: the changes that passed the screening, at the budget that counts."""

    steps: Count | None = None
    """Optimizer steps of the base, as in the screening; None: those of its recipe."""
    seeds: Seeds = (1, 2, 3)
    """Seeds, all different from those of the screening, so that no change is confirmed by the luck of one seed."""


class AblationConfig(Section):
    """An ablation: one change of a base at a time and their sum, screened and then confirmed."""

    title: Text
    """Heading of the page; the W&B groups are this and the phase."""
    base: BaseRun
    """The run that every change is made to."""
    changes: Annotated[dict[str, dict[str, object]], Field(min_length=1)]
    """Changes by name, each a mapping of settings of `model` and `train`, nested as in a config."""
    metric: Text
    """Metric by which changes pass the screening: its key in `metrics.json` without the name of the feature network,
    such as `sample/kid`. Like everything in an ablation, it is measured on validation images."""
    keep: Count | None = None
    """Largest number of changes that are confirmed: those with the best effect on `metric`. None: all. Only a change
    whose effect in the screening is in the good direction passes in either case."""
    screen: Screening
    """Budget of the screening."""
    confirm: Confirmation = Confirmation()
    """Budget of the confirmation."""
    features: Text | None = None
    """Classifier that is trained first, on the base's own images, to give the features of `frechet`, `kid` and `prdc`:
    a set with a recipe for a classifier (`digits`), or a config file; None: the network of `evaluate.features`."""

    @model_validator(mode="after")
    def _check_consistency(self) -> "AblationConfig":
        if "seed" in self.base.set:
            raise ValueError("base.set.seed: the seeds are screen.seeds and confirm.seeds; leave it out")
        if "steps" in _get_section(self.base.set, "train"):
            raise ValueError("base.set.train.steps: the budget is screen.steps and confirm.steps; leave it out")
        split = _get_section(self.base.set, "evaluate").get("split", "validation")
        if split != "validation":
            raise ValueError(
                f"base.set.evaluate.split: {shorten(split)}: changes are chosen on validation; leave it out"
            )
        check_folder_names(self.changes, "changes")
        for name, settings in self.changes.items():
            if name.lower() in (BASE, SUM):
                raise ValueError(f"changes.{name}: the ablation has a variant of this name itself; choose another")
            if not flatten(settings):
                raise ValueError(
                    f"changes.{name}: changes nothing; give settings, such as {{train: {{batch_size: 32}}}}"
                )
            for section in settings:
                if section not in CHANGED_SECTIONS:
                    raise ValueError(
                        f"changes.{name}.{shorten(section)}: a change sets {' or '.join(CHANGED_SECTIONS)}; what holds"
                        " for all variants stands in base.set"
                    )
            if "steps" in _get_section(settings, "train"):
                raise ValueError(f"changes.{name}.train.steps: every variant sees as many images; leave it out")
        for phase, seeds in (("screen", self.screen.seeds), ("confirm", self.confirm.seeds)):
            for seed in seeds:
                if seeds.count(seed) > 1:
                    raise ValueError(f"{phase}.seeds: {seed} given twice; list each once")
        if shared := set(self.screen.seeds) & set(self.confirm.seeds):
            raise ValueError(f"confirm.seeds: {min(shared)} is one of screen.seeds; confirm with other seeds")
        return self


def _get_section(settings: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return a section of nested settings; empty: there is none, or it is none."""
    section = settings.get(name)
    return section if isinstance(section, Mapping) else {}
