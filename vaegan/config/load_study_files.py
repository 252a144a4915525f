"""Studies and classifiers: what is read from several files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vaegan.errors import UserError
from vaegan.text import to_short_word

from .explain import suggest_nearest
from .load import (
    add_autoencoder_config,
    find_config,
    list_recipes,
    load_config,
    merge,
    parse_overrides,
    read_tree,
    validate_config,
)
from .models import AutoencoderConfig, ClassifierConfig, VQVAEConfig
from .schema import Config
from .study_schema import FOLDER_NAME, StudyConfig

CLASSIFIER_RECIPE_SUFFIX = "/features"
"""What the recipe of a set's classifier is called after the set."""


def load_classifier_config(name: str, overrides: Sequence[str] = (), beside: Path | None = None) -> tuple[str, Config]:
    """The config of a set's classifier, and what it is to be called.

    Args:
        name: A set that has a recipe for it (``digits``), or a config file or recipe.
        overrides: As of `load_config`.
        beside: As of `find_config`.

    Raises:
        UserError: The file, an override or a setting is wrong, or it is another family's.
    """
    sets = [
        recipe.removesuffix(CLASSIFIER_RECIPE_SUFFIX)
        for recipe in list_recipes()
        if recipe.endswith(CLASSIFIER_RECIPE_SUFFIX)
    ]
    given = name + CLASSIFIER_RECIPE_SUFFIX if name in sets and not Path(name).is_file() else name
    if not Path(given).exists() and given not in list_recipes() and not (beside and (beside / given).is_file()):
        raise UserError(
            f"{to_short_word(name)}: neither a config file nor a set with a recipe for this{suggest_nearest(name, sets)};"
            f" allowed: {' | '.join(sets)}"
        )
    config = load_config(given, overrides, beside)
    if not isinstance(config.model, ClassifierConfig):
        raise UserError(f"{name}: model.family={config.model.family}: no classifier; use `vaegan train {name}`")
    return given.removesuffix(CLASSIFIER_RECIPE_SUFFIX), config


def load_study(name: str | Path, overrides: Sequence[str] = ()) -> tuple[StudyConfig, dict[str, Config]]:
    """A study and the config of each of its variants (with the study's first seed).

    Settings that a run has (``train.steps=10``) go to every variant, others (``seeds=[0,1]``) to the study.

    Raises:
        UserError: A file, an override or a setting is wrong.
    """
    path = find_config(str(name))
    tree = read_tree(path)
    if "variants" not in tree:
        raise UserError(f"{name}: this is one run, not a study; use `vaegan train {name}`")
    given = parse_overrides(overrides)
    shared = {key: given.pop(key) for key in list(given) if key in Config.model_fields and key != "seed"}
    study = validate_config(StudyConfig, merge(merge(tree, given), {"shared": shared} if shared else {}), str(name))
    configs: dict[str, Config] = {}
    for row, variant in study.variants.items():
        try:
            recipe = find_config(variant.recipe, beside=path.parent)
        except UserError as mistake:
            raise UserError(f"{name}: variants.{row}.recipe: {mistake}") from None
        layers, where = merge(merge(read_tree(recipe), variant.set), study.shared), f"variants.{row} ({variant.recipe})"
        if variant.prior is not None:
            if (family := layers["model"].get("family")) != "pixelcnn":
                raise UserError(f"{name}: {where}: prior: only family pixelcnn takes it, not {family}; leave it out")
            layers = merge(layers, _over(variant.prior, configs, f"{name}: {where}"))
        layers = add_autoencoder_config(merge(layers, {"seed": study.seeds[0]}))
        configs[row] = validate_config(Config, layers, f"{name}: {where}")
        if not isinstance(configs[row].model, AutoencoderConfig):
            raise UserError(f"{name}: {where}: model.family={configs[row].model.family}: a study compares autoencoders")
    return study, configs


def load_study_classifier_config(name: str | Path, study: StudyConfig, variant: Config) -> tuple[str, Config] | None:
    """The classifier that a study names, and what it is to be called; None: it names none.

    It has the images of a variant, and is tracked as that is.

    Args:
        name: The study's file or recipe.
        study: As it was read.
        variant: The config of one of its variants.

    Raises:
        UserError: As of `load_classifier_config`.
    """
    if study.features is None:
        return None
    try:
        given, config = load_classifier_config(study.features, beside=find_config(str(name)).parent)
    except UserError as mistake:
        raise UserError(
            f"{name}: features: {mistake}; a classifier that is trained already is named by evaluate.features"
        ) from None
    file, name = name, Path(given).stem
    if not FOLDER_NAME.fullmatch(name):
        raise UserError(
            f"{file}: features: {to_short_word(given)}: its name becomes a folder; use letters, digits, '-' and '_'"
        )
    track = variant.track.model_copy(update={"group": variant.track.group or study.title, "name": f"features-{name}"})
    return name, config.model_copy(update={"data": variant.data, "track": track})


def _over(variant: str, before: Mapping[str, Config], where: str) -> dict[str, object]:
    """Settings of a prior over the codes of another variant's run of the same seed.

    Raises:
        UserError: No such variant comes before it, or it is no VQ-VAE.
    """
    own = before[variant].model if variant in before else None
    if not isinstance(own, VQVAEConfig):
        raise UserError(f"{where}: prior: {to_short_word(variant)}: no variant of family vqvae before this one")
    return {"model": {"autoencoder": own.model_dump(mode="json")}, "prior": {"autoencoder": variant}}
