"""The settings of a study, typed and documented where they are defined."""

import re
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vaegan.text import shorten

from .section import FROM_PYTHON, Section, Text

RESERVED_NAMES = {
    "features", "augmentation", "controls", "wall_clock", "configs", "wandb", "comparison.json", "report.html",
    "figures.csv", "findings.csv", "effects.csv", "controls.csv", "confusion.csv", "reconstructions.png", "samples.png",
}  # fmt: skip
"""Names that a study's folder uses itself, which no variant may have."""
FOLDER_NAME_PATTERN = re.compile(r"[\w-][\w.-]{0,99}")
"""Allowed names of the folders in a study's folder."""
MatchedQuantity = Literal["decoder", "latent_size", "images_seen", "wall_clock", "flops"]
BUDGETS: tuple[MatchedQuantity, ...] = ("images_seen", "wall_clock", "flops")
"""Quantities that say how long each variant is trained, of which one at most can be matched."""


def check_folder_names(names: Collection[str], key: str) -> None:
    """Check that the names of variants can be those of the folders in a study's folder.

    Args:
        names: The names.
        key: Setting that they stand under, for messages.

    Raises:
        ValueError: One cannot, or two differ only in case.
    """
    for name in names:
        if not FOLDER_NAME_PATTERN.fullmatch(name):
            raise ValueError(
                f"{key}.{shorten(name)}: its name becomes a folder;"
                " use letters, digits, '.', '-' and '_', 100 at most and no '.' first"
            )
        if name.lower() in RESERVED_NAMES:
            raise ValueError(f"{key}.{name}: the study keeps something else under this name; choose another")
        if sum(name.lower() == other.lower() for other in names) > 1:
            raise ValueError(f"{key}.{name}: another one differs only in case, and some disks tell no case")


class Variant(Section):
    """A variant: one row of a study."""

    recipe: Text | None = None
    """Recipe or config file of the variant, which is trained."""
    model: Text | None = None
    """In the place of a recipe, a finished model that is evaluated and not trained: a run, a folder of diffusers, or
    one on the Hub, `hf://owner/name`. It is evaluated on the same images and in the same way as the other variants."""
    set: dict[str, object] = Field({})
    """Settings of this variant that differ from the recipe, nested as in a config."""
    prior: Text | None = None
    """pixelcnn, flow: name of an earlier variant, a VQ-VAE or another autoencoder, whose run of the same seed gives the
    codes to train on."""


class StudyConfig(Section):
    """A study: variants of a model, trained on the same images for the same number of them, and compared."""

    title: Text
    """Heading of the report and W&B group."""
    variants: Annotated[dict[str, Variant], Field(min_length=1)]
    """Variants by name."""
    references: Annotated[tuple[Text, ...], FROM_PYTHON] = ()
    """Variants that every later variant is compared with; none: the first one."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1), FROM_PYTHON] = (0,)
    """Seeds; each variant is trained once with each of them."""
    matched: Annotated[tuple[MatchedQuantity, ...], FROM_PYTHON] = ("decoder", "latent_size", "images_seen")
    """Quantities that all variants share: the decoder with its initial weights, the size of its codes, the number of
    images seen in training. `wall_clock` replaces `images_seen`: each variant gets as many steps as fit into the time
    that the first one needs for its `train.steps`, measured by a short training of each; with `flops` it gets as many
    steps as take the floating-point operations of the first one. The report lists all other differences."""
    features: Text | None = None
    """Classifier that is trained first, on the study's own images, to give the features of `frechet`, `kid` and `prdc`:
    a set with a recipe for a classifier (`digits`), or a config file; None: the network of `evaluate.features`."""
    shared: dict[str, object] = Field({})
    """Settings of every variant, nested as in a config; `key.sub=value` on the command line is added to them."""

    @model_validator(mode="after")
    def _check_consistency(self) -> "StudyConfig":
        if len(budgets := [each for each in self.matched if each in BUDGETS]) > 1:
            raise ValueError(f"matched: {' and '.join(budgets)}: leave out all but one of them")
        for key, values in (("seeds", self.seeds), ("matched", self.matched), ("references", self.references)):
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"{key}: {value} given twice; list each once")
        *earlier, _ = self.variants
        for name in self.references:
            if name not in earlier:
                allowed = " | ".join(earlier) or "none, since there is one variant"
                hint = f"allowed, since a variant must come after it: {allowed}"
                raise ValueError(f"references: got {shorten(name)}; {hint}")
        for name, variant in self.variants.items():
            if (variant.recipe is None) == (variant.model is None):
                problem = "missing" if variant.recipe is None else "given beside model"
                raise ValueError(
                    f"variants.{shorten(name)}.recipe: {problem}; a variant has either a recipe or a model"
                )
            if variant.model is not None and variant.prior is not None:
                raise ValueError(f"variants.{shorten(name)}.prior: a finished model trains none; leave it out")
        check_folder_names(self.variants, "variants")
        return self
