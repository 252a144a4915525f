"""Loading of a study, whose variants name recipes of their own, and of the classifier of an image set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vaegan.errors import UserError
from vaegan.paths import HUB_PREFIX, expand_path
from vaegan.text import shorten

from .architectures import AutoencoderConfig
from .classifier import ClassifierConfig
from .codebooks import TrainedPriorConfig
from .explain_error import suggest_nearest
from .load import (
    Settings,
    add_configs_of_runs,
    load_config,
    merge,
    read_overrides,
    read_settings,
    read_yaml,
    validate_config,
)
from .models import CLASSES_BY_TAG, choose_model
from .recipes import find_config, list_recipes
from .schema import Config, check_init
from .study_schema import FOLDER_NAME_PATTERN, StudyConfig, Variant

SHARED_BY_MODELS = ("data", "evaluate", "track")
"""Sections that a variant without a recipe has in common with the others."""
CLASSIFIER_SUFFIX = "/features"
"""Suffix that makes the recipe of a set's classifier from the set's name."""


def load_classifier_config(name: str, overrides: Settings = (), folder: Path | None = None) -> tuple[str, Config]:
    """Load the config of a classifier whose features metrics are computed in.

    Args:
        name: An image set that has a recipe for its classifier (``digits``), or a config file or recipe.
        overrides: Settings that replace those of the file.
        folder: Folder where the file is searched last; None: no folder.

    Returns:
        The classifier's name (the set's, the recipe's or the file's), and its config.

    Raises:
        UserError: There is no such set or file, the file, an override or a setting is wrong, or the config is of
            another family.
    """
    sets = [name.removesuffix(CLASSIFIER_SUFFIX) for name in list_recipes() if name.endswith(CLASSIFIER_SUFFIX)]
    config_name = name + CLASSIFIER_SUFFIX if name in sets and not Path(name).is_file() else name
    in_folder = folder is not None and (folder / config_name).is_file()
    if not Path(config_name).exists() and config_name not in list_recipes() and not in_folder:
        raise UserError(
            f"{shorten(name)}: neither a config file nor a set with a recipe for this{suggest_nearest(name, sets)};"
            f" allowed: {' | '.join(sets)}"
        )
    config = load_config(config_name, overrides, folder)
    if not isinstance(config.model, ClassifierConfig):
        raise UserError(f"{name}: model.family={config.model.family}: no classifier; use `vaegan train {name}`")
    return config_name.removesuffix(CLASSIFIER_SUFFIX), config


class LoadedStudy(NamedTuple):
    """A study with the configs that its files give."""

    study: StudyConfig
    configs: dict[str, Config]
    """Config of each variant, with the study's first seed."""
    classifier: tuple[str, Config] | None
    """Name and config of the classifier that is trained first; None: the study names none."""


def load_study(config: str | Path | Mapping[str, Any] | StudyConfig, overrides: Settings = ()) -> LoadedStudy:
    """Load a study, the config of each of its variants, and that of its classifier.

    Args:
        config: Path of a file, name of a shipped recipe, settings in Python, or a study's config.
        overrides: Settings; those of a run (``train.steps=10``) apply to every variant, others (``seeds=[0,1]``) to the
            study.

    Raises:
        UserError: There is no such file, it is a single run, or a file, an override or a setting is wrong.
    """
    tree, name = read_settings(config)
    if "variants" not in tree:
        if "changes" in tree:
            raise UserError(f"{name}: this is an ablation, not a study; use `vaegan ablate {name}`")
        raise UserError(f"{name}: this is one run, not a study; use `vaegan train {name}`")
    folder = None if isinstance(config, Mapping | StudyConfig) else find_config(name).parent
    settings = read_overrides(overrides)
    shared = {key: settings.pop(key) for key in list(settings) if key in Config.model_fields and key != "seed"}
    study = validate_config(StudyConfig, merge(merge(tree, settings), {"shared": shared} if shared else {}), name)
    trained: dict[str, Config] = {}
    for row, variant in study.variants.items():
        if variant.recipe is None:
            continue
        try:
            recipe = find_config(variant.recipe, folder)
        except UserError as error:
            raise UserError(f"{name}: variants.{row}.recipe: {error}") from None
        source = f"{name}: variants.{row} ({variant.recipe})"
        layers = merge(merge(read_yaml(recipe), variant.set), study.shared)
        if variant.prior is not None:
            kind = CLASSES_BY_TAG.get(str(choose_model(layers["model"])))
            if kind is None or not issubclass(kind, TrainedPriorConfig):
                family = layers["model"].get("family")
                raise UserError(f"{source}: prior: only families pixelcnn and flow take it, not {family}; leave it out")
            layers = merge(layers, _get_prior_settings(variant.prior, kind, trained, source))
        layers = add_configs_of_runs(merge(layers, {"seed": study.seeds[0]}))
        trained[row] = validate_config(Config, layers, source)
        if not isinstance(trained[row].model, AutoencoderConfig):
            raise UserError(f"{source}: model.family={trained[row].model.family}: a study compares autoencoders")
    configs = {
        row: trained[row]
        if row in trained
        else _load_finished_model(variant, study, trained, f"{name}: variants.{row}", folder)
        for row, variant in study.variants.items()
    }
    return LoadedStudy(study, configs, _load_classifier_of_study(study, next(iter(configs.values())), name, folder))


def _load_finished_model(
    variant: Variant, study: StudyConfig, trained: Mapping[str, Config], source: str, folder: Path | None
) -> Config:
    """Load the config of a variant that is a finished model: a run of no steps that starts from its weights.

    Of the settings that all variants share it takes those of images, evaluation and tracking.

    Args:
        variant: The variant.
        study: The study.
        trained: Configs of the variants that are trained, of which the first gives the images and the evaluation.
        source: Origin of the variant, for messages.
        folder: Folder where the model is searched last; None: no folder.

    Raises:
        UserError: There is no such model, or a setting is wrong.
        Failure: The Hub cannot be reached.
    """
    from vaegan.storage.finished_models import read_model_settings  # which needs torch

    assert variant.model is not None
    if "train" in variant.set:
        raise UserError(f"{source}.set.train: a finished model is not trained; leave it out")
    try:
        place = check_init(variant.model)
        if folder is not None and not place.startswith(HUB_PREFIX) and not Path(place).exists():
            place = str(expand_path("model", folder / variant.model).absolute())
        settings = read_model_settings(place)
    except (UserError, ValueError) as error:
        raise UserError(f"{source}.model: {str(error).removeprefix('train.init: ')}") from None
    layers: dict[str, Any] = {"model": settings, "train": {"steps": 0, "init": place}}
    for config in list(trained.values())[:1]:
        layers |= {key: getattr(config, key).model_dump(mode="json") for key in SHARED_BY_MODELS}
        if "version" not in config.data.model_fields_set:
            del layers["data"]["version"]
    shared = {key: value for key, value in study.shared.items() if key in SHARED_BY_MODELS}
    layers = merge(merge(layers, variant.set), shared)
    layers = merge(layers, {"seed": study.seeds[0], "track": {"wandb": "disabled"}})
    return validate_config(Config, layers, f"{source} ({variant.model})")


def _load_classifier_of_study(
    study: StudyConfig, variant: Config, source: str, folder: Path | None
) -> tuple[str, Config] | None:
    """Load the config of the classifier that a study names, with the images and the tracking of a variant.

    Args:
        study: The study.
        variant: The config of one of its variants.
        source: File, recipe or other origin of the study, for messages.
        folder: Folder where the classifier's config file is searched last; None: no folder.

    Returns:
        The classifier's name and config; None if the study names none.

    Raises:
        UserError: There is no such set or file, the file or a setting is wrong, the config is of another family, or
            its name cannot be a folder's.
    """
    if study.features is None:
        return None
    try:
        classifier, config = load_classifier_config(study.features, folder=folder)
    except UserError as error:
        hint = "a classifier that is trained already is named by evaluate.features"
        raise UserError(f"{source}: features: {error}; {hint}") from None
    run_name = Path(classifier).stem
    if not FOLDER_NAME_PATTERN.fullmatch(run_name):
        hint = "its name becomes a folder; use letters, digits, '-' and '_'"
        raise UserError(f"{source}: features: {shorten(classifier)}: {hint}")
    track = variant.track.model_copy(
        update={"group": variant.track.group or study.title, "name": f"features-{run_name}"}
    )
    return run_name, config.model_copy(update={"data": variant.data, "track": track})


def _get_prior_settings(
    variant: str, kind: type[TrainedPriorConfig], earlier: Mapping[str, Config], source: str
) -> dict[str, object]:
    """Return the settings of a prior over the codes of an earlier variant's run.

    Args:
        variant: Name of that variant.
        kind: Class of the prior's `model` section.
        earlier: Configs of the earlier variants by name.
        source: Origin of the prior, for messages.

    Raises:
        UserError: No earlier variant has that name, or its codes are not those of the prior's family.
    """
    autoencoder = earlier[variant].model if variant in earlier else None
    if autoencoder is None or autoencoder.family not in kind.autoencoder_families:
        families = " | ".join(kind.autoencoder_families)
        raise UserError(f"{source}: prior: {shorten(variant)}: no variant of family {families} before this one")
    return {"model": {"autoencoder": autoencoder.model_dump(mode="json")}, "prior": {"autoencoder": variant}}
