"""The `model` section of a classifier, whose features are a space to compare images in."""

from typing import Annotated, Literal

from pydantic import Field

from .section import Section


class ClassifierConfig(Section):
    """A residual network that learns the labels of a data set (`vaegan train-features`); it is not an autoencoder."""

    family: Literal["classifier"] = "classifier"
    """Kind of model."""
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 32
    """Channels at full resolution, doubled at each halving up to 8 times as many; those of the last one, averaged over
    all positions, are the features."""
    depth: Annotated[int, Field(ge=1, le=16)] = 1
    """Blocks at each resolution."""
    classes: Annotated[int, Field(ge=2, le=65536)]
    """Number of classes of the data set."""
