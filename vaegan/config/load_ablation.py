"""Loading of an ablation, and the two studies that it consists of."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vaegan.errors import UserError
from vaegan.text import shorten

from .ablation_schema import BASE, SUM, AblationConfig, Confirmation, Screening
from .differences import FlatSettings, flatten
from .load import Settings, Tree, merge, nest_settings, read_overrides, read_settings, read_yaml, validate_config
from .load_study_files import LoadedStudy, load_study
from .recipes import find_config, list_recipes
from .schema import Config
from .study_schema import StudyConfig

PhaseName = Literal["screen", "confirm"]
"""Phase of an ablation: the key of its budget, and the name of its folder."""
PHASES: dict[PhaseName, str] = {"screen": "screening", "confirm": "confirmation"}
"""Each phase in words."""
CHOICE_SPLIT = "validation"
"""Split that everything is evaluated on, so that the test images have no part in the choice."""
STEP_COUNTS = (
    "train.warmup_steps", "train.log_every", "train.sample_every", "train.evaluate_every", "train.checkpoint_every",
    "model.beta_warmup_steps", "model.adversarial.warmup_steps", "model.adversarial.ramp_steps",
)  # fmt: skip
"""Settings that count optimizer steps."""


class Selection(NamedTuple):
    """The changes of a phase."""

    alone: list[str]
    """Names of the changes that are trained alone, the best first."""
    summed: list[str]
    """Names of the changes that the sum consists of; with one or none there is no sum."""


NO_CHANGE = Selection([], [])
"""The selection of the base alone."""


class LoadedAblation(NamedTuple):
    """An ablation with the settings of its base."""

    ablation: AblationConfig
    source: str
    """File, recipe or other origin of the ablation, for messages."""
    folder: Path | None
    """Folder where files are searched last; None: no folder."""
    base: Tree
    """Settings of the base: its recipe's, with those of the ablation."""

    def get_budget(self, phase: PhaseName) -> Screening | Confirmation:
        """Return the budget of a phase."""
        return self.ablation.screen if phase == "screen" else self.ablation.confirm

    def load_phase(self, phase: PhaseName, selection: Selection, features: Path | None = None) -> LoadedStudy:
        """Load the study of a phase: the base, each of some changes, and a sum if it has at least two of them.

        Args:
            phase: The phase.
            selection: The changes.
            features: Folder of the classifier of the features, if it has been trained; None: the study trains it.

        Raises:
            UserError: A setting is wrong, or there is no such recipe or classifier.
        """
        ablation, budget = self.ablation, self.get_budget(phase)
        settings = {BASE: {}, **{name: ablation.changes[name] for name in selection.alone}}
        if len(selection.summed) > 1:
            settings[SUM] = self._add_up(selection.summed)
        recipe = _locate(ablation.base.recipe, self.folder)
        base = self._load_base(phase)
        variants = {
            name: {"recipe": recipe, "set": merge(ablation.base.set, self._get_settings(phase, base, name, changed))}
            for name, changed in settings.items()
        }
        tree: Tree = {
            "title": f"{ablation.title}: {PHASES[phase]}",
            "variants": variants,
            "seeds": list(budget.seeds),
            "matched": ["images_seen"],
        }
        if features is not None:
            tree["shared"] = {"evaluate": {"features": str(features.absolute())}}
        elif ablation.features is not None:
            tree["features"] = _locate(ablation.features, self.folder)
        study = validate_config(StudyConfig, tree, self.source)
        try:
            return load_study(study)
        except UserError as error:
            message = str(error).replace(StudyConfig.__name__, self.source, 1)
            raise UserError(
                message.replace(f" variants.{BASE}", f" {BASE}").replace(" variants.", " changes.")
            ) from None

    def select_all(self) -> Selection:
        """Return all changes, which the screening trains."""
        changes = list(self.ablation.changes)
        return Selection(changes, self.list_summed(changes))

    def list_summed(self, changes: Sequence[str]) -> list[str]:
        """Return the changes that their sum consists of.

        These are of changes that set the same key to other values the first, and of changes that include one another
        the largest.
        """
        summed: dict[str, FlatSettings] = {}
        for name in changes:
            settings = flatten(self.ablation.changes[name])
            if not any(_exclude_each_other(others, settings) for others in summed.values()):
                summed[name] = settings
        return [
            name for name, part in summed.items() if not any(part.items() < whole.items() for whole in summed.values())
        ]

    def _add_up(self, changes: Sequence[str]) -> Tree:
        total: Tree = {}
        for name in changes:
            total = merge(total, self.ablation.changes[name])
        return total

    def _get_settings(self, phase: PhaseName, base: Config, name: str, changes: Mapping[str, Any]) -> Tree:
        """Return what a variant sets beside the base: its changes, its steps, and the split to choose on.

        Of another batch size, it sees the base's images in more or fewer steps, and every setting of the base that
        counts steps is scaled with them, so that it counts the same images.

        Raises:
            UserError: A setting is wrong, or the images of the budget are no whole number of its batches.
        """
        source = f"{self.source}: {name if name in (BASE, SUM) else f'changes.{name}'}"
        layers = merge(self._get_base_layers(phase), changes)
        config = validate_config(Config, layers, source)
        if changes and config == base:
            raise UserError(f"{source}: changes nothing, as the base has these settings; leave it out")
        size, images = config.train.batch_size, base.train.steps * base.train.batch_size
        if images % size:
            raise UserError(
                f"{source}: train.batch_size={size} does not divide the {images:,} images of"
                f" {phase}.steps={base.train.steps}; change one of the two"
            )
        scaled = {} if size == base.train.batch_size else _scale_steps(base, config, base.train.batch_size / size)
        budget = {"train": {"steps": images // size}, "evaluate": {"split": CHOICE_SPLIT}}
        settings = merge(merge(scaled, changes), budget)
        validate_config(Config, merge(layers, settings), source)
        return settings

    def _load_base(self, phase: PhaseName) -> Config:
        return validate_config(Config, self._get_base_layers(phase), f"{self.source}: {BASE}")

    def _get_base_layers(self, phase: PhaseName) -> Tree:
        budget = self.get_budget(phase)
        train = {} if budget.steps is None else {"steps": budget.steps}
        return merge(self.base, {"train": train, "seed": budget.seeds[0]})


def load_ablation(config: str | Path | Mapping[str, Any] | AblationConfig, overrides: Settings = ()) -> LoadedAblation:
    """Load an ablation, and check every change under both budgets.

    Args:
        config: Path of a file, name of a shipped recipe, settings in Python, or an ablation's config.
        overrides: Settings; those of a run (``train.batch_size=32``) apply to the base, others (``screen.steps=100``)
            to the ablation.

    Raises:
        UserError: There is no such file, it is no ablation, or a file, an override or a setting is wrong.
    """
    tree, name = read_settings(config)
    if "changes" not in tree:
        command = "compare" if "variants" in tree else "train"
        raise UserError(f"{name}: this is no ablation, which has `changes:`; use `vaegan {command} {name}`")
    folder = None if isinstance(config, Mapping | AblationConfig) else find_config(name).parent
    settings = read_overrides(overrides)
    of_run = {key: settings.pop(key) for key in list(settings) if key in Config.model_fields and key != "seed"}
    tree = merge(tree, settings)
    if of_run and isinstance(tree.get("base"), Mapping):
        tree = merge(tree, {"base": {"set": of_run}})
    ablation = validate_config(AblationConfig, tree, name)
    for one, other in combinations(ablation.changes, 2):
        if flatten(ablation.changes[one]) == flatten(ablation.changes[other]):
            raise UserError(f"{name}: changes.{other}: the same as changes.{one}; leave one of them out")
    try:
        recipe = find_config(ablation.base.recipe, folder)
    except UserError as error:
        raise UserError(f"{name}: base.recipe: {error}") from None
    base = read_yaml(recipe)
    for key, use in (("variants", "a study"), ("changes", "an ablation")):
        if key in base:
            raise UserError(f"{name}: base.recipe: {shorten(ablation.base.recipe)} is {use}; name a run's recipe")
    for key, section in ablation.base.set.items():
        if isinstance(base.get(key), Mapping) and not isinstance(section, Mapping):
            raise UserError(f"{name}: base.set.{key}: got {shorten(section)}; allowed: mapping")
    loaded = LoadedAblation(ablation, name, folder, merge(base, ablation.base.set))
    for phase in PHASES:
        loaded.load_phase(phase, loaded.select_all())
    return loaded


def _locate(name: str, folder: Path | None) -> str:
    """Return the absolute path of a file that a name stands for, and other names as they are."""
    for path in (Path(name), None if name in list_recipes() or folder is None else folder / name):
        if path is not None and path.is_file():
            return str(path.absolute())
    return name


def _exclude_each_other(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Return whether flat settings give a key two values, or one of them a value and the other a part of a schedule."""
    return any(
        (key == taken and value != one[taken]) or key.startswith(f"{taken}.") or taken.startswith(f"{key}.")
        for key, value in other.items()
        for taken in one
    )


def _scale_steps(base: Config, variant: Config, factor: float) -> Tree:
    """Return the settings of a variant that count the base's optimizer steps, or hold for each, for other steps.

    Args:
        base: The base.
        variant: The variant, which has other settings as well.
        factor: Steps of the variant for each step of the base.
    """
    scaled: Tree = {}
    own = flatten(variant.model_dump(mode="json", include={"model", "train"}))
    for key, value in flatten(base.model_dump(mode="json", include={"model", "train"})).items():
        if key not in own or not isinstance(value, int | float) or value <= 0:
            continue
        if key == "train.evaluate_every" and base.train.steps % value == 0:  # the last step remains evaluated
            scaled[key] = _find_nearest_divisor(round(base.train.steps * factor), value * factor)
        elif key in STEP_COUNTS:
            scaled[key] = max(1, round(value * factor))
        elif key == "model.revive_below":
            scaled[key] = value / factor
        elif key == "model.codebook_decay" or (key == "train.ema_decay" and base.train.ema_half_life is None):
            scaled[key] = math.exp(math.log(value) / factor)
    return nest_settings(scaled)


def _find_nearest_divisor(number: int, target: float) -> int:
    """Return the divisor of a number that is nearest to another number, the smaller one of two."""
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    return min([*small, *(number // divisor for divisor in reversed(small))], key=lambda each: abs(each - target))
