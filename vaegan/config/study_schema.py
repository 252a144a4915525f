"""Every setting of a study, typed and documented where it is defined."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vaegan.text import to_short_word

from .section import Section, Text

RESERVED_NAMES = {
    "features", "controls", "wall_clock", "wandb", "comparison.json", "report.html", "figures.csv",
    "findings.csv", "effects.csv", "controls.csv", "confusion.csv",
}  # fmt: skip
"""Names in the folder of a study."""
FOLDER_NAME = re.compile(r"[\w-][\w.-]{0,99}")
"""What may be the name of a folder in it."""
MatchedQuantity = Literal["decoder", "latent_size", "images_seen", "wall_clock"]


class Variant(Section):
    """One row of a study."""

    recipe: str
    """Recipe or config file of the variant."""
    set: dict[str, object] = Field({})
    """Settings of this variant that differ from the recipe, nested as in a config."""
    prior: Text | None = None
    """pixelcnn: the variant, a VQ-VAE before this one, over whose run of the same seed it is trained."""


class StudyConfig(Section):
    """Variants of a model trained on the same images, for the same number of them, and compared."""

    title: Text
    """Heading of the report and W&B group."""
    variants: Annotated[dict[str, Variant], Field(min_length=1)]
    """Name of each row, and what it trains."""
    references: tuple[Text, ...] = ()
    """Variants that those after them are compared with; none: the first one."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)] = (0,)
    """Each variant is trained once for each seed."""
    matched: tuple[MatchedQuantity, ...] = ("decoder", "latent_size", "images_seen")
    """What the variants have in common: their decoder with its first weights, the size of its codes, the number of
    images that each is trained on. `wall_clock` in the place of `images_seen`: each variant has as many steps as take
    the time of the first one's `train.steps`, which a short training of each tells. In what else they differ the report
    says."""
    features: Text | None = None
    """The classifier that is trained first, on the study's own images, for `frechet`, `kid` and `prdc`: a set that has
    a recipe for it (`digits`), or a config file; None: `evaluate.features` as it is."""
    shared: dict[str, object] = Field({})
    """Settings of every variant, nested as in a config; `key.sub=value` on the command line lands here."""

    @model_validator(mode="after")
    def _one_budget(self) -> "StudyConfig":
        if {"images_seen", "wall_clock"} <= set(self.matched):
            raise ValueError("matched: images_seen and wall_clock: leave out one of the two")
        return self

    @model_validator(mode="after")
    def _nothing_twice(self) -> "StudyConfig":
        for key, values in (("seeds", self.seeds), ("matched", self.matched), ("references", self.references)):
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"{key}: {value} given twice; list each once")
        return self

    @model_validator(mode="after")
    def _something_after_each(self) -> "StudyConfig":
        *earlier, _ = self.variants
        for name in self.references:
            if name not in earlier:
                allowed = " | ".join(earlier) or "none, since there is one variant"
                raise ValueError(
                    f"references: got {to_short_word(name)}; allowed, since a variant must come after it: {allowed}"
                )
        return self

    @model_validator(mode="after")
    def _names_of_folders(self) -> "StudyConfig":
        for name in self.variants:
            if not FOLDER_NAME.fullmatch(name):
                raise ValueError(
                    f"variants.{to_short_word(name)}: its name becomes a folder;"
                    " use letters, digits, '.', '-' and '_', 100 at most and no '.' first"
                )
            if name.lower() in RESERVED_NAMES:
                raise ValueError(f"variants.{name}: the study keeps something else under this name; choose another")
            if sum(name.lower() == other.lower() for other in self.variants) > 1:
                raise ValueError(f"variants.{name}: another one differs only in case, and some disks tell no case")
        return self
